"""No character of a bundle can change unnoticed: each leaf, each member and each hash is tried."""

from dataclasses import replace
from typing import Final

import pytest
from tests.support.build import ANCHOR, HEIGHT, KINDS, Case, Kind, SealKind, build, valid
from tests.support.mutate import Path, leaves, reshaped, respellings, swapped

from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Unverified
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import verify
from paraph.proofs.policy import Trust, decode_trust

# Some of the work each, so that two cores share it. What stands beside a seal does not depend on who made it: with
# validators, the changes are those of the seal.
CASES: Final[list[tuple[Kind, bool, SealKind]]] = [
    *((kind, settled, "producer") for kind in KINDS for settled in (True, False)),
    ("text", True, "validators"),
]


def tried(path: Path, seal: SealKind) -> bool:
    """Whether a change there is looked at."""
    return seal == "producer" or path[:2] == ("chain", "seal")


# The name, and whether anything is of value, are said and not judged; how old an anchor may be is for who is online.
SAID: Final[set[Path]] = {("network",), ("devnet",), ("trusting_period_s",)}
# Votes name the first eight bytes of the genesis, and an earlier anchor leads to the same blocks.
VOTED: Final[set[Path]] = {*SAID, ("genesis",), ("anchor", "height"), ("anchor", "time_s")}
# Across heights a third of the anchor's power is enough, so one key of four, or the strongest's power, may be another.
THIRD: Final[set[Path]] = {
    *(("anchor", "validators", at, "key") for at in range(4)),
    ("anchor", "validators", 0, "power"),
}
PINS: Final[list[tuple[Case, set[Path]]]] = [
    (valid(), SAID),
    (valid(seal="validators"), VOTED | THIRD),
    (build(seal="validators", trust={"anchor": replace(ANCHOR, height=HEIGHT + 1)}), VOTED),
]


def passes(data: bytes, trust: Trust) -> bool:
    """True when the bytes verify. Any error but the two that are promised fails the test."""
    try:
        verify(decode_bundle(data), trust)
    except (Malformed, Unverified):
        return False
    return True


@pytest.mark.parametrize(("kind", "settled", "seal"), CASES)
def test_bundle_passes_unchanged(kind: Kind, settled: bool, seal: SealKind) -> None:
    """The bundle that the other tests change verifies as it is."""
    case = valid(kind, settled=settled, seal=seal)

    assert passes(case.bundle.encode(), case.trust)


@pytest.mark.parametrize(("kind", "settled", "seal"), CASES)
def test_every_leaf_matters(kind: Kind, settled: bool, seal: SealKind) -> None:
    """No leaf of a bundle has a second spelling: changed anywhere, in value or type, nothing verifies."""
    case = valid(kind, settled=settled, seal=seal)
    text, found = leaves(case.bundle.as_json())

    unnoticed = [
        (leaf.path, other)
        for leaf in found
        if tried(leaf.path, seal)
        for other in respellings(leaf)
        if passes((text[: leaf.start] + other + text[leaf.stop :]).encode(), case.trust)
    ]

    assert len(found) > 60
    assert unnoticed == []


@pytest.mark.parametrize(("kind", "settled", "seal"), CASES)
def test_every_member_matters(kind: Kind, settled: bool, seal: SealKind) -> None:
    """A member or item removed, repeated, swapped with its neighbour or added: nothing verifies."""
    case = valid(kind, settled=settled, seal=seal)

    changes = [each for each in reshaped(case.bundle.as_json()) if tried(each[0], seal)]
    unnoticed = [path for path, other in changes if passes(canonical(other), case.trust)]

    assert len(changes) > 60
    assert unnoticed == []


@pytest.mark.parametrize(
    ("kind", "size", "seal"),
    [
        *((kind, size, "producer") for kind in KINDS for size in (42, 66, 132)),
        *(("text", size, "validators") for size in (42, 66, 130)),
    ],
)
def test_hashes_have_one_place(kind: Kind, size: int, seal: SealKind) -> None:
    """Two addresses, hashes, votes or signatures in each other's place: nothing verifies."""
    case = valid(kind, seal=seal)
    text, found = leaves(case.bundle.as_json())

    pairs = [each for each in swapped(text, found, size) if tried(each[0], seal) or tried(each[1], seal)]
    unnoticed = [(first, second) for first, second, other in pairs if passes(other.encode(), case.trust)]

    assert pairs
    assert unnoticed == []


@pytest.mark.parametrize(("case", "expected"), PINS, ids=["producer", "validators", "validators of the next height"])
def test_every_pin_matters(case: Case, expected: set[Path]) -> None:
    """Every leaf of the trust file is looked at, but for those above with their reasons."""
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

    assert loose == expected
