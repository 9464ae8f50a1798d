"""Promised proofs: what was paid is held until the proof comes; then the node has it, or the payer has it back."""
