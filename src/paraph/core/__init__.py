"""Numbers, names, encoding, hashes, keys, limits and errors: what every other floor stands on.

Nothing here does I/O, reads a clock, computes with floats or draws a random number.
"""
