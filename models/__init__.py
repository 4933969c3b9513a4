"""The speech and language engines, each a server behind a standard protocol."""
