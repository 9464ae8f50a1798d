"""What the room owns: nodes by operator, their list, hot keys and enclaves (the records proofs speak of) by address."""

from paraph.core.ident import Address
from paraph.ledger.rooms.nodes.types import Node
from paraph.ledger.state import Listing, Numbers, Records
from paraph.proofs.records import Enclave, NodeKey

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a02"))
NODES: Records[Node] = Records(b"nodes/node/", Node)
LIST = Listing(b"nodes/list/")
HOT_KEYS: Records[NodeKey] = Records(b"nodes/key/", NodeKey)
KEYS_CLOSED_S = Numbers(b"nodes/closed/")
"""When a closed hot key was closed, Unix seconds: its record knows the height alone, which a receipt can lie about."""
PROMISES = Numbers(b"nodes/promises/")
"""By node: how many proofs it owes, for which its bond stands."""
ENCLAVES: Records[Enclave] = Records(b"nodes/enclave/", Enclave)
"""By the address of the key that signs their receipts."""
CURRENT = b"nodes/current/"
"""By node: the enclave that was registered last."""
ATTESTED = Numbers(b"nodes/attested/")
"""By node: how many of its enclaves were registered."""
MODULES = b"nodes/module/"
"""By the platform's name of an enclave: which was registered as it last."""
