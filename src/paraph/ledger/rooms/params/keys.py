"""What the room owns: one number per parameter that was ever set, and the governor's account."""

from paraph.ledger.state import Numbers

VALUES = Numbers(b"params/value/")
GOVERNOR = b"params/governor"
