"""The box itself, for its operator."""
