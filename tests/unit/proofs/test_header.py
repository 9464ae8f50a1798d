"""Headers: every field is in the hash, only the producer's signature counts, and both forms are read strictly."""

from dataclasses import replace

import pytest
from tests.support.build import PRODUCER, STRANGER, valid
from tests.support.change import varied

from paraph.core import rlp
from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.ident import to_hex
from paraph.proofs.check import judge
from paraph.proofs.header import (
    HASHES_KEPT,
    Head,
    SignedHeader,
    hash_key,
    header_from_json,
    header_from_rlp,
    header_to_rlp,
)
from paraph.proofs.seal import ProducerSeal

CASE = valid("text")
SEAL = CASE.bundle.chain.seal
assert isinstance(SEAL, ProducerSeal)
SIGNED = SEAL.signed
HEADER = SIGNED.header


def test_every_field_matters() -> None:
    """Any field changed changes the hash; the producer's signature no longer fits, and the bundle fails."""
    hashes = {HEADER.hash()}
    for name, other in varied(HEADER):
        assert other.hash() not in hashes, name
        hashes.add(other.hash())
        forged = SignedHeader(other, SIGNED.signature)
        assert not forged.signed_by(PRODUCER.address)
        bundle = replace(CASE.bundle, chain=replace(CASE.bundle.chain, seal=ProducerSeal(forged)))
        assert "chain.seal" in {code for code, _ in judge(bundle, CASE.trust).reasons}


def test_only_the_producer_signs() -> None:
    """Another key's signature, or none that any key makes, is not the producer's."""
    assert SIGNED.signed_by(PRODUCER.address)

    assert not SIGNED.signed_by(STRANGER.address)
    assert not SignedHeader(HEADER, STRANGER.sign(HEADER.hash())).signed_by(PRODUCER.address)
    assert not SignedHeader(HEADER, bytes(65)).signed_by(PRODUCER.address)
    assert not SignedHeader(HEADER, b"").signed_by(PRODUCER.address)


def test_header_round_trips() -> None:
    """A header is read back from JSON and from RLP."""
    assert header_from_json(SIGNED.as_json()) == SIGNED
    assert header_from_rlp(rlp.decode(rlp.encode(header_to_rlp(SIGNED)))) == SIGNED


BAD_JSON: list[tuple[str, Json]] = [
    ("chain_id", -1),
    ("chain_id", "1"),
    ("genesis", "0x"),
    ("height", 1.0),
    ("time_s", None),
    ("time_s", 2**53),
    ("parent", 0),
    ("proposer", to_hex(HEADER.parent)),
    ("state_root", to_hex(HEADER.state_root)[:-1]),
    ("gas_used", True),
    ("base_fee", "1000000000"),
    ("signature", to_hex(SIGNED.signature[1:])),
    ("more", None),
]


@pytest.mark.parametrize(("name", "value"), BAD_JSON, ids=range(len(BAD_JSON)))
def test_other_json_is_refused(name: str, value: Json) -> None:
    """A member of another type, length or range is refused when read."""
    with pytest.raises(Malformed):
        header_from_json({**SIGNED.as_json(), name: value})


def test_header_of_validators_is_unsigned() -> None:
    """Where validators agree nobody signs the header: it is stored without a signature, and with no other length."""
    unsigned = SignedHeader(HEADER, b"")
    assert header_from_rlp(rlp.decode(rlp.encode(header_to_rlp(unsigned)))) == unsigned

    for size in (1, 64, 66):
        with pytest.raises(Malformed) as caught:
            header_from_rlp(header_to_rlp(SignedHeader(HEADER, bytes(size))))
        assert caught.value.code == "rlp.shape"


def test_head_is_the_header_without_its_root() -> None:
    """What stands in state gives the header back, to the hash, once its root is known; each field of it matters."""
    head = HEADER.head()

    assert Head.decode(head.encode()) == head
    assert head.header(HEADER.state_root) == HEADER
    assert all(other.header(HEADER.state_root).hash() != HEADER.hash() for _, other in varied(head))
    assert all(other.encode() != head.encode() for _, other in varied(head))


def test_hashes_stand_in_a_ring() -> None:
    """The last 8191 heights have a key each; the next takes the oldest one's."""
    keys = [hash_key(height) for height in range(HASHES_KEPT)]

    assert len(set(keys)) == HASHES_KEPT
    assert hash_key(HASHES_KEPT) == keys[0]
    assert hash_key(0) == b"chain/hash/\x00\x00"
    assert hash_key(HASHES_KEPT - 1) == b"chain/hash/\x1f\xfe"


def test_other_rlp_is_refused() -> None:
    """A stored header with a part missing, added, of another length or of another kind is refused by name."""
    parts = rlp.as_list(header_to_rlp(SIGNED), "it")
    bad: list[rlp.Rlp] = [b"", [], parts[:-1], [*parts, b""]]
    for at in range(len(parts)):
        changed: list[rlp.Rlp] = [[], b"\x00" * 3, b"\x01" * 80]
        bad += [[*parts[:at], each, *parts[at + 1 :]] for each in changed]

    for item in bad:
        with pytest.raises(Malformed):
            header_from_rlp(item)
