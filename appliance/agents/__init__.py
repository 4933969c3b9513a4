"""Agents and their published versions."""
