"""What every page and every route of the console stands on."""
