"""paraph: verifiable AI. Every answer carries a receipt that anyone can check offline."""

__version__ = "0.1.0"
