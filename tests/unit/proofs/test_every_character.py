"""No character of a bundle can change unnoticed: each leaf, each member and each hash is tried."""

import pytest
from tests.support.build import KINDS, Kind, valid
from tests.support.mutate import leaves, reshaped, respellings, swapped

from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Unverified
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import verify
from paraph.proofs.policy import Trust, decode_trust

# Half of the work each, so that two cores share it.
CASES = [(kind, settled) for kind in KINDS for settled in (True, False)]


def passes(data: bytes, trust: Trust) -> bool:
    """True when the bytes verify. Any error but the two that are promised fails the test."""
    try:
        verify(decode_bundle(data), trust)
    except (Malformed, Unverified):
        return False
    return True


@pytest.mark.parametrize(("kind", "settled"), CASES)
def test_bundle_passes_unchanged(kind: Kind, settled: bool) -> None:
    """The bundle that the other tests change verifies as it is."""
    case = valid(kind, settled=settled)

    assert passes(case.bundle.encode(), case.trust)


@pytest.mark.parametrize(("kind", "settled"), CASES)
def test_every_leaf_matters(kind: Kind, settled: bool) -> None:
    """No leaf of a bundle has a second spelling: changed anywhere, in value or type, nothing verifies."""
    case = valid(kind, settled=settled)
    text, found = leaves(case.bundle.as_json())

    unnoticed = [
        (leaf.path, other)
        for leaf in found
        for other in respellings(leaf)
        if passes((text[: leaf.start] + other + text[leaf.stop :]).encode(), case.trust)
    ]

    assert len(found) > 60
    assert unnoticed == []


@pytest.mark.parametrize(("kind", "settled"), CASES)
def test_every_member_matters(kind: Kind, settled: bool) -> None:
    """A member or item removed, repeated, swapped with its neighbour or added: nothing verifies."""
    case = valid(kind, settled=settled)

    unnoticed = [path for path, other in reshaped(case.bundle.as_json()) if passes(canonical(other), case.trust)]

    assert unnoticed == []


@pytest.mark.parametrize("size", [42, 66, 132], ids=["addresses", "hashes", "signatures"])
@pytest.mark.parametrize("kind", KINDS)
def test_hashes_have_one_place(kind: Kind, size: int) -> None:
    """Two addresses, hashes or signatures in each other's place: nothing verifies."""
    case = valid(kind)
    text, found = leaves(case.bundle.as_json())

    pairs = list(swapped(text, found, size))
    unnoticed = [(first, second) for first, second, other in pairs if passes(other.encode(), case.trust)]

    assert pairs
    assert unnoticed == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_pin_matters(kind: Kind) -> None:
    """Every leaf of the trust file is looked at, but for the two that only name the network."""
    case = valid(kind)
    text, found = leaves(case.trust.as_json())

    def unnoticed(data: bytes) -> bool:
        try:
            trust = decode_trust(data)
        except Malformed:
            return False
        return passes(case.bundle.encode(), trust)

    loose = {
        leaf.path
        for leaf in found
        for other in respellings(leaf)
        if unnoticed((text[: leaf.start] + other + text[leaf.stop :]).encode())
    }

    assert loose == {("network",), ("devnet",)}
