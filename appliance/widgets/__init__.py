"""Widgets: an agent on a page of somebody's web site, by voice and by text."""
