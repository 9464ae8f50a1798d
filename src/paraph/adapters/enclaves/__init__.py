"""Enclaves: how a program inside one has its platform vouch for it, and how the image of one is made and measured."""
