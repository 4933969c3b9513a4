"""From a bare machine to a running box, and the demo that proves it."""
