"""Functions: the organization's own tools, called over the web."""
