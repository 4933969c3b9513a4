"""Outbound webhooks: what happened is told to the organization's own programs."""
