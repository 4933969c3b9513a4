"""What is written becomes what is spoken: numbers, dates, money, markup, names. Pure; no torch."""
