"""The console: pages for people and `/api/v1` for programs."""
