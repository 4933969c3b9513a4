"""Agents: drafts, versions, and a test call before publishing."""
