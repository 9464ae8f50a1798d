"""Values of light blocks: every field is hashed, sets have one order, and JSON carries them."""

from tests.support.change import varied
from tests.support.comet import CHAIN_ID, FOUR, anchor, header, members, sealed, validator

from paraph.core.merkle import EMPTY_ROOT
from paraph.proofs.light.reading import anchor_from_json, header_from_json, light_block_from_json
from paraph.proofs.light.types import Timestamp, ordered, validators_hash


def test_every_field_of_a_header_is_hashed() -> None:
    """Any field changed changes the hash, and no two changes give one hash."""
    found = header(7, FOUR)
    hashes = {found.hash()}

    for name, other in varied(found):
        assert other.hash() not in hashes, name
        hashes.add(other.hash())


def test_every_validator_is_hashed() -> None:
    """A set's hash changes with a key, a power, an order and a member; that of nobody is the empty root."""
    found = members(FOUR)
    hashes = {validators_hash(found), validators_hash(found[1:]), validators_hash(found[::-1])}
    hashes |= {validators_hash((other, *found[1:])) for _, other in varied(found[0])}

    assert len(hashes) == 3 + len(list(varied(found[0])))
    assert validators_hash(()) == EMPTY_ROOT


def test_order_is_by_power_then_address() -> None:
    """The strongest stands first; of equals, the one of the lower address."""
    found = ordered([validator("ann", 1), validator("ben", 5), validator("cat", 1), validator("dan", 5)])

    assert [each.power for each in found] == [5, 5, 1, 1]
    assert found[0].address < found[1].address
    assert found[2].address < found[3].address


def test_every_part_of_a_vote_is_signed() -> None:
    """What a vote signs changes with the chain, the height, the round, the block, its time and its kind."""
    commit = sealed(header(3, FOUR), FOUR, nil=["ann"]).commit
    signed = {commit.message(place, CHAIN_ID) for place in range(4)}
    assert len(signed) == 2  # three for the block, one for none, all at one time

    for name, other in varied(commit):
        if name != "signatures":
            changed = {other.message(place, CHAIN_ID) for place in range(4)}
            assert not changed >= signed, name
    assert not {commit.message(place, "other") for place in range(4)} & signed


def test_json_carries_everything() -> None:
    """A block with every kind of vote, a first block, and an anchor are read back as they were."""
    block = sealed(header(3, FOUR), FOUR, signers=["ann", "ben"], nil=["cat"], round_=2)
    first = header(1, FOUR)

    assert light_block_from_json(block.as_json()) == block
    assert header_from_json(first.as_json()) == first
    assert anchor_from_json(anchor().as_json()) == anchor()


def test_times_compare_and_show() -> None:
    """Times order by seconds, then nanoseconds."""
    assert Timestamp(1, 2) < Timestamp(1, 3) < Timestamp(2, 0)
    assert str(Timestamp(1, 2)) == "1.000000002"
