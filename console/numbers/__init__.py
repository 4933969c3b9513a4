"""Numbers: which agent answers, by which trunk, and what happens when it is full or closed."""
