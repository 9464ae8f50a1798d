"""What the room owns: for each payer the requests whose proofs are due, were taken or were missed, and counts."""

from paraph.core.ident import Address
from paraph.ledger.rooms.proofs.types import Due
from paraph.ledger.state import Numbers, Records
from paraph.proofs.records import Proven

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a07"))
DUES: Records[Due] = Records(b"proofs/due/", Due)
PROVEN: Records[Proven] = Records(b"proofs/proven/", Proven)
MISSED = Numbers(b"proofs/missed/")
"""The block that noted it."""
COUNTS = Numbers(b"proofs/count/")
DUE_COUNT, PROVEN_COUNT, MISSED_COUNT = b"due", b"proven", b"missed"
