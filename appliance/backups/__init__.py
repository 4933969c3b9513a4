"""Backups: one encrypted file with what the box cannot be built again from."""
