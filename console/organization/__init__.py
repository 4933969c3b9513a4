"""The organization: settings, usage, and the keys of its programs."""
