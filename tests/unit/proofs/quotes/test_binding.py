"""Binding: these keys, this question, these devices; any one of them changed is another binding."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.core.errors import Unverified
from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.proofs.quotes.binding import (
    Keyset,
    bound,
    check,
    device_nonce,
    devices_digest,
    registration_nonce,
)
from paraph.proofs.quotes.claims import Claims, TrustClass

NOW_S: Final = 1_760_000_000
NONCE: Final = Digest(b"n" * 32)
DEVICES: Final = (b"one gpu", b"another gpu")
KEYSET: Final = Keyset(
    chain_id=20_826,
    node=Address(b"o" * 20),
    tls_key=Digest(b"t" * 32),
    hpke_key=b"h" * 32,
    receipt_key=Address(b"r" * 20),
    not_after_s=NOW_S,
)
CLAIMS: Final = Claims(
    platform="nitro",
    trust=TrustClass.HARDWARE,
    time_ms=NOW_S * 1_000,
    debug=False,
    measurements={},
    versions={},
    data=bound(KEYSET, NONCE, devices_digest(DEVICES)),
    nonce=NONCE,
    key=KEYSET.hpke_key,
    module="",
    certificates=(),
)
OTHERS: Final[dict[str, Keyset]] = {
    "network": replace(KEYSET, chain_id=1),
    "node": replace(KEYSET, node=Address(b"x" * 20)),
    "TLS key": replace(KEYSET, tls_key=Digest(b"x" * 32)),
    "receipt key": replace(KEYSET, receipt_key=Address(b"x" * 20)),
    "end": replace(KEYSET, not_after_s=NOW_S + 1),
    "keys exchanged": replace(KEYSET, tls_key=Digest(KEYSET.hpke_key), hpke_key=KEYSET.tls_key),
}


def refused(
    claims: Claims = CLAIMS, keyset: Keyset = KEYSET, devices: tuple[bytes, ...] = DEVICES, late_s: int = 0
) -> str:
    """Why keys are not bound."""
    with pytest.raises(Unverified) as caught:
        check(claims, keyset, NONCE, devices, NOW_S + late_s)
    return caught.value.code


def test_bound_keys() -> None:
    """A quote binds its keyset until its end, whatever the order of the devices."""
    check(CLAIMS, KEYSET, NONCE, DEVICES, NOW_S)
    check(CLAIMS, KEYSET, NONCE, DEVICES[::-1], NOW_S)

    assert refused(late_s=1) == "binding.expired"


@pytest.mark.parametrize("what", OTHERS)
def test_other_keysets(what: str) -> None:
    """A keyset that differs in one part is not bound."""
    other = OTHERS[what]

    assert refused(replace(CLAIMS, key=other.hpke_key), other) == "binding.keys"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (replace(CLAIMS, nonce=b""), "binding.nonce"),
        (replace(CLAIMS, nonce=b"x" * 32), "binding.nonce"),
        (replace(CLAIMS, nonce=NONCE[:20]), "binding.nonce"),
        (replace(CLAIMS, key=b""), "binding.hpke"),
        (replace(CLAIMS, key=b"x" * 32), "binding.hpke"),
        (replace(CLAIMS, data=b""), "binding.keys"),
        (replace(CLAIMS, data=CLAIMS.data[:32]), "binding.keys"),
        (replace(CLAIMS, data=CLAIMS.data[32:] + CLAIMS.data[:32]), "binding.keys"),
    ],
    ids=["no nonce", "other nonce", "part of the nonce", "no key", "other key", "no data", "half", "halves exchanged"],
)
def test_other_quotes(claims: Claims, code: str) -> None:
    """A quote for another question, or of other keys, binds nothing here."""
    assert refused(claims) == code


def test_platforms_without_the_fields() -> None:
    """Where a platform has no field for nonce or key, the digest alone binds both."""
    plain = replace(CLAIMS, nonce=None, key=None)
    check(plain, KEYSET, NONCE, DEVICES, NOW_S)

    assert refused(plain, replace(KEYSET, hpke_key=b"x" * 32)) == "binding.keys"
    with pytest.raises(Unverified):
        check(plain, KEYSET, Digest(b"x" * 32), DEVICES, NOW_S)


def test_devices() -> None:
    """A device that is missing, added, counted twice or another is seen."""
    for devices in ((), DEVICES[:1], (*DEVICES, b"more"), (DEVICES[0], DEVICES[0]), (DEVICES[0], b"other")):
        assert refused(devices=devices) == "binding.keys"
    alone = replace(CLAIMS, data=bound(KEYSET, NONCE, ZERO_DIGEST))
    check(alone, KEYSET, NONCE, (), NOW_S)
    assert devices_digest([b""]) != devices_digest([])


def test_sealing_key_has_its_size() -> None:
    """A key for sealing of another size is none, though the quote names it."""
    short = replace(KEYSET, hpke_key=b"h" * 31)

    assert refused(replace(CLAIMS, key=short.hpke_key), short) == "binding.hpke"


def test_digests_are_apart() -> None:
    """Each digest is under a tag of its own, made as written down here."""
    tag = hashlib.sha512(b"paraph/binding/1").digest()
    keyset = KEYSET.digest()
    made: list[bytes] = [keyset, device_nonce(KEYSET, NONCE), registration_nonce(NONCE, KEYSET.node, 0)]

    assert CLAIMS.data == hashlib.sha512(2 * tag + keyset + NONCE + devices_digest(DEVICES)).digest()
    assert len({*made, CLAIMS.data[:32], devices_digest([keyset + NONCE])}) == 5
    assert Keyset.decode(KEYSET.encode()) == KEYSET


PARTS: Final[dict[str, Callable[[int], Digest]]] = {
    "block": lambda number: registration_nonce(Digest(bytes((number,)) * 32), KEYSET.node, 0),
    "node": lambda number: registration_nonce(NONCE, Address(bytes((number,)) * 20), 0),
    "sequence": lambda number: registration_nonce(NONCE, KEYSET.node, number),
}


@given(st.sampled_from(sorted(PARTS)), st.integers(0, 255), st.integers(0, 255))
def test_registration_nonces(part: str, one: int, other: int) -> None:
    """Another block, node or time asks for another nonce."""
    assert (PARTS[part](one) == PARTS[part](other)) == (one == other)
