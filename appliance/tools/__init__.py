"""The tools that an agent may use during a call."""
