"""The audit log, for those who look after it."""
