"""Calls: admission, life, turns, end."""
