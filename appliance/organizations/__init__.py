"""Organizations: the tenants of the box."""
