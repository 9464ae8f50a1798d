"""Seals: who makes a state root believable, and each way in which they do not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support import comet
from tests.support.build import (
    ANCHOR,
    CHAIN_ID,
    ENGINE_CHAIN_ID,
    GENESIS,
    HEIGHT,
    PRODUCER,
    STRANGER,
    TRUST,
    TRUST_VALIDATORS,
    light_block,
    valid,
)

from paraph.core.digest import sha256
from paraph.core.encode import Json, as_list, as_object
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Digest
from paraph.proofs.header import SignedHeader
from paraph.proofs.light.limits import HOPS_MAX
from paraph.proofs.light.types import ABSENT, Anchor, LightBlock
from paraph.proofs.light.verify import verify_chain
from paraph.proofs.policy import Trust
from paraph.proofs.seal import (
    ProducerSeal,
    Seal,
    ValidatorSeal,
    believe,
    engine_chain_id,
    seal_from_json,
    slim,
)

ROOT: Digest = sha256(b"state")
SOLO = valid().bundle.chain.seal
assert isinstance(SOLO, ProducerSeal)
HEADER = SOLO.signed.header
OLD = dict.fromkeys(("ann", "ben", "cat"), 1)
MIDDLE = dict.fromkeys(("ben", "cat", "dan", "eve"), 1)
NEW = dict.fromkeys(("dan", "eve"), 1)


def voted(*blocks: LightBlock) -> ValidatorSeal:
    return ValidatorSeal(blocks)


def trust(**changes: object) -> Trust:
    return replace(TRUST_VALIDATORS, **changes)  # type: ignore[arg-type]


def handed_over() -> tuple[LightBlock, ...]:
    """From the old set, of which two of three stay, by way of one of which two of four stay."""
    return light_block(ROOT, MIDDLE, height=5), light_block(ROOT, NEW, height=HEIGHT + 1)


def with_votes(block: LightBlock, *places: int) -> LightBlock:
    """The block with the votes in these places alone."""
    votes = (vote if at in places else ABSENT for at, vote in enumerate(block.commit.signatures))
    return replace(block, commit=replace(block.commit, signatures=tuple(votes)))


# --- what is believed --------------------------------------------------------------------------------------------


def test_producer_is_believed() -> None:
    """A header signed by a pinned producer tells the height and the root of the state after it."""
    assert "signed by a producer pinned for test" in believe(SOLO, TRUST)
    assert (SOLO.height, SOLO.state_root) == (HEIGHT, HEADER.state_root)
    assert believe(SOLO, replace(TRUST, producers=(STRANGER.address, PRODUCER.address)))


@pytest.mark.parametrize("signers", [("ann", "ben", "cat"), ("ann", "ben", "cat", "dan")])
def test_validators_are_believed(signers: tuple[str, ...]) -> None:
    """More than two thirds of the pinned set, of the block AFTER the state, are enough."""
    seal = voted(light_block(ROOT, signers=signers))

    assert "in 1 step" in believe(seal, TRUST_VALIDATORS)
    assert (seal.height, seal.state_root) == (HEIGHT, ROOT)


def test_validators_hand_over() -> None:
    """A set of which nobody was pinned is believed by way of one in between, and the last block is what counts."""
    seal = voted(*handed_over())
    pinned = trust(anchor=comet.anchor(OLD))

    assert "in 2 steps" in believe(seal, pinned)
    assert seal.height == HEIGHT
    with pytest.raises(Unverified) as caught:
        believe(voted(handed_over()[1]), pinned)
    assert caught.value.code == "light.overlap"


def test_longest_chain_is_believed() -> None:
    """64 blocks are followed."""
    blocks = [light_block(ROOT, height=height) for height in range(1, HOPS_MAX + 1)]

    assert "in 64 steps" in believe(voted(*blocks), TRUST_VALIDATORS)


# --- what is not -------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, Callable[[], tuple[Seal, Trust]], str]] = [
    (
        "a stranger's header",
        lambda: (ProducerSeal(SignedHeader(HEADER, STRANGER.sign(HEADER.hash()))), TRUST),
        "header.signature",
    ),
    ("no signature", lambda: (ProducerSeal(SignedHeader(HEADER, b"")), TRUST), "header.signature"),
    ("a producer of another genesis", lambda: (SOLO, replace(TRUST, genesis=ROOT)), "header.signature"),
    ("a producer of another chain", lambda: (SOLO, replace(TRUST, chain_id=1)), "header.signature"),
    ("a producer where validators are pinned", lambda: (SOLO, TRUST_VALIDATORS), "header.signature"),
    ("validators where a producer is pinned", lambda: (voted(light_block(ROOT)), TRUST), "light.anchor"),
    (
        "two thirds exactly",
        lambda: (voted(light_block(ROOT, dict.fromkeys(("ann", "ben", "cat"), 1), signers=("ann", "ben"))), trust()),
        "light.power",
    ),
    ("half of the votes", lambda: (voted(light_block(ROOT, signers=("ann", "ben"))), trust()), "light.power"),
    ("a forged vote", lambda: (voted(forged()), trust()), "light.power"),
    ("another chain's votes", lambda: (voted(light_block(ROOT, chain_id="paraph-test")), trust()), "light.chain"),
    ("another genesis pinned", lambda: (voted(light_block(ROOT)), trust(genesis=sha256(b"other"))), "light.chain"),
    ("another chain id pinned", lambda: (voted(light_block(ROOT)), trust(chain_id=1)), "light.chain"),
    ("strangers", lambda: (voted(light_block(ROOT, NEW)), trust(anchor=comet.anchor(OLD))), "light.overlap"),
    (
        "a set that was not announced",
        lambda: (voted(light_block(ROOT, OLD, height=1)), trust()),
        "light.next_set",
    ),
    (
        "a height that does not rise",
        lambda: (voted(light_block(ROOT), light_block(ROOT)), trust()),
        "light.height",
    ),
    (
        "a height below the anchor",
        lambda: (voted(light_block(ROOT)), trust(anchor=replace(ANCHOR, height=HEIGHT + 2))),
        "light.height",
    ),
    (
        "a time before the anchor",
        lambda: (voted(light_block(ROOT)), trust(anchor=replace(ANCHOR, time_s=comet.START_S + 100))),
        "light.time",
    ),
    (
        "an anchor that is no set",
        lambda: (voted(light_block(ROOT)), trust(anchor=Anchor(1, ANCHOR.validators * 2, comet.START_S))),
        "light.set",
    ),
    (
        "another header under the votes",
        lambda: (voted(replace(block := light_block(ROOT), header=replace(block.header, app_hash=b""))), trust()),
        "light.commit",
    ),
    ("no block", lambda: (voted(), trust()), "light.hops"),
    ("too many blocks", lambda: (voted(*[light_block(ROOT)] * (HOPS_MAX + 1)), trust()), "light.hops"),
]


def forged() -> LightBlock:
    """Three votes of four, one of them made by another key."""
    block = light_block(ROOT, signers=("ann", "ben", "cat"))
    votes = list(block.commit.signatures)
    at = next(at for at, vote in enumerate(votes) if vote is not ABSENT)
    votes[at] = replace(votes[at], signature=comet.key("eve").sign(block.commit.message(at, ENGINE_CHAIN_ID)))
    return replace(block, commit=replace(block.commit, signatures=tuple(votes)))


@pytest.mark.parametrize(("made", "code"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_other_seals_are_not_believed(made: Callable[[], tuple[Seal, Trust]], code: str) -> None:
    """One thing is false: it is found, and named."""
    seal, pinned = made()

    with pytest.raises(Unverified) as caught:
        believe(seal, pinned)

    assert caught.value.code == code


def test_engine_names_chain_and_genesis() -> None:
    """Votes name both, so that none counts on another network; the name fits what the engine allows."""
    assert engine_chain_id(31_337, GENESIS) == f"paraph-31337-{GENESIS.hex()[:32]}"
    assert len(engine_chain_id(2**32, GENESIS)) <= 50


# --- what travels ------------------------------------------------------------------------------------------------


def test_producer_seal_is_slim() -> None:
    """A producer's seal has nothing to leave out."""
    assert slim(SOLO, TRUST) is SOLO


def test_validator_seal_is_slimmed() -> None:
    """Of every block only as many votes stay as are needed, and none of those can be left out."""
    pinned = trust(anchor=comet.anchor(OLD))
    thin = slim(voted(*handed_over()), pinned)
    assert isinstance(thin, ValidatorSeal)

    assert believe(thin, pinned)
    for at, block in enumerate(thin.blocks):
        kept = [place for place, vote in enumerate(block.commit.signatures) if vote is not ABSENT]
        for place in kept:
            fewer = with_votes(block, *(each for each in kept if each != place))
            with pytest.raises(Unverified):
                verify_chain(
                    pinned.anchor or ANCHOR, (*thin.blocks[:at], fewer, *thin.blocks[at + 1 :]), ENGINE_CHAIN_ID
                )
    full = slim(voted(light_block(ROOT)), TRUST_VALIDATORS)
    assert isinstance(full, ValidatorSeal)
    assert full.blocks[0].commit.signatures.count(ABSENT) == 1


@pytest.mark.parametrize(("pinned", "code"), [(TRUST, "light.anchor"), (trust(chain_id=CHAIN_ID + 1), "light.chain")])
def test_what_is_not_believed_is_not_slimmed(pinned: Trust, code: str) -> None:
    """A seal that is not believed is refused as `believe` refuses it."""
    with pytest.raises(Unverified) as caught:
        slim(voted(light_block(ROOT)), pinned)

    assert caught.value.code == code


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seal", [SOLO, voted(light_block(ROOT)), voted(*handed_over())], ids=["solo", "one", "two"])
def test_seal_round_trips(seal: Seal) -> None:
    """A seal is read back as it was written."""
    assert seal_from_json(seal.as_json()) == seal


BLOCK: Json = light_block(ROOT).as_json()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "json.shape"),
        ({}, "seal.kind"),
        ({"kind": "nobody", "blocks": []}, "seal.kind"),
        ({"kind": ["producer"], "header": {}}, "seal.kind"),
        ({"kind": "validators", "blocks": []}, "seal.kind"),
        ({"kind": "validators", "blocks": {}}, "json.shape"),
        ({"kind": "validators", "blocks": [None]}, "json.shape"),
        ({"kind": "validators", "blocks": [BLOCK] * (HOPS_MAX + 1)}, "json.shape"),
        ({"kind": "validators", "blocks": [BLOCK], "header": {}}, "json.shape"),
        ({"kind": "validators", "header": {}}, "json.shape"),
        ({"kind": "producer", "blocks": [BLOCK]}, "json.shape"),
        ({"kind": "producer", "header": {}}, "json.shape"),
        ({"kind": "producer", "header": SOLO.signed.as_json(), "more": None}, "json.shape"),
    ],
    ids=range(13),
)
def test_other_json_is_refused(value: Json, code: str) -> None:
    """Another kind, no blocks or too many, a missing or unknown member: refused by name."""
    with pytest.raises(Malformed) as caught:
        seal_from_json(value)

    assert caught.value.code == code


def test_places_are_as_many_as_validators() -> None:
    """A commit with a place too few is refused when read."""
    block = dict(as_object(BLOCK, "it"))
    commit = dict(as_object(block["commit"], "it"))
    commit["signatures"] = list(as_list(commit["signatures"], "it", items_max=9))[1:]

    with pytest.raises(Malformed) as caught:
        seal_from_json({"kind": "validators", "blocks": [{**block, "commit": commit}]})

    assert caught.value.code == "light.shape"
