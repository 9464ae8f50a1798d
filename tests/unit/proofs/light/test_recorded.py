"""Light blocks of real CometBFT networks verify here as the engine decided them."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.comet import from_rpc, recorded

from paraph.core.encode import canonical, decode_exact
from paraph.core.errors import Unverified
from paraph.core.ident import to_hex
from paraph.proofs.light import wire
from paraph.proofs.light.reading import light_block_from_json
from paraph.proofs.light.trim import trimmed
from paraph.proofs.light.types import Flag, LightBlock, validators_hash
from paraph.proofs.light.verify import check, extend, verify_chain

SPECIFICATION = Path(__file__).parents[4] / "docs" / "spec" / "light.md"
ONE, ONE_BLOCKS, ONE_FILE = recorded("one")
FOUR, FOUR_BLOCKS, FOUR_FILE = recorded("four")
GROWS, SEIZES = FOUR_FILE["changed_in"]  # the blocks whose transactions change the set, two blocks later


@pytest.mark.parametrize("file", [ONE_FILE, FOUR_FILE], ids=["one", "four"])
def test_hashes_are_the_engines(file: dict[str, Any]) -> None:
    """The header's hash, the set's hash and the addresses are those that the engine itself wrote."""
    for each in file["blocks"]:
        block = from_rpc(each["commit"], each["validators"])

        assert to_hex(block.header.hash())[2:].upper() == each["commit"]["commit"]["block_id"]["hash"]
        assert [v.address.hex().upper() for v in block.validators] == [v["address"] for v in each["validators"]]
        assert len(check(block, file["genesis"]["chain_id"]).places) > 0


def test_every_vote_verifies() -> None:
    """Each vote that real validators cast, for a block or for none, counts as what it is; all kinds are there."""
    blocks = [*ONE_BLOCKS.values(), *FOUR_BLOCKS.values()]
    flags = [vote.flag for block in blocks for vote in block.commit.signatures]

    signed = sum(len(check(block, block.header.chain_id).places) for block in blocks)

    assert signed == flags.count(Flag.COMMIT)
    assert set(flags) == set(Flag)


def test_example_of_the_specification() -> None:
    """The bytes of the example in docs/spec/light.md are those of the recorded block."""
    block = ONE_BLOCKS[2]
    found, validator = block.header, block.validators[0]
    assert found.last_block_id is not None
    shown = (
        wire.number(1, found.version_block) + wire.number(2, found.version_app),
        wire.data(1, found.chain_id.encode()),
        wire.number(1, found.height),
        found.time.encode(),
        found.last_block_id.encode(),
        found.hash(),
        wire.validator(validator.key, validator.power),
        validators_hash(block.validators),
        block.commit.message(0, found.chain_id),
    )

    example = SPECIFICATION.read_text().partition("## Example")[2]

    assert [line.split("`")[1] for line in example.splitlines() if line.count("`") == 2 and "recorded" not in line] == [
        each.hex() for each in shown
    ]
    assert str(found.time) in example


def test_one_validator() -> None:
    """A network of one validator is followed from its genesis to any block."""
    assert verify_chain(ONE, [ONE_BLOCKS[1]], "paraph-one") == ONE_BLOCKS[1]
    assert verify_chain(ONE, [ONE_BLOCKS[5]], "paraph-one") == ONE_BLOCKS[5]
    assert verify_chain(ONE, [*ONE_BLOCKS.values()], "paraph-one") == ONE_BLOCKS[5]


def test_change_of_set_is_followed() -> None:
    """A change of the set is followed block by block, and skipped over while a third of the old set signs."""
    before, after = FOUR_BLOCKS[GROWS + 1], FOUR_BLOCKS[GROWS + 2]
    assert before.header.validators_hash != after.header.validators_hash

    assert verify_chain(FOUR, [before, after], "paraph-four") == after
    assert verify_chain(FOUR, [FOUR_BLOCKS[2], FOUR_BLOCKS[SEIZES]], "paraph-four") == FOUR_BLOCKS[SEIZES]


def test_skip_over_too_great_a_change_is_refused() -> None:
    """A block that only one fourth of the trusted set signed does not follow, and does over the change's own blocks."""
    last = FOUR_BLOCKS[max(FOUR_BLOCKS)]

    with pytest.raises(Unverified) as caught:
        verify_chain(FOUR, [last], "paraph-four")

    assert caught.value.code == "light.overlap"
    steps = [FOUR_BLOCKS[SEIZES + 1], FOUR_BLOCKS[SEIZES + 2], last]
    assert verify_chain(FOUR, steps, "paraph-four") == last


def test_application_root_is_that_of_the_block_before() -> None:
    """A block that changed the application's state shows in the next header alone."""
    assert FOUR_BLOCKS[GROWS + 1].header.app_hash == FOUR_BLOCKS[GROWS + 2].header.app_hash
    assert FOUR_BLOCKS[2].header.app_hash != FOUR_BLOCKS[GROWS + 1].header.app_hash
    assert FOUR_BLOCKS[SEIZES].header.app_hash != FOUR_BLOCKS[SEIZES + 1].header.app_hash


@pytest.mark.parametrize("block", [*ONE_BLOCKS.values(), *FOUR_BLOCKS.values()])
def test_our_json_carries_them(block: LightBlock) -> None:
    """A real block survives our JSON, and is smaller in it without the votes it can do without."""
    start = ONE if block.header.chain_id == "paraph-one" else FOUR
    data = canonical(block.as_json())

    assert light_block_from_json(decode_exact(data)) == block
    if block.header.height <= SEIZES + 1:
        small = trimmed(start, block, block.header.chain_id)
        assert len(canonical(small.as_json())) <= len(data)
        assert extend(start, check(small, block.header.chain_id)) == small
