"""Usage: minutes and calls of a month, and the quota that they count against."""
