"""Registering a model, changing its price, and giving it away."""

from dataclasses import replace

from paraph.core import abi
from paraph.core.amount import SUPPLY_WEI
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_DIGEST, Address, Digest, ModelId
from paraph.core.limits import NAME_BYTES_MAX, PAGE_MAX
from paraph.ledger.contract import Call
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.models.keys import LIST, MODELS, PRICES, price_place
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import ROYALTY_BPS_MAX
from paraph.ledger.state import State
from paraph.proofs.manifest import KINDS
from paraph.proofs.records import Model, Price

REGISTERED = abi.event(
    "ModelRegistered(bytes32 indexed modelId, address indexed owner, string name, uint16 royaltyBps)"
)
PRICED = abi.event(
    "ModelPriced(bytes32 indexed modelId, uint32 version, uint256 base, uint256 perInputUnit, uint256 perOutputUnit)"
)
TRANSFERRED = abi.event("ModelTransferred(bytes32 indexed modelId, address indexed before, address indexed owner)")

LAYERS_KNOWN = 0b111


def find(state: State, model_id: ModelId) -> Model:
    """The model's record. Raises `Rejected` (`models.unknown`)."""
    model = MODELS.get(state, model_id)
    if model is None:
        raise Rejected("models.unknown", f"no model 0x{model_id.hex()} is registered")
    return model


def register(
    call: Call,
    model_id: ModelId,
    manifest: Digest,
    name: str,
    kind: str,
    royalty_bps: int,
    layers: int,
    base: int,
    per_input: int,
    per_output: int,
) -> None:
    """`register`: the first to register a model owns it here."""
    if MODELS.get(call.state, model_id) is not None:
        raise Rejected("models.exists", "this model is registered already")
    most = params.get(call.state, ROYALTY_BPS_MAX)
    if royalty_bps > most:
        raise Rejected("models.royalty", f"a royalty is at most {most} basis points, not {royalty_bps}", limit=most)
    if ZERO_DIGEST in (model_id, manifest) or kind not in KINDS or not 0 < layers <= LAYERS_KNOWN:
        raise Rejected(
            "models.form", f"ids are not zero, kind is one of {', '.join(KINDS)}, layers has one of three bits"
        )
    # ASCII alone: what else is printable differs between versions of Python, and all machines must agree.
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= NAME_BYTES_MAX):
        raise Rejected("models.name", f"a name is 1 to {NAME_BYTES_MAX} printable ASCII characters")
    record = Model(call.sender, manifest, name, kind, royalty_bps, layers, 1, call.facts.height)
    MODELS.put(call.state, model_id, record)
    LIST.append(call.state, model_id)
    call.emit(call.to, REGISTERED, model_id, call.sender, name, royalty_bps)
    _put_price(call, model_id, 1, base, per_input, per_output)


def set_price(call: Call, model_id: ModelId, base: int, per_input: int, per_output: int) -> None:
    """`setPrice`: a new schedule from now on; work begun under the old one settles by the old one."""
    model = own(call, model_id)
    current = price(call.state, model_id, model.price_version)
    ended = replace(current, ended_s=max(call.facts.time_s, 1))
    PRICES.put(call.state, price_place(model_id, model.price_version), ended)
    version = model.price_version + 1
    MODELS.put(call.state, model_id, replace(model, price_version=version))
    _put_price(call, model_id, version, base, per_input, per_output)


def transfer(call: Call, model_id: ModelId, owner: Address) -> None:
    """`transfer`: another account becomes the owner and earns from now on."""
    model = own(call, model_id)
    if accounts.reserved(owner):
        raise Rejected("accounts.reserved", "royalties of this address would be lost; give the model to an account")
    MODELS.put(call.state, model_id, replace(model, owner=owner))
    call.emit(call.to, TRANSFERRED, model_id, call.sender, owner)


def get(call: Call, model_id: ModelId) -> tuple[object, ...]:
    """`get`: the model's record."""
    model = find(call.state, model_id)
    return (
        model.owner,
        model.manifest_digest,
        model.name,
        model.kind,
        model.royalty_bps,
        model.layers,
        model.price_version,
        model.height,
    )


def price(state: State, model_id: ModelId, version: int) -> Price:
    """A price schedule. Raises `Rejected` (`models.price_unknown`)."""
    found = PRICES.get(state, price_place(model_id, version))
    if found is None:
        raise Rejected("models.price_unknown", f"the model has no price schedule {version}")
    return found


def read_price(call: Call, model_id: ModelId, version: int) -> tuple[int, int, int, int]:
    """`price`: a schedule, by version."""
    found = price(call.state, model_id, version)
    return found.base, found.per_input_unit, found.per_output_unit, found.ended_s


def count(call: Call) -> int:
    """`count`: models registered."""
    return LIST.count(call.state)


def page(call: Call, start: int, limit: int) -> tuple[bytes, ...]:
    """`page`: model ids in order of registration."""
    limit = min(limit, PAGE_MAX)
    call.charge(2_000 * limit)
    return tuple(LIST.page(call.state, start, limit))


def own(call: Call, model_id: ModelId) -> Model:
    """The record of a model that the sender owns. Raises `Rejected` (`models.owner`, `models.unknown`)."""
    model = find(call.state, model_id)
    if model.owner != call.sender:
        raise Rejected("models.owner", "only the model's owner may do this")
    return model


def _put_price(call: Call, model_id: ModelId, version: int, base: int, per_input: int, per_output: int) -> None:
    if max(base, per_input, per_output) > SUPPLY_WEI:
        raise Rejected("models.price", "a price above the whole supply cannot be paid")
    PRICES.put(call.state, price_place(model_id, version), Price(base, per_input, per_output, 0))
    call.emit(call.to, PRICED, model_id, version, base, per_input, per_output)
