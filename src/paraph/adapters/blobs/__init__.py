"""Files named by their hash."""
