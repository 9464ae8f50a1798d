"""The ledger's parameters: numbers with bounds, which every other room reads."""
