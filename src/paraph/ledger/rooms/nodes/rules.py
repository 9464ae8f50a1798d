"""Registering a node, changing what it says of itself, turning its key, and leaving with the bond."""

from dataclasses import dataclass, replace
from typing import assert_never

from paraph.core import abi
from paraph.core.amount import Wei, share
from paraph.core.digest import keccak256
from paraph.core.errors import Rejected, must
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.keys import recover
from paraph.core.limits import ENDPOINT_BYTES_MAX, MODELS_PER_NODE_MAX, PAGE_MAX
from paraph.ledger.contract import Call
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import TREASURY
from paraph.ledger.rooms.measurements import rules as measurements
from paraph.ledger.rooms.nodes import enclaves
from paraph.ledger.rooms.nodes.keys import ADDRESS, ENCLAVES, HOT_KEYS, KEYS_CLOSED_S, LIST, NODES, PROMISES
from paraph.ledger.rooms.nodes.types import Node
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import NODE_BOND_MIN_WEI, UNBOND_DELAY_S
from paraph.ledger.state import State
from paraph.proofs.receipt import SIGNATURE_DIGEST
from paraph.proofs.records import NodeKey
from paraph.proofs.request import Layer

REGISTERED = abi.event("NodeRegistered(address indexed node, address indexed hotKey, string endpoint, uint256 bond)")
UPDATED = abi.event("NodeUpdated(address indexed node, string endpoint, uint8 layers)")
KEY_ROTATED = abi.event("NodeKeyRotated(address indexed node, address indexed before, address indexed hotKey)")
HEARTBEAT = abi.event("NodeHeartbeat(address indexed node, uint64 time)")
LEAVING = abi.event("NodeLeaving(address indexed node, uint64 unlockTime)")
SLASHED = abi.event("NodeSlashed(address indexed node, uint256 amount)")
LEFT = abi.event("NodeLeft(address indexed node, uint256 bond)")

LAYERS_KNOWN = 0b111


def key_proof_digest(chain_id: int, node: Address) -> Digest:
    """What a hot key signs to join a node, so that nobody can claim another's key."""
    return keccak256(b"paraph/hot-key/1" + chain_id.to_bytes(32, "big") + node)


def key_of(state: State, signer: Address) -> NodeKey | None:
    """The record of a hot key, or None."""
    return HOT_KEYS.get(state, signer)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs receipts of one layer.

    Args:
        key: whose it is, and the heights at which it may sign.
        ended_s: when it stopped, or stops by itself, Unix seconds; 0 while no end is known.
        evidence: the digest of what stands beside its receipts; None where each has its own, a promise.
    """

    key: NodeKey
    ended_s: int
    evidence: Digest | None


def signer(state: State, address: Address, layer: Layer) -> Signer | None:
    """Who signs receipts of a layer with that key; None when nobody may."""
    match layer:
        case Layer.SIGNATURE:
            return _hot(state, address, SIGNATURE_DIGEST)
        case Layer.TEE:
            return _attested(state, address)
        case Layer.ZK:
            return _hot(state, address, None)
        case _:
            assert_never(layer)


def _hot(state: State, address: Address, evidence: Digest | None) -> Signer | None:
    key = key_of(state, address)
    return None if key is None else Signer(key, KEYS_CLOSED_S.get(state, address), evidence)


def _attested(state: State, address: Address) -> Signer | None:
    enclave = ENCLAVES.get(state, address)
    if enclave is None:
        return None
    release = measurements.find(state, enclave.release)
    # It ends by its own time, by being closed, or with the code that it runs.
    heights = [height for height in (enclave.height_last, release.height_last) if height]
    times = [time_s for time_s in (enclave.expires_s, enclave.closed_s, release.revoked_s) if time_s]
    key = NodeKey(enclave.node, enclave.height_first, min(heights, default=0))
    return Signer(key, min(times), enclave.evidence)


def register(
    call: Call, endpoint: str, hot_key: Address, key_proof: bytes, layers: int, models: tuple[ModelId, ...]
) -> None:
    """`register`: the sender becomes a node, with the value sent as its bond."""
    if NODES.get(call.state, call.sender) is not None:
        raise Rejected("nodes.exists", "this account is a node already; use update or rotateKey")
    least = params.get(call.state, NODE_BOND_MIN_WEI)
    if call.value < least:
        raise Rejected("nodes.bond", f"a node's bond is at least {least} wei; {call.value} was sent", needed=least)
    _check(endpoint, layers, models)
    _admit_key(call, hot_key, key_proof)
    now = call.facts.time_s
    NODES.put(call.state, call.sender, Node(endpoint, call.value, hot_key, layers, models, now, 0))
    LIST.append(call.state, call.sender)
    call.emit(call.to, REGISTERED, call.sender, hot_key, endpoint, call.value)


def update(call: Call, endpoint: str, layers: int, models: tuple[ModelId, ...]) -> None:
    """`update`: where the node answers, what it offers, what it serves."""
    node = _own(call)
    _check(endpoint, layers, models)
    changed = Node(endpoint, node.bond, node.hot_key, layers, models, node.heartbeat_s, node.leaving_s)
    NODES.put(call.state, call.sender, changed)
    call.emit(call.to, UPDATED, call.sender, endpoint, layers)


def rotate_key(call: Call, hot_key: Address, key_proof: bytes) -> None:
    """`rotateKey`: a new hot key from this block on; the old one stays valid for receipts up to this block."""
    node = _own(call)
    _close_key(call, node.hot_key)
    _admit_key(call, hot_key, key_proof)
    changed = Node(node.endpoint, node.bond, hot_key, node.layers, node.models, node.heartbeat_s, node.leaving_s)
    NODES.put(call.state, call.sender, changed)
    call.emit(call.to, KEY_ROTATED, call.sender, node.hot_key, hot_key)


def heartbeat(call: Call) -> None:
    """`heartbeat`: by the operator or by the hot key."""
    key = key_of(call.state, call.sender)
    operator = key.node if key is not None and key.valid_at(call.facts.height) else call.sender
    node = _node(call.state, operator)
    now = call.facts.time_s
    changed = Node(node.endpoint, node.bond, node.hot_key, node.layers, node.models, now, node.leaving_s)
    NODES.put(call.state, operator, changed)
    call.emit(call.to, HEARTBEAT, operator, now)


def deregister(call: Call) -> None:
    """`deregister`: the key stops now; the bond may be withdrawn after the delay."""
    node = _own(call)
    _close_key(call, node.hot_key)
    enclaves.close_current(call, call.sender)
    unlock = call.facts.time_s + params.get(call.state, UNBOND_DELAY_S)
    changed = Node(node.endpoint, node.bond, node.hot_key, 0, (), node.heartbeat_s, max(unlock, 1))
    NODES.put(call.state, call.sender, changed)
    call.emit(call.to, LEAVING, call.sender, unlock)


def withdraw_bond(call: Call) -> None:
    """`withdrawBond`: after the delay the bond goes home, unless proofs are owed, for which it stands."""
    node = _node(call.state, call.sender)
    if node.leaving_s == 0 or call.facts.time_s < node.leaving_s or node.bond == 0:
        raise Rejected(
            "nodes.bonded",
            f"nothing to withdraw now: leaving {node.leaving_s}, now {call.facts.time_s}, bond {node.bond} wei",
            unlock=node.leaving_s,
        )
    owed = PROMISES.get(call.state, call.sender)
    if owed:
        raise Rejected(
            "nodes.promises", f"{owed} promised proofs are due: prove them, or expire them when they are late"
        )
    accounts.pay(call, call.to, call.sender, node.bond)
    changed = Node(node.endpoint, 0, node.hot_key, 0, (), node.heartbeat_s, node.leaving_s)
    NODES.put(call.state, call.sender, changed)
    call.emit(call.to, LEFT, call.sender, node.bond)


def slash(call: Call, operator: Address, rate_bps: int) -> Wei:
    """Take a part of the node's bond as it is now, for the treasury. Rounded down, in favour of the node.

    Returns:
        how much was taken, in wei: nothing once all was taken.
    """
    node = _node(call.state, operator)
    cut = share(Wei(node.bond), rate_bps)
    NODES.put(call.state, operator, replace(node, bond=node.bond - cut))
    accounts.pay(call, ADDRESS, TREASURY, cut)
    call.emit(ADDRESS, SLASHED, operator, cut)
    return cut


def count_promises(state: State, operator: Address, more: int) -> None:
    """Proofs are owed, or, where `more` is below zero, no longer. While any is, the bond does not go home."""
    PROMISES.add(state, operator, more)


def has_bond(state: State, operator: Address) -> bool:
    """Whether anything is left of the node's bond, to stand for what it promises."""
    return _node(state, operator).bond > 0


def get(call: Call, operator: Address) -> tuple[object, ...]:
    """`get`: the node's record."""
    return _values(_node(call.state, operator))


def read_key(call: Call, signer: Address) -> tuple[Address, int, int]:
    """`keyOf`: whose a hot key is, and the heights it is valid at."""
    key = key_of(call.state, signer)
    if key is None:
        raise Rejected("nodes.key_unknown", "no node has registered this key")
    return key.node, key.height_first, key.height_last


def count(call: Call) -> int:
    """`count`: nodes ever registered."""
    return LIST.count(call.state)


def page(call: Call, start: int, limit: int) -> tuple[bytes, ...]:
    """`page`: operators in order of registration."""
    limit = min(limit, PAGE_MAX)
    call.charge(2_000 * limit)
    return tuple(LIST.page(call.state, start, limit))


def _values(node: Node) -> tuple[object, ...]:
    return (node.endpoint, node.bond, node.hot_key, node.layers, node.models, node.heartbeat_s, node.leaving_s)


def _node(state: State, operator: Address) -> Node:
    node = NODES.get(state, operator)
    if node is None:
        raise Rejected("nodes.unknown", "this account is not a node")
    return node


def _own(call: Call) -> Node:
    node = _node(call.state, call.sender)
    if node.leaving_s:
        raise Rejected("nodes.leaving", "this node has left; register from another account")
    return node


def _check(endpoint: str, layers: int, models: tuple[ModelId, ...]) -> None:
    plain = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
    if not (plain and endpoint.startswith(("http://", "https://")) and len(endpoint) <= ENDPOINT_BYTES_MAX):
        raise Rejected(
            "nodes.endpoint", f"an endpoint is an http(s) URL of at most {ENDPOINT_BYTES_MAX} ASCII characters"
        )
    if not 0 < layers <= LAYERS_KNOWN:
        raise Rejected("nodes.layers", "layers is a bit set: 1 signature, 2 tee, 4 zk; at least one")
    if len(models) > MODELS_PER_NODE_MAX or len(set(models)) != len(models):
        raise Rejected("nodes.models", f"at most {MODELS_PER_NODE_MAX} models, each once")


def _admit_key(call: Call, hot_key: Address, proof: bytes) -> None:
    if HOT_KEYS.get(call.state, hot_key) is not None or ENCLAVES.get(call.state, hot_key) is not None:
        raise Rejected("nodes.key_used", "this hot key was registered before; make a new one")
    if recover(key_proof_digest(call.facts.chain_id, call.sender), proof) != hot_key:
        raise Rejected("nodes.key_proof", "the proof is not the hot key's signature for this account")
    HOT_KEYS.put(call.state, hot_key, NodeKey(call.sender, call.facts.height, 0))


def _close_key(call: Call, hot_key: Address) -> None:
    key = HOT_KEYS.get(call.state, hot_key)
    must(key is not None, "a node's hot key has a record")
    HOT_KEYS.put(call.state, hot_key, NodeKey(call.sender, key.height_first, call.facts.height))  # type: ignore[union-attr]
    KEYS_CLOSED_S.put(call.state, hot_key, max(call.facts.time_s, 1))
