"""The rooms of the ledger: each owns a part of the state and answers as one native contract.

Every room has the same files: `keys` (what it owns), `rules` (what may happen), `calls` (its ABI), `truths` (what is
always so), and `types` where it has records of its own.
"""
