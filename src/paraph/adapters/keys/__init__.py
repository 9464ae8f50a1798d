"""Private keys on disk."""
