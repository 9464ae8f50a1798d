"""The rules of money, rights and settlement. Read `block.py` first: it reads top-down."""
