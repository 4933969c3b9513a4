"""What the first page of the console shows: now, today, and what needs attention."""
