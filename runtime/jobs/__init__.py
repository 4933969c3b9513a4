"""The jobs worker: what has to happen after a call, and goes on happening until it has happened."""
