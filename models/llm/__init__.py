"""Language engines behind the chat completions protocol."""
