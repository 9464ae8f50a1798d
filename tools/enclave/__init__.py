"""Builds the enclave image of the inference node: `python -m tools.enclave`.

The same locked inputs and the same source give the same bytes on every machine, so anyone can check which source a
node's measurements stand for: by building.
"""
