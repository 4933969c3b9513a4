"""The desk: bookings, orders and callbacks that agents took."""
