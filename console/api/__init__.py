"""`/api/v1`: what the console can do, for programs."""
