"""Verified registry reads: what the ledger says of models, nodes and keys, proved against a state that is believed.

No RPC server is believed: it can withhold or be behind, not lie. Where validators agree, witnesses are asked whether
they hold the same chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never

from paraph.core.amount import Wei
from paraph.core.encode import Json, as_list, take
from paraph.core.errors import Malformed, Rejected, Unavailable, Unverified
from paraph.core.ident import Address, Digest, ModelId, digest_from_hex, from_hex, to_hex
from paraph.core.keys import checksummed
from paraph.core.limits import PAGE_MAX
from paraph.core.smt import proof_from_json, proves
from paraph.flows.belief import led
from paraph.flows.effect import Flow, Rpc, ask
from paraph.flows.fork import reporting
from paraph.flows.light import witnessed
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.escrow.keys import ACCOUNTS
from paraph.ledger.rooms.escrow.types import EMPTY, Account
from paraph.ledger.rooms.measurements.keys import LIST as RELEASE_LIST
from paraph.ledger.rooms.measurements.keys import RELEASES
from paraph.ledger.rooms.models.keys import LIST as MODELS
from paraph.ledger.rooms.models.keys import MODELS as MODEL_RECORDS
from paraph.ledger.rooms.nodes.keys import LIST, NODES
from paraph.ledger.rooms.nodes.types import Node
from paraph.ledger.state import Listing
from paraph.proofs.bundle import Proved
from paraph.proofs.light.types import LightBlock
from paraph.proofs.policy import Trust
from paraph.proofs.records import Model, Price, Record, Release, model_key, price_key
from paraph.proofs.request import Layer
from paraph.proofs.seal import ProducerSeal, Seal, ValidatorSeal, believe, seal_from_json

R = TypeVar("R", bound=Record)

AGE_S_MAX: Final = 600
"""How old the newest block may be where validators make one every second or few."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State keys as one believed state has them; an absent key has no entry."""

    seal: Seal
    values: dict[bytes, Proved]

    def record(self, key: bytes, kind: type[R]) -> R | None:
        """The record at `key`, or None when the ledger has none."""
        found = self.values.get(key)
        return None if found is None else kind.decode(found.value)


def read(trust: Trust, *keys: bytes) -> Flow[Snapshot]:
    """Read keys and prove every one.

    Raises:
        Unverified: `header.signature`, `light.…`, `registry.proof`: the server's reply does not verify.
    """
    asked: list[Json] = [to_hex(key) for key in keys]
    reply = yield from ask(Rpc("paraph_getProof", (asked,)))
    shown, rows = _reading(reply, len(keys))
    seal = yield from believed(trust, shown)
    values: dict[bytes, Proved] = {}
    for row, key in zip(rows, keys, strict=True):
        named, value, proof = take(row, "a proof of state", "key", "value", "proof")
        found = None if value is None else from_hex(value, None, "value")
        parsed = proof_from_json(proof, "a proof of state")
        if named != to_hex(key) or not proves(seal.state_root, key, found, parsed):
            raise Unverified((("registry.proof", f"the server's proof of {key!r} does not hold"),))
        if found is not None:
            values[key] = Proved(found, parsed)
    return Snapshot(seal, values)


def believed(trust: Trust, shown: Seal) -> Flow[Seal]:
    """A seal of the same state that follows from what is pinned, with the blocks in between where they are needed.

    Raises:
        Unverified: `header.signature`, `light.…`: none does, the anchor is too old, or a witness holds another chain.
        Unavailable: `light.stale`, `light.witness`.
    """
    match shown:
        case ProducerSeal():
            believe(shown, trust)
            return shown
        case ValidatorSeal():
            found = yield from led(trust, shown)
            _need_fresh(found.seal.blocks[-1], found.now_s)
            yield from reporting(witnessed(found.anchor, found.seal.blocks, found.chain_id))
            return found.seal
        case _:
            assert_never(shown)


def _need_fresh(block: LightBlock, now_s: int) -> None:
    # An old state is a true one, of a key since closed or a price since raised; witnesses would agree to it.
    age_s = now_s - block.header.time.seconds
    if age_s > AGE_S_MAX:
        raise Unavailable(
            "light.stale",
            f"the newest block that the server shows is {age_s} s old: it is behind, or the network stands still;"
            " ask another node",
            age_s=age_s,
        )


def _reading(reply: Json, count: int) -> tuple[Seal, Sequence[Json]]:
    seal, proofs = take(reply, "the reply to paraph_getProof", "seal", "proofs")
    rows = as_list(proofs, "proofs", items_max=count)
    if len(rows) != count:
        raise Malformed("registry.reply", f"the server answered {len(rows)} of {count} keys")
    return seal_from_json(seal), rows


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as registered, with its price in force."""

    model_id: ModelId
    model: Model
    price: Price


def offer(trust: Trust, model_id: ModelId) -> Flow[Offer]:
    """The model's record and price. Raises `Rejected` (`models.unknown`)."""
    snapshot = yield from read(trust, model_key(model_id))
    model = snapshot.record(model_key(model_id), Model)
    if model is None:
        raise Rejected("models.unknown", f"no model 0x{model_id.hex()} is registered on {trust.network}")
    place = price_key(model_id, model.price_version)
    price = (yield from read(trust, place)).record(place, Price)
    if price is None:
        raise Malformed("models.price_unknown", "the ledger shows a model without its price")
    return Offer(model_id, model, price)


def nodes(trust: Trust) -> Flow[dict[Address, Node]]:
    """Every registered node that has not left, by operator account."""
    found = yield from listed(trust, LIST, NODES.prefix, Node)
    return {Address(operator): node for operator, node in found.items() if not node.leaving_s}


def node(trust: Trust, operator: Address) -> Flow[Node]:
    """A registered node that has not left. Raises `Rejected` (`nodes.unknown`)."""
    place = NODES.prefix + operator
    found = (yield from read(trust, place)).record(place, Node)
    if found is None or found.leaving_s:
        raise Rejected("nodes.unknown", f"{checksummed(operator)} is not a registered node")
    return found


def listed(trust: Trust, listing: Listing, prefix: bytes, kind: type[R]) -> Flow[dict[bytes, R]]:
    """Every record that a listing names, in its order, by name; the records stand under `prefix`."""
    count_key = listing.prefix + b"count"
    counted = (yield from read(trust, count_key)).values.get(count_key)
    count = int.from_bytes(counted.value, "big") if counted else 0
    found: dict[bytes, R] = {}
    for start in range(0, count, PAGE_MAX // 2):
        stop = min(start + PAGE_MAX // 2, count)
        places = [listing.prefix + index.to_bytes(8, "big") for index in range(start, stop)]
        listed = yield from read(trust, *places)
        names = [listed.values[place].value for place in places if place in listed.values]
        records = yield from read(trust, *(prefix + name for name in names))
        for name in names:
            record = records.record(prefix + name, kind)
            if record is not None:
                found[name] = record
    return found


def serving(
    trust: Trust, model_id: ModelId, layer: Layer, wanted: Address | None
) -> Flow[tuple[tuple[Address, Node], ...]]:
    """The nodes that serve a model with a layer, the one heard of last first; only `wanted` when a node is named.

    Raises:
        Rejected: `nodes.none`: no node serves it; `nodes.unknown`: the node named is none or does not serve it.
    """
    found = yield from nodes(trust)
    able = [
        (address, node) for address, node in found.items() if model_id in node.models and node.layers >> (layer - 1) & 1
    ]
    if wanted is not None:
        able = [(address, node) for address, node in able if address == wanted]
        if not able:
            raise Rejected(
                "nodes.unknown", f"{checksummed(wanted)} is not a node that serves this model with this layer"
            )
    if not able:
        raise Rejected("nodes.none", f"no registered node serves this model with the layer {layer.word}")
    return tuple(sorted(able, key=lambda pair: (-pair[1].heartbeat_s, pair[0])))


def models(trust: Trust) -> Flow[dict[ModelId, Model]]:
    """Every registered model."""
    found = yield from listed(trust, MODELS, MODEL_RECORDS.prefix, Model)
    return {ModelId(model_id): model for model_id, model in found.items()}


def releases(trust: Trust) -> Flow[dict[Digest, Release]]:
    """Every release ever approved; a revoked one says so itself."""
    found = yield from listed(trust, RELEASE_LIST, RELEASES.prefix, Release)
    return {Digest(release_id): release for release_id, release in found.items()}


def find_model(trust: Trust, name: str) -> Flow[ModelId]:
    """The model of that id (hex with 0x) or registered name.

    Raises:
        Rejected: `models.unknown`; `models.ambiguous`: several carry the name, since names are not unique.
    """
    if name.startswith("0x"):
        return ModelId(digest_from_hex(name, "the model id"))
    found = [model_id for model_id, model in (yield from models(trust)).items() if model.name == name]
    if not found:
        raise Rejected("models.unknown", f"no model named {name[:80]!r} is registered on {trust.network}")
    if len(found) > 1:
        ids = ", ".join(to_hex(model_id) for model_id in found[:5])
        raise Rejected("models.ambiguous", f"{len(found)} models are named {name!r}; name one by id: {ids}")
    return found[0]


def escrow(trust: Trust, payer: Address) -> Flow[Account]:
    """The payer's escrow account, empty when there is none."""
    place = ACCOUNTS.prefix + payer
    return (yield from read(trust, place)).record(place, Account) or EMPTY


def balance(trust: Trust, account: Address) -> Flow[Wei]:
    """What the account holds, in wei."""
    place = BALANCES.prefix + account
    found = (yield from read(trust, place)).values.get(place)
    return Wei(int.from_bytes(found.value, "big") if found else 0)
