"""Incoming webhooks: the paths themselves, and their pages."""
