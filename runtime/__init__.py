"""The call path: bridge, agent worker, tool API, jobs. Nothing here waits on the console."""
