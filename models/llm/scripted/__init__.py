"""The scripted dialogue engine: a stateless chat completions server that follows a declarative dialogue."""
