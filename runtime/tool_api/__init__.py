"""The tool API: the one place of business logic for the call path (Contract 1)."""
