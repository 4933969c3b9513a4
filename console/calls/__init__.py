"""Calls: finding them, hearing them, reading them."""
