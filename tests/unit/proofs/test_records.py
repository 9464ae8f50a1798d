"""Records of the ledger: every field is in the bytes, one record has one form, and other bytes are refused."""

from dataclasses import dataclass, fields, replace

import pytest
from tests.support.build import valid
from tests.support.change import varied

from paraph.core import rlp
from paraph.core.digest import sha256
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.proofs.check import judge
from paraph.proofs.records import (
    Batch,
    ExactModel,
    Model,
    NodeKey,
    Price,
    Proven,
    Record,
    batch_key,
    due_key,
    exact_key,
    missed_key,
    model_key,
    node_key_key,
    price_key,
    proven_key,
)
from paraph.proofs.zk.statement import exact_id

ADDRESS = Address(b"\x01" * 20)


@dataclass(frozen=True, slots=True)
class Sample(Record):
    """One field of every kind that a record may have."""

    number: int
    digest: Digest
    text: str
    models: tuple[ModelId, ...]
    accounts: tuple[Address, ...]


SAMPLES: list[Record] = [
    NodeKey(ADDRESS, 3, 0),
    Model(ADDRESS, sha256(b"manifest"), "owner/näme", "text", 250, 7, 2, 9),
    Price(10**18, 0, 2**200, 0),
    Batch(sha256(b"root"), 500, 7, 1_750_000_000),
    ExactModel(sha256(b"graph"), sha256(b"weights"), 1),
    Proven(2, sha256(b"exact"), sha256(b"batch"), 64, sha256(b"beacon"), 9),
    Sample(0, sha256(b"x"), "", (), (ADDRESS, ADDRESS)),
    Sample(2**256 - 1, sha256(b"y"), "é", (ModelId(sha256(b"m")),), ()),
]


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__ + str(len(record.encode())))
def test_record_round_trips(record: Record) -> None:
    """A record is read back as it was written."""
    assert type(record).decode(record.encode()) == record


@pytest.mark.parametrize("record", SAMPLES[:6], ids=lambda record: type(record).__name__)
def test_every_field_matters(record: Record) -> None:
    """Any field changed changes the bytes."""
    seen = {record.encode()}
    names = set()
    for name, other in varied(record):
        assert other.encode() not in seen, name
        seen.add(other.encode())
        names.add(name)

    assert names == {each.name for each in fields(record)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "kind", "code"),
    [
        ("key", NodeKey, "registry.key"),
        ("model", Model, "registry.model"),
        ("price", Price, "registry.price"),
        ("record", Batch, "settlement.batch"),
    ],
)
def test_every_field_is_proved(part: str, kind: type[Record], code: str) -> None:
    """A record that differs in any field from the one in state fails its claim, proof or no proof."""
    case = valid("text")
    chain = case.bundle.chain
    settled = chain.settled
    assert settled is not None
    proved = settled.record if part == "record" else getattr(chain, part)
    for name, other in varied(kind.decode(proved.value)):
        forged = replace(proved, value=other.encode())
        changed = (
            replace(chain, settled=replace(settled, record=forged))
            if part == "record"
            else replace(chain, **{part: forged})  # type: ignore[arg-type]
        )
        found = judge(replace(case.bundle, chain=changed), case.trust)
        assert code in {each for each, _ in found.reasons}, name


GOOD = rlp.as_list(rlp.decode(SAMPLES[5].encode()), "it")


@pytest.mark.parametrize(
    ("at", "part"),
    [
        (0, b"\x00"),
        (0, b"\x01" * 33),
        (0, []),
        (1, []),
        (2, []),
        (2, b"\xff"),
        (3, b""),
        (3, [[]]),
        (4, b"x"),
        (4, [b"", [b""]]),
    ],
    ids=range(10),
)
def test_other_parts_are_refused(at: int, part: rlp.Rlp) -> None:
    """A number with a leading zero, a list for bytes, bytes for a list, or text that is not UTF-8 is refused."""
    with pytest.raises(Malformed) as caught:
        Sample.decode(rlp.encode([*GOOD[:at], part, *GOOD[at + 1 :]]))

    assert caught.value.code in ("record.form", "rlp.integer")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\xc0", rlp.encode(GOOD[:-1]), rlp.encode([*GOOD, b""]), rlp.encode(GOOD) + b"\0"],
    ids=range(6),
)
def test_other_shapes_are_refused(data: bytes) -> None:
    """No list, a part too few or too many, or bytes that follow: refused by name."""
    with pytest.raises(Malformed):
        Sample.decode(data)


def test_records_hold_plain_values_only() -> None:
    """A value that a record cannot hold is refused when written."""
    with pytest.raises(Malformed) as caught:
        Price(1, 2, 3, None).encode()  # type: ignore[arg-type]

    assert caught.value.code == "record.form"


def test_key_is_valid_between_its_heights() -> None:
    """A key is valid from its first height to its last, both included; with no last, for good."""
    closed, open_ended = NodeKey(ADDRESS, 3, 5), NodeKey(ADDRESS, 3, 0)

    assert [height for height in range(8) if closed.valid_at(height)] == [3, 4, 5]
    assert [height for height in range(8) if open_ended.valid_at(height)] == [3, 4, 5, 6, 7]


def test_price_is_a_sum() -> None:
    """The price is the base and each unit's price times the units."""
    assert Price(7, 11, 13, 0).of(2, 3) == 7 + 22 + 39
    assert Price(7, 11, 13, 0).of(0, 0) == 7


def test_keys_are_apart() -> None:
    """No two records share a state key."""
    model = ModelId(sha256(b"m"))
    key = RequestKey(sha256(b"request"))
    keys = [node_key_key(ADDRESS), model_key(model), price_key(model, 1), price_key(model, 2), batch_key(1)]
    keys += [exact_key(model), due_key(ADDRESS, key), proven_key(ADDRESS, key), missed_key(ADDRESS, key)]

    assert len(set(keys)) == len(keys)
    assert price_key(model, 2**32 - 1).endswith(b"\xff" * 4)


def test_an_exact_model_names_its_exact_id() -> None:
    """The record's exact id is that of the statement: of version, graph and weights."""
    record = ExactModel(sha256(b"graph"), sha256(b"weights"), 1)

    assert record.id == exact_id(sha256(b"graph"), sha256(b"weights"))
