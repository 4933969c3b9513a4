"""Trunks: the ways to and from PBXs and carriers."""
