"""Calendars, free slots, bookings and orders."""
