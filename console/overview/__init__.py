"""The first page: what happens now, how today went, what needs attention."""
