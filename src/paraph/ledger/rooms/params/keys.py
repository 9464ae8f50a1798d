"""What the room owns: one number per parameter that was ever set, the governor's account, the version of the rules."""

from paraph.ledger.state import Numbers

VALUES = Numbers(b"params/value/")
GOVERNOR = b"params/governor"
VERSION = Numbers(b"params/version")
UPGRADE = Numbers(b"params/upgrade/")
"""The version scheduled, and the height from which it is in force."""
