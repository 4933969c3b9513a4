"""Signing in and out, switching organizations, the emergency entry."""
