"""What the room owns: validators, whose each key is, money that waits, the ranking by power, and the set in force."""

from paraph.core.ident import Address
from paraph.ledger.rooms.bonds.types import ActiveSet, KeyOwner, Seat, Unbonding, Validator
from paraph.ledger.state import Listing, Numbers, Records

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000800"))
"""Where Cosmos EVM has staking."""
VALIDATORS: Records[Validator] = Records(b"bonds/validator/", Validator)
LIST = Listing(b"bonds/list/")
KEYS: Records[KeyOwner] = Records(b"bonds/key/", KeyOwner)
"""By consensus address, which is what blocks and faults name."""
UNBONDINGS: Records[Unbonding] = Records(b"bonds/unbonding/", Unbonding)
"""By operator and one byte: 0 is the oldest."""
SEATS: Records[Seat] = Records(b"bonds/seat/", Seat)
"""The ranking, a binary heap: by place, 4 bytes, from 1."""
PLACES = Numbers(b"bonds/place/")
"""Where in the ranking an operator is."""
SEAT_COUNT = Numbers(b"bonds/seats")
ACTIVE: Records[ActiveSet] = Records(b"bonds/active", ActiveSet)
SETTLED = Numbers(b"bonds/settled")
"""The largest size (`validators_max`) for which the set in force was chosen; 0 as soon as a power has changed since."""
