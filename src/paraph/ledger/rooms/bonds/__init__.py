"""Validators: their bonds, the set that signs blocks, and what a proved fault costs."""
