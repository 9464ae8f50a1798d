"""What is always so of nodes."""

from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.measurements.keys import RELEASES
from paraph.ledger.rooms.nodes.keys import ADDRESS, CURRENT, ENCLAVES, HOT_KEYS, KEYS_CLOSED_S, NODES
from paraph.ledger.rooms.nodes.types import Node
from paraph.ledger.state import State
from paraph.proofs.quotes.binding import Keyset
from paraph.proofs.records import Enclave, NodeKey


def bonds_are_held(dump: dict[bytes, bytes]) -> list[str]:
    """The nodes contract holds exactly the bonds of all nodes."""
    nodes = (Node.decode(value) for key, value in dump.items() if key.startswith(NODES.prefix))
    bonds = sum(node.bond for node in nodes)
    held = BALANCES.get(State(dump.get), ADDRESS)
    return [] if bonds == held else [f"bonds add up to {bonds} wei; the contract holds {held}"]


def keys_belong_to_nodes(dump: dict[bytes, bytes]) -> list[str]:
    """Every hot key names a registered node, a closed one has its time; a node that stays has one open key: its own."""
    keys = {
        key[len(HOT_KEYS.prefix) :]: NodeKey.decode(value)
        for key, value in sorted(dump.items())
        if key.startswith(HOT_KEYS.prefix)
    }
    wrong = [f"key {key.hex()} names no node" for key, record in keys.items() if NODES.prefix + record.node not in dump]
    closed = [key[len(KEYS_CLOSED_S.prefix) :] for key in sorted(dump) if key.startswith(KEYS_CLOSED_S.prefix)]
    if closed != [key for key, record in keys.items() if record.height_last]:
        wrong.append(f"the keys closed at a time are {[each.hex() for each in closed]}")
    for key, value in sorted(dump.items()):
        if key.startswith(NODES.prefix):
            node, operator = Node.decode(value), key[len(NODES.prefix) :]
            opened = [each for each, record in keys.items() if record.node == operator and record.height_last == 0]
            if opened != ([] if node.leaving_s else [node.hot_key]):
                wrong.append(f"node {operator.hex()} has open keys {[each.hex() for each in opened]}")
    return wrong


def enclaves_belong_to_nodes(dump: dict[bytes, bytes]) -> list[str]:
    """Every enclave stands under its receipt key, with its node's and its code's record; an open one is its node's."""
    wrong = []
    for place, value in sorted(dump.items()):
        if place.startswith(ENCLAVES.prefix):
            found, signer = Enclave.decode(value), place[len(ENCLAVES.prefix) :]
            node = dump.get(NODES.prefix + found.node)
            keyset = Keyset.decode(found.keyset)
            if node is None or (keyset.node, keyset.receipt_key) != (found.node, signer):
                wrong.append(f"enclave {signer.hex()} is of no node, or of other keys")
            elif not found.height_last and (
                dump.get(CURRENT + found.node) != signer or Node.decode(node).leaving_s != 0
            ):
                wrong.append(f"enclave {signer.hex()} is open, and not its node's")
            if RELEASES.prefix + found.release not in dump:
                wrong.append(f"enclave {signer.hex()} runs what was never approved")
    return wrong
