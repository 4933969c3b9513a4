"""Outgoing webhooks: addresses that are told of events, and the log of what was sent."""
