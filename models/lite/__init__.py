"""The speech engines of the CPU twin: a small recogniser and espeak-ng, behind Triton's protocol."""
