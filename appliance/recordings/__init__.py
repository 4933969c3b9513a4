"""Recordings: encrypted as they are spoken, spooled on disk, stored as one object each."""
