"""Verified reads of the chain, from a node that is believed nothing: state, blocks, and calls worked out here."""
