"""What the room owns: one number per parameter that was ever set, what dated ones were, the governor, the version."""

from paraph.ledger.state import Listing, Numbers

VALUES = Numbers(b"params/value/")
PAST = b"params/past/"
"""By name of a dated parameter: the list of its changes."""
GOVERNOR = b"params/governor"
VERSION = Numbers(b"params/version")
UPGRADE = Numbers(b"params/upgrade/")
"""The version scheduled, and the height from which it is in force."""


def past(name: str) -> Listing:
    """The changes of a dated parameter."""
    return Listing(PAST + name.encode() + b"/")
