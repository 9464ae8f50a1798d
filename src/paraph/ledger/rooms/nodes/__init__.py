"""Inference nodes: their endpoints, bonds, hot keys and heartbeats."""
