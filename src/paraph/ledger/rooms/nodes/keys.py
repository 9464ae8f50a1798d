"""What the room owns: nodes by operator, their list, and hot keys by address (the record proofs speak of)."""

from paraph.core.ident import Address
from paraph.ledger.rooms.nodes.types import Node
from paraph.ledger.state import Listing, Numbers, Records
from paraph.proofs.records import NodeKey

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a02"))
NODES: Records[Node] = Records(b"nodes/node/", Node)
LIST = Listing(b"nodes/list/")
HOT_KEYS: Records[NodeKey] = Records(b"nodes/key/", NodeKey)
KEYS_CLOSED_S = Numbers(b"nodes/closed/")
"""When a closed hot key was closed, Unix seconds: its record knows the height alone, which a receipt can lie about."""
