"""The records of the ledger that proofs speak of: their keys in state, their bytes, and what they mean.

They live here, below the ledger that writes them, because a verifier reads them from a state proof with no ledger at
hand. Each is RLP of its fields in order; an integer is big-endian without leading zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

from paraph.core import rlp
from paraph.core.digest import tagged
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.core.tags import Tag
from paraph.proofs.zk.statement import exact_id


class Record:
    """RLP coding for a frozen dataclass of integers, bytes, text and tuples of bytes. It holds no fields itself."""

    __slots__ = ()

    def encode(self) -> bytes:
        """The record's bytes in state."""
        return rlp.encode([_to_rlp(getattr(self, field.name)) for field in fields(self)])  # type: ignore[arg-type]

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the record back. Raises `Malformed` (`record.form`, `rlp.…`)."""
        item = rlp.decode(data)
        declared = fields(cls)  # type: ignore[arg-type]
        if isinstance(item, bytes) or len(item) != len(declared):
            raise Malformed("record.form", f"not the bytes of a {cls.__name__}")
        return cls(*(_from_rlp(field.type, part, field.name) for field, part in zip(declared, item, strict=True)))


def _to_rlp(value: object) -> rlp.Rlp:
    match value:
        case int():
            return rlp.from_uint(value)
        case bytes():
            return value
        case str():
            return value.encode()
        case tuple():
            return list(value)
        case _:
            raise Malformed("record.form", f"a record holds no {type(value).__name__}")


def _from_rlp(kind: object, item: rlp.Rlp, name: str) -> object:
    if kind is int:
        return rlp.to_uint(item, name)
    if kind in _TUPLES:
        if isinstance(item, bytes) or not all(isinstance(part, bytes) for part in item):
            raise Malformed("record.form", f"{name} must be a list of byte strings")
        return tuple(item)
    if not isinstance(item, bytes):
        raise Malformed("record.form", f"{name} must be a byte string")
    if kind is not str:
        return item
    try:
        return item.decode()
    except UnicodeDecodeError as error:
        raise Malformed("record.form", f"{name} must be UTF-8") from error


_TUPLES = (tuple[ModelId, ...], tuple[Address, ...], tuple[bytes, ...])


@dataclass(frozen=True, slots=True)
class NodeKey(Record):
    """A hot key of a node, and the heights at which it may sign. `height_last` 0 means it is still valid."""

    node: Address
    height_first: int
    height_last: int

    def valid_at(self, height: int) -> bool:
        """True when the key may sign a receipt that names `height`."""
        return self.height_first <= height and (self.height_last == 0 or height <= self.height_last)


@dataclass(frozen=True, slots=True)
class Model(Record):
    """A registered model version.

    Args:
        owner: who earns the royalty and may change the price.
        manifest_digest: tagged digest of the manifest that lists the files.
        name: how people call it, `owner/name` by habit; not unique and not trusted.
        kind: `text` or `tensor`.
        royalty_bps: the owner's part of each price, in basis points.
        layers: bit n−1 set when layer n is offered.
        price_version: the schedule now in force.
        height: when it was registered.
    """

    owner: Address
    manifest_digest: Digest
    name: str
    kind: str
    royalty_bps: int
    layers: int
    price_version: int
    height: int


@dataclass(frozen=True, slots=True)
class Price(Record):
    """A price schedule, in wei; never changed once written, only superseded.

    Args:
        base: per request.
        per_input_unit, per_output_unit: per token, or per row for tensors.
        ended_s: when a newer schedule took its place; 0 while in force.
    """

    base: int
    per_input_unit: int
    per_output_unit: int
    ended_s: int

    def of(self, input_units: int, output_units: int) -> int:
        """The price in wei of an answer with so many units."""
        return self.base + self.per_input_unit * input_units + self.per_output_unit * output_units


@dataclass(frozen=True, slots=True)
class Batch(Record):
    """A settled batch: the RFC 6962 root and number of its receipts, and when it was settled."""

    root: Digest
    size: int
    height: int
    time_s: int


@dataclass(frozen=True, slots=True)
class Release(Record):
    """Code that enclaves may run: what the platform measures of it, and where its source is.

    Args:
        platform: on which; as `Evidence.platform` names it.
        name: how people call it.
        names, values: its measurements by the platform's names (ASCII), which are in order; and, as `min_` and the
            name of a part, the lowest security version of the platform, a number, the highest byte first.
        source: the commit it was built from, or where to find it.
        provenance: digest of a statement of how it was built; zero for none.
        height_first, height_last: from and until when it is approved; `height_last` 0 while it is.
        revoked_s: when it was revoked, Unix seconds; 0 while it is approved.
    """

    platform: str
    name: str
    names: tuple[bytes, ...]
    values: tuple[bytes, ...]
    source: str
    provenance: Digest
    height_first: int
    height_last: int
    revoked_s: int

    @property
    def measurements(self) -> Mapping[str, bytes]:
        """What the platform measures of it, by name."""
        return {name: value for name, value in self.stated.items() if not name.startswith(FLOOR)}

    @property
    def versions_min(self) -> Mapping[str, int]:
        """The lowest security versions of the platform's parts that it is believed on, by part: `min_` in its names."""
        found = self.stated.items()
        return {
            name.removeprefix(FLOOR): int.from_bytes(value, "big") for name, value in found if name.startswith(FLOOR)
        }

    @property
    def stated(self) -> Mapping[str, bytes]:
        """All that it states, by name; its id is of these."""
        return {name.decode("ascii", "replace"): value for name, value in zip(self.names, self.values, strict=False)}

    def valid_at(self, height: int) -> bool:
        """True when an enclave that runs it could sign a receipt that names `height`."""
        return self.height_first <= height and (self.height_last == 0 or height <= self.height_last)


FLOOR: Final = "min_"


def release_id(platform: str, measurements: Mapping[str, bytes]) -> Digest:
    """What a release is named by: the platform and what it measures."""
    names = sorted(measurements)
    parts = [platform.encode(), [name.encode() for name in names], [measurements[name] for name in names]]
    return tagged(Tag.RELEASE, rlp.encode(parts))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Enclave(Record):
    """Keys that an enclave vouched for, as validators verified it. Never changed once written, but for its closing.

    Args:
        node: whose it is.
        keyset: its keys (`quotes.binding.Keyset`), encoded.
        release: what it runs.
        platform: what vouches for it.
        trust: how much that is worth (`quotes.claims.TrustClass`); it follows from the root that verified.
        module: the platform's name of it, or of its chip.
        certificates: names of the certificates below the root, by which it can be revoked.
        evidence: the digest of its attestation, as its receipts carry it.
        time_s: the time of the block that verified it, Unix seconds.
        height_first, height_last: at which heights its key may sign; `height_last` 0 while it is open.
        closed_s: when it was closed before its end, Unix seconds; 0 while it is open.
        expires_s: when it ends by itself, Unix seconds.
    """

    node: Address
    keyset: bytes
    release: Digest
    platform: str
    trust: int
    module: str
    certificates: tuple[bytes, ...]
    evidence: Digest
    time_s: int
    height_first: int
    height_last: int
    closed_s: int
    expires_s: int

    def valid_at(self, height: int) -> bool:
        """True when its key may sign a receipt that names `height`."""
        return self.height_first <= height and (self.height_last == 0 or height <= self.height_last)


@dataclass(frozen=True, slots=True)
class ExactModel(Record):
    """What a registered model computes, exactly. Never changed once written: another function is another model.

    Args:
        graph: digest of its graph's canonical bytes.
        weight_root: the commitment to its weights.
        version: of the proof system under which it is proven.
    """

    graph: Digest
    weight_root: Digest
    version: int

    @property
    def id(self) -> Digest:
        """The exact id, which a proof's statement names. Of this version of the proof system: there is no other yet."""
        return exact_id(self.graph, self.weight_root)


@dataclass(frozen=True, slots=True)
class Proven(Record):
    """That the network took a proof of a request: with the request's key and node, the proof's whole statement.

    Args:
        mode: what the proof gives away (`zk.statement.Mode`).
        exact: the exact id of the model.
        batch: the batch root, over this request and those proven with it.
        size: how many these are.
        beacon: the block hash in the statement.
        height: the block that took the proof.
    """

    mode: int
    exact: Digest
    batch: Digest
    size: int
    beacon: Digest
    height: int


def node_key_key(signer: Address) -> bytes:
    """The state key of a hot key's record."""
    return b"nodes/key/" + signer


def enclave_key(signer: Address) -> bytes:
    """The state key of the enclave whose receipt key that is."""
    return b"nodes/enclave/" + signer


def release_key(release: Digest) -> bytes:
    """The state key of a release."""
    return b"measurements/release/" + release


def model_key(model_id: ModelId) -> bytes:
    """The state key of a model's record."""
    return b"models/record/" + model_id


def exact_key(model_id: ModelId) -> bytes:
    """The state key of what a model computes exactly."""
    return b"models/exact/" + model_id


def price_key(model_id: ModelId, version: int) -> bytes:
    """The state key of a price schedule."""
    return b"models/price/" + model_id + version.to_bytes(4, "big")


def batch_key(number: int) -> bytes:
    """The state key of a settled batch."""
    return b"settlement/batch/" + number.to_bytes(8, "big")


def due_key(payer: Address, key: RequestKey) -> bytes:
    """The state key of a proof that is due."""
    return b"proofs/due/" + payer + key


def proven_key(payer: Address, key: RequestKey) -> bytes:
    """The state key of a request's proof that the network took."""
    return b"proofs/proven/" + payer + key


def missed_key(payer: Address, key: RequestKey) -> bytes:
    """The state key of the block that noted that a request's proof was not brought in time."""
    return b"proofs/missed/" + payer + key
