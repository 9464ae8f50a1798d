"""A whole network on one machine: real ledger, real models, money that is worth nothing."""
