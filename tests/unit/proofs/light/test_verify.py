"""Light blocks are believed when enough of the right validators signed, and for no other reason."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.comet import CHAIN_ID, FOUR, START_S, anchor, header, history, members, sealed, validator

from paraph.core.digest import sha256
from paraph.core.errors import Unverified
from paraph.proofs.light.limits import HOPS_MAX, POWER_MAX, VALIDATORS_MAX
from paraph.proofs.light.types import ABSENT, Anchor, Flag, LightBlock, Timestamp, Validator, validators_hash
from paraph.proofs.light.verify import check, check_set, extend, verify_chain

BLOCK = sealed(header(5, FOUR), FOUR)


def code_of(do: Callable[[], object]) -> str:
    with pytest.raises(Unverified) as caught:
        do()
    return caught.value.code


def test_block_that_agrees_is_checked() -> None:
    """A block signed by all passes, and its signers are the whole set."""
    assert check(BLOCK, CHAIN_ID).signers == BLOCK.validators


def without_height(block: LightBlock) -> LightBlock:
    return replace(block, header=replace(block.header, height=0))


FALSE: dict[str, tuple[Callable[[LightBlock], LightBlock], str]] = {
    "another chain": (lambda b: sealed(replace(b.header, chain_id="other"), FOUR), "light.chain"),
    "another version": (lambda b: sealed(replace(b.header, version_block=12), FOUR), "light.version"),
    "height 0": (without_height, "light.height"),
    "nobody": (lambda b: replace(b, validators=()), "light.set"),
    "another set": (lambda b: replace(b, validators=members({**FOUR, "dan": 2})), "light.validators_hash"),
    "commit of another height": (lambda b: replace(b, commit=replace(b.commit, height=6)), "light.commit"),
    "commit of another header": (
        lambda b: replace(b, header=replace(b.header, app_hash=sha256(b"forged"))),
        "light.commit",
    ),
    "a place missing": (
        lambda b: replace(b, commit=replace(b.commit, signatures=b.commit.signatures[1:])),
        "light.commit",
    ),
    "a place too many": (
        lambda b: replace(b, commit=replace(b.commit, signatures=(*b.commit.signatures, ABSENT))),
        "light.commit",
    ),
    "other parts": (
        lambda b: replace(b, commit=replace(b.commit, block_id=replace(b.commit.block_id, parts_total=2))),
        "light.power",
    ),
    "another round": (lambda b: replace(b, commit=replace(b.commit, round=1)), "light.power"),
}


@pytest.mark.parametrize("name", FALSE)
def test_block_that_disagrees_is_refused(name: str) -> None:
    """Whatever in a block does not fit the rest refuses it by name."""
    change, code = FALSE[name]

    assert code_of(lambda: check(change(BLOCK), CHAIN_ID)) == code


@pytest.mark.parametrize(
    ("powers", "signers", "enough"),
    [
        ({"ann": 1, "ben": 1, "cat": 1}, ["ann", "ben"], False),  # two thirds exactly
        ({"ann": 1, "ben": 1, "cat": 1}, ["ann", "ben", "cat"], True),
        (FOUR, ["ann", "ben"], False),
        (FOUR, ["ann", "ben", "cat"], True),
        ({"ann": 66, "ben": 34}, ["ann"], False),
        ({"ann": 67, "ben": 33}, ["ann"], True),
        ({"ann": 1}, [], False),
        ({"ann": POWER_MAX - 1, "ben": 1}, ["ann"], True),
    ],
)
def test_more_than_two_thirds_must_sign(powers: dict[str, int], signers: list[str], enough: bool) -> None:
    """Two thirds of the power are not enough; the next vote is."""
    block = sealed(header(2, powers), powers, signers=signers)

    if enough:
        assert len(check(block, CHAIN_ID).signers) == len(signers)
    else:
        assert code_of(lambda: check(block, CHAIN_ID)) == "light.power"


@pytest.mark.parametrize("place", range(4))
def test_one_bad_signature_stops_nobody(place: int) -> None:
    """A vote that does not verify counts as absent: three good ones of four are enough, two are not."""
    votes = list(BLOCK.commit.signatures)
    votes[place] = replace(votes[place], signature=bytes(64))
    one = replace(BLOCK, commit=replace(BLOCK.commit, signatures=tuple(votes)))
    votes[place - 1] = replace(votes[place - 1], signature=b"short")
    two = replace(BLOCK, commit=replace(BLOCK.commit, signatures=tuple(votes)))

    assert check(one, CHAIN_ID).places == tuple(other for other in range(4) if other != place)
    assert code_of(lambda: check(two, CHAIN_ID)) == "light.power"


def test_votes_count_in_their_own_place_only() -> None:
    """One good vote in every place, under its own name or another's, is one vote."""
    votes = BLOCK.commit.signatures
    copied = replace(BLOCK.commit, signatures=(votes[0],) * 4)
    renamed = tuple(replace(votes[0], validator=each.address) for each in BLOCK.validators)

    assert code_of(lambda: check(replace(BLOCK, commit=copied), CHAIN_ID)) == "light.power"
    assert code_of(lambda: check(replace(BLOCK, commit=replace(copied, signatures=renamed)), CHAIN_ID)) == "light.power"


def test_votes_for_no_block_do_not_count() -> None:
    """A vote for no block is no vote for this one, nor is one relabelled."""
    block = sealed(header(5, FOUR), FOUR, nil=["ann", "ben"])
    told = tuple(replace(vote, flag=Flag.COMMIT) for vote in block.commit.signatures)

    assert code_of(lambda: check(block, CHAIN_ID)) == "light.power"
    assert (
        code_of(lambda: check(replace(block, commit=replace(block.commit, signatures=told)), CHAIN_ID)) == "light.power"
    )


SETS: dict[str, tuple[Validator, ...]] = {
    "nobody": (),
    "too many": tuple(Validator(bytes((index, 0)) + bytes(30), 1) for index in range(VALIDATORS_MAX + 1)),
    "one twice": (validator("ann", 2), validator("ann", 1)),
    "no power": (validator("ann", 1), validator("ben", 0)),
    "power below nothing": (validator("ann", 1), validator("ben", -1)),
    "too much power": (validator("ann", POWER_MAX), validator("ben", 1)),
    "disorder of powers": (validator("ann", 1), validator("ben", 2)),
    "disorder of addresses": members(FOUR)[::-1],
}


@pytest.mark.parametrize("name", [name for name in SETS if name != "too many"])
def test_what_is_no_set_is_refused(name: str) -> None:
    """Nobody, one twice, no power, too much, or another order than the engine's is no set, in a block or an anchor."""
    block = sealed(header(1, FOUR), FOUR)
    changed = replace(block, validators=SETS[name])

    assert code_of(lambda: check_set(SETS[name])) == "light.set"
    assert code_of(lambda: check(changed, CHAIN_ID)) == "light.set"
    assert code_of(lambda: extend(Anchor(1, SETS[name], 0), check(block, CHAIN_ID))) == "light.set"


def test_set_beyond_its_size_is_refused() -> None:
    """Two hundred validators are a set; one more is none."""
    assert code_of(lambda: check_set(SETS["too many"])) == "light.set"
    check_set(tuple(sorted(SETS["too many"], key=lambda each: each.address))[:-1])


def test_next_block_needs_the_announced_set() -> None:
    """The next block follows when its set is the announced one; another set of the same people does not."""
    chain = history([FOUR, {**FOUR, "eve": 9}])
    other = sealed(header(2, FOUR), FOUR)

    assert extend(chain[1], check(chain[2], CHAIN_ID)) == chain[2]
    assert code_of(lambda: extend(chain[1], check(other, CHAIN_ID))) == "light.next_set"


@pytest.mark.parametrize(
    ("old", "new", "signers", "enough"),
    [
        ({"ann": 1, "ben": 1, "cat": 1}, {"ann": 1, "eve": 3}, ["ann", "eve"], False),  # one third exactly
        ({"ann": 2, "ben": 1, "cat": 2}, {"ann": 1, "eve": 3}, ["ann", "eve"], True),
        ({"ann": 34, "ben": 66}, {"ann": 1, "eve": 3}, ["ann", "eve"], True),
        ({"ann": 33, "ben": 67}, {"ann": 1, "eve": 3}, ["ann", "eve"], False),
        ({"ann": 1, "ben": 1}, {"ann": 1, "ben": 1, "eve": 9}, ["eve"], False),  # there, but silent
        ({"ann": 1, "ben": 1}, {"eve": 9}, ["eve"], False),
    ],
)
def test_farther_block_needs_a_third_of_the_trusted(
    old: dict[str, int], new: dict[str, int], signers: list[str], enough: bool
) -> None:
    """More than one third of the trusted power, as the TRUSTED set counts it, must have signed a farther block."""
    trusted = sealed(header(3, old), old)
    block = sealed(header(9, new), new, signers=signers)

    for start in (trusted, Anchor(4, members(old), START_S)):
        if enough:
            assert extend(start, check(block, CHAIN_ID)) == block
        else:
            assert code_of(lambda start=start: extend(start, check(block, CHAIN_ID))) == "light.overlap"  # type: ignore[misc]


def test_height_and_time_rise() -> None:
    """A block of the same height or below, or of the same time or before, does not follow."""
    same, below = BLOCK, sealed(header(4, FOUR), FOUR)
    early = sealed(header(6, FOUR, time=BLOCK.header.time), FOUR)
    late = sealed(header(6, FOUR, time=Timestamp(BLOCK.header.time.seconds, BLOCK.header.time.nanos + 1)), FOUR)

    assert code_of(lambda: extend(BLOCK, check(same, CHAIN_ID))) == "light.height"
    assert code_of(lambda: extend(BLOCK, check(below, CHAIN_ID))) == "light.height"
    assert code_of(lambda: extend(BLOCK, check(early, CHAIN_ID))) == "light.time"
    assert extend(BLOCK, check(late, CHAIN_ID)) == late


def test_blocks_of_two_chains_do_not_follow() -> None:
    """A block of another chain that the same validators sign does not follow."""
    other = sealed(header(6, FOUR, chain_id="other"), FOUR)

    assert code_of(lambda: extend(BLOCK, check(other, "other"))) == "light.chain"


def test_anchor_decides_its_own_height() -> None:
    """A set pinned at a height decides that block and those above, not earlier ones, and none before its time."""
    assert extend(anchor(height=5), check(BLOCK, CHAIN_ID)) == BLOCK
    assert extend(Anchor(5, members(FOUR), BLOCK.header.time.seconds), check(BLOCK, CHAIN_ID)) == BLOCK

    assert code_of(lambda: extend(anchor({**FOUR, "eve": 1}, 5), check(BLOCK, CHAIN_ID))) == "light.next_set"
    assert code_of(lambda: extend(anchor(height=6), check(BLOCK, CHAIN_ID))) == "light.height"
    late = Anchor(5, members(FOUR), BLOCK.header.time.seconds + 1)
    assert code_of(lambda: extend(late, check(BLOCK, CHAIN_ID))) == "light.time"


def test_chain_leads_to_its_last_block() -> None:
    """Hop by hop a chain leads where no single hop does; a missing hop breaks it."""
    sets = [{"ann": 2, "ben": 1}, {"ben": 2, "cat": 1}, {"cat": 2, "dan": 1}, {"dan": 2, "eve": 1}]
    chain = history(sets)

    assert verify_chain(anchor(sets[0]), [*chain.values()], CHAIN_ID) == chain[4]
    assert verify_chain(chain[2], [chain[3], chain[4]], CHAIN_ID) == chain[4]
    assert code_of(lambda: verify_chain(anchor(sets[0]), [chain[4]], CHAIN_ID)) == "light.overlap"
    assert code_of(lambda: verify_chain(chain[1], [chain[2], chain[2]], CHAIN_ID)) == "light.height"


def test_chain_has_a_limit() -> None:
    """No block is no chain, and one hop more than the limit is refused before any is looked at."""
    assert code_of(lambda: verify_chain(anchor(), [], CHAIN_ID)) == "light.hops"
    assert code_of(lambda: verify_chain(anchor(), [BLOCK] * (HOPS_MAX + 1), CHAIN_ID)) == "light.hops"


def test_stranger_in_the_header_does_not_help() -> None:
    """Whoever names his own set in a forged header has his own votes only, and they are none of the trusted."""
    forged = sealed(header(9, {"mal": 1}), {"mal": 1})
    named = replace(BLOCK, header=replace(BLOCK.header, validators_hash=validators_hash(members({"mal": 1}))))

    assert code_of(lambda: extend(BLOCK, check(forged, CHAIN_ID))) == "light.overlap"
    assert code_of(lambda: check(named, CHAIN_ID)) == "light.validators_hash"
