"""Measurements on the running box. `make bench` runs `benchmarks.phone_turns`."""
