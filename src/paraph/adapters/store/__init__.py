"""Durable key-value storage."""
