"""Numbers, trunks, opening hours: how the world reaches the box."""
