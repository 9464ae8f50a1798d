"""Releases on the ledger: who approves and revokes them, what they must pin, and what is revoked for good."""

from dataclasses import replace
from typing import Any, Final

import pytest
from tests.support_ledger.enclaves import MEASURED, RELEASE, RELEASE_ID
from tests.support_ledger.world import ALICE, GOVERNOR, OPERATOR, World, code, events, genesis

from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_DIGEST, Digest
from paraph.core.limits import NAME_BYTES_MAX
from paraph.ledger.rooms.measurements.keys import RELEASES, certificate_name, module_name, stands_on
from paraph.ledger.rooms.measurements.rules import (
    FLOORS,
    ISSUER_BYTES_MAX,
    MEASUREMENT_BYTES_MAX,
    MEASUREMENTS_MAX,
    MODULE_BYTES_MAX,
    GenesisRelease,
)
from paraph.ledger.rooms.measurements.truths import releases_are_whole
from paraph.proofs.quotes.policy import PINNED
from paraph.proofs.records import Enclave, Release, release_id

PROVENANCE: Final = Digest(b"p" * 32)


def arguments(platform: str = "nitro", **changes: Any) -> tuple[Any, ...]:
    """The arguments of Measurements.approve for a release that pins what it must; `changes` are those that differ."""
    found = {
        "platform": platform,
        "name": "node 2",
        "names": tuple(measured(platform)),
        "values": tuple(measured(platform).values()),
        "source": "commit 2",
        "provenance": PROVENANCE,
    }
    return tuple((found | changes).values())


def measured(platform: str) -> dict[str, bytes]:
    """What a release must state at least."""
    return dict.fromkeys((*PINNED.get(platform, ("pcr0",)), *FLOORS.get(platform, ())), b"\x5a" * 48)


def release(world: World, name: Digest) -> Release:
    return Release.decode(world.state[RELEASES.prefix + name])


# --- approving ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", sorted(PINNED))
def test_a_release_is_approved(platform: str) -> None:
    """The governor approves a release of each platform: it is listed under its own id, and an event tells it."""
    world = World.new()
    name = release_id(platform, measured(platform))

    result = world.call(GOVERNOR, "Measurements", "approve", *arguments(platform))

    found = release(world, name)
    assert result.error == ""
    assert found.stated == measured(platform)
    assert tuple(sorted(found.measurements)) == tuple(sorted(PINNED[platform]))
    assert {f"min_{part}" for part in found.versions_min} == set(FLOORS.get(platform, ()))
    assert (found.height_first, found.height_last, found.revoked_s) == (world.height, 0, 0)
    assert (found.platform, found.name, found.source, found.provenance) == (platform, "node 2", "commit 2", PROVENANCE)
    assert events(result) == [("ReleaseApproved", (name, platform, "node 2", "commit 2"))]
    assert world.view("Measurements", "get", name)[:2] == (platform, "node 2")
    assert world.view("Measurements", "count") == 1
    assert world.view("Measurements", "page", 0, 10) == (name,)


def test_names_come_in_any_order() -> None:
    """The same measurements in another order are the same release, so it is not approved twice."""
    world = World.new()
    values = tuple(bytes((index,)) * 48 for index in (1, 2, 3))
    names = PINNED["nitro"]
    world.must(GOVERNOR, "Measurements", "approve", *arguments(names=names, values=values))

    again = world.call(GOVERNOR, "Measurements", "approve", *arguments(names=names[::-1], values=values[::-1]))

    assert code(again) == "measurements.exists"


LONG: Final = "x" * (NAME_BYTES_MAX + 1)
MANY: Final = tuple(f"extra{index}" for index in range(MEASUREMENTS_MAX - 2))
NITRO: Final = PINNED["nitro"]
FULL: Final = (b"\x5a" * 48,) * 3
REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "an unknown platform": ({"platform": "abacus"}, "measurements.platform"),
    "a platform of many words": ({"platform": "x" * 500}, "measurements.platform"),
    "no name": ({"name": ""}, "measurements.name"),
    "a long name": ({"name": LONG}, "measurements.name"),
    "a name that is not ASCII": ({"name": "nöde"}, "measurements.name"),
    "a name that does not print": ({"name": "no\nde"}, "measurements.name"),
    "no source": ({"source": ""}, "measurements.name"),
    "a long source": ({"source": LONG}, "measurements.name"),
    "a source that does not print": ({"source": "\x1b[2J"}, "measurements.name"),
    "nothing measured": ({"names": (), "values": ()}, "measurements.empty"),
    "the image alone": ({"names": NITRO[:1], "values": FULL[:1]}, "measurements.empty"),
    "zeros, as of debugging": ({"values": (bytes(48), *FULL[1:])}, "measurements.empty"),
    "empty values": ({"values": (b"", *FULL[1:])}, "measurements.empty"),
    "another platform's measurements": (
        {"names": PINNED["snp"], "values": FULL[: len(PINNED["snp"])]},
        "measurements.empty",
    ),
    "fewer values than names": ({"values": FULL[:2]}, "measurements.form"),
    "more values than names": ({"values": (*FULL, b"1")}, "measurements.form"),
    "a name twice": ({"names": (*NITRO, "pcr0"), "values": (*FULL, b"1")}, "measurements.form"),
    "too many": ({"names": (*NITRO, *MANY), "values": (*FULL, *(b"1" for _ in MANY))}, "measurements.form"),
    "a large value": ({"values": (bytes(range(1, MEASUREMENT_BYTES_MAX + 2)), *FULL[1:])}, "measurements.form"),
    "an empty value beside": ({"names": (*NITRO, "pcr8"), "values": (*FULL, b"")}, "measurements.form"),
    "a name in large letters": ({"names": (*NITRO, "PCR8"), "values": (*FULL, b"1")}, "measurements.form"),
    "a name that is a number": ({"names": (*NITRO, "8"), "values": (*FULL, b"1")}, "measurements.form"),
    "a name with a line after it": ({"names": (*NITRO, "pcr8\n"), "values": (*FULL, b"1")}, "measurements.form"),
    "a long name of a measurement": ({"names": (*NITRO, "p" * 33), "values": (*FULL, b"1")}, "measurements.form"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_releases(what: str) -> None:
    """Each fault alone is refused with its code, and nothing is approved."""
    changes, expected = REFUSED[what]
    world = World.new()

    result = world.call(GOVERNOR, "Measurements", "approve", *arguments(**changes))

    assert code(result) == expected
    assert world.view("Measurements", "count") == 0


def test_to_the_edge() -> None:
    """As many measurements, as large and with names as long as may be, are approved."""
    world = World.new()
    names = (*NITRO, *(f"{'n' * 29}{index:03}" for index in range(MEASUREMENTS_MAX - 3)))
    values = tuple(bytes((index + 1,)) * MEASUREMENT_BYTES_MAX for index in range(MEASUREMENTS_MAX))
    texts = {"name": "n" * NAME_BYTES_MAX, "source": "s" * NAME_BYTES_MAX}

    result = world.call(GOVERNOR, "Measurements", "approve", *arguments(names=names, values=values, **texts))

    assert result.error == ""


WRITES: Final[dict[str, tuple[Any, ...]]] = {
    "approve": arguments(),
    "revoke": (RELEASE_ID,),
    "revokeCertificate": (b"issuer", 7),
    "revokeModule": ("simulated", "a module"),
}


@pytest.mark.parametrize("method", WRITES)
def test_only_the_governor(method: str) -> None:
    """Nobody else approves or revokes anything."""
    world = World.new(releases=(RELEASE,))
    before = dict(world.state)

    result = world.call(ALICE, "Measurements", method, *WRITES[method])

    changed = [key for key in world.state if key.startswith(b"measurements/") and world.state[key] != before.get(key)]
    assert code(result) == "measurements.governor"
    assert changed == []


# --- revoking ----------------------------------------------------------------------------------------------------


def test_a_release_is_revoked_once_and_for_good() -> None:
    """It ends at a height and a time, which stay; it is not revoked again, nor approved again."""
    world = World.new(releases=(RELEASE,))
    names = tuple(sorted(MEASURED))
    same = arguments("simulated", names=names, values=tuple(MEASURED[name] for name in names))

    result = world.call(GOVERNOR, "Measurements", "revoke", RELEASE_ID)
    ended = release(world, RELEASE_ID)
    again = world.call(GOVERNOR, "Measurements", "revoke", RELEASE_ID)
    back = world.call(GOVERNOR, "Measurements", "approve", *same)

    assert events(result) == [("ReleaseRevoked", (RELEASE_ID,))]
    assert (ended.height_last, ended.revoked_s) == (world.height - 2, world.now - 2)
    assert (code(again), code(back)) == ("measurements.revoked", "measurements.exists")
    assert release(world, RELEASE_ID) == ended


def test_what_is_unknown_is_not_revoked() -> None:
    """Nobody can end, or ask for, what was never approved."""
    world = World.new()

    assert code(world.call(GOVERNOR, "Measurements", "revoke", RELEASE_ID)) == "measurements.unknown"
    assert code(world.call(ALICE, "Measurements", "get", RELEASE_ID)) == "measurements.unknown"


@pytest.mark.parametrize(
    ("method", "words", "name"),
    [
        ("revokeCertificate", (b"an issuer", 7), certificate_name(b"an issuer", 7)),
        ("revokeModule", ("tdx", "ab12"), module_name("tdx", "ab12")),
    ],
    ids=["certificate", "module"],
)
def test_certificates_and_modules_are_revoked(method: str, words: tuple[Any, ...], name: Digest) -> None:
    """Each is revoked from a height on, once; another name is another."""
    world = World.new()

    result = world.call(GOVERNOR, "Measurements", method, *words)
    at = world.height
    again = world.call(GOVERNOR, "Measurements", method, *words)

    assert result.error == ""
    assert len(events(result)) == 1
    assert code(again) == "measurements.revoked"
    assert world.view("Measurements", "revokedAt", name) == at
    assert world.view("Measurements", "revokedAt", Digest(b"o" * 32)) == 0


def test_names_do_not_collide() -> None:
    """A module of one platform is not one of another; neither is a certificate by another number or issuer."""
    names = [
        module_name("tdx", "m"),
        module_name("snp", "m"),
        module_name("td", "xm"),
        certificate_name(b"i", 1),
        certificate_name(b"i", 2),
        certificate_name(b"j", 1),
    ]

    assert len(set(names)) == len(names)


def test_what_an_enclave_stands_on() -> None:
    """An enclave is revoked by each of its certificates, or by its machine."""
    certificates = (certificate_name(b"i", 1), certificate_name(b"j", 2))
    enclave = Enclave(OPERATOR.address, b"", RELEASE_ID, "tdx", 1, "ab12", certificates, RELEASE_ID, 1, 1, 0, 0, 2)

    assert stands_on(enclave) == (*certificates, module_name("tdx", "ab12"))


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("revokeCertificate", (b"", 7)),
        ("revokeCertificate", (b"i" * (ISSUER_BYTES_MAX + 1), 7)),
        ("revokeModule", ("abacus", "m")),
        ("revokeModule", ("nitro", "")),
        ("revokeModule", ("nitro", "a" * (MODULE_BYTES_MAX + 1))),
        ("revokeModule", ("nitro", "mödule")),
        ("revokeModule", ("tdx", "AB12")),
        ("revokeModule", ("tdx", "0xab12")),
        ("revokeModule", ("nitro", "i-01-enc")),
    ],
    ids=[
        "no issuer",
        "long issuer",
        "no platform",
        "no module",
        "long module",
        "not ASCII",
        "large letters",
        "0x",
        "half a name",
    ],
)
def test_revocations_of_nothing(method: str, words: tuple[Any, ...]) -> None:
    """What no certificate or machine can be called is refused."""
    assert code(World.new().call(GOVERNOR, "Measurements", method, *words)) == "measurements.form"


# --- genesis -----------------------------------------------------------------------------------------------------


def test_a_network_begins_with_releases() -> None:
    """They are approved at height 0, listed in their order, and found by their ids."""
    other = GenesisRelease("nitro", "node 2", measured("nitro"), "commit 2")
    world = World.new(releases=(RELEASE, other))

    assert world.view("Measurements", "page", 0, 10) == (RELEASE_ID, release_id("nitro", measured("nitro")))
    assert release(world, RELEASE_ID).height_first == 0
    assert other.provenance == ZERO_DIGEST


@pytest.mark.parametrize("releases", [(RELEASE, RELEASE), (replace(RELEASE, measurements={}),)], ids=["twice", "empty"])
def test_a_network_begins_with_no_other(releases: tuple[GenesisRelease, ...]) -> None:
    """What could not be approved cannot be there at genesis."""
    with pytest.raises(Rejected) as caught:
        genesis(releases=releases).state()

    assert caught.value.code in {"measurements.exists", "measurements.empty"}


# --- truths ------------------------------------------------------------------------------------------------------


def test_truths_are_broken_by_what_cannot_be() -> None:
    """A release under another's id, one that pins too little, and one that ended at no time are each told."""
    good = release(World.new(releases=(RELEASE,)), RELEASE_ID)
    bare = replace(good, values=(bytes(48), *good.values[1:]))
    bare_id = release_id(bare.platform, bare.measurements)
    dumps = {
        "under another id": {RELEASES.prefix + bytes(32): good.encode()},
        "pins too little": {RELEASES.prefix + bare_id: bare.encode()},
        "ended at block": {RELEASES.prefix + RELEASE_ID: replace(good, height_last=3).encode()},
    }

    for words, dump in dumps.items():
        (wrong,) = releases_are_whole(dump)
        assert words in wrong
    assert releases_are_whole({RELEASES.prefix + RELEASE_ID: good.encode(), b"other": b""}) == []
