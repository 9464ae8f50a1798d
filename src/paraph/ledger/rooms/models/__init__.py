"""Registered models: who owns them, what they cost, and what their owner earns."""
