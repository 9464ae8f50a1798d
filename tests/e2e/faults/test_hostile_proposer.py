"""A validator that proposes what no honest one would: the others vote it down, and the next in turn proposes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.member import Member, until
from tests.support.purse import Purse
from tests.support.settling import Market, balance
from tests.support.validators import Network
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, person

from paraph.core.amount import Wei
from paraph.core.digest import keccak256
from paraph.core.ident import to_hex
from paraph.core.limits import TX_BYTES_MAX
from paraph.ledger.tx import Tx

pytestmark = pytest.mark.e2e

BLOCK_GAS = 30_000_000


def poisons(market: Market, past: bytes) -> Iterator[tuple[str, str, tuple[bytes, ...]]]:
    """Blocks that no honest validator proposes: what is wrong in each, and the code that says so.

    Args:
        market: where receipts are from.
        past: a transaction that was included already.
    """
    spare = Purse(person("hostile"), 0)  # it has no money
    rich = Purse(CAROL)
    yield "a receipt signed by another than it names", "tx.receipts", (market.batch(market.items(2, signer=BOB), rich),)
    yield "a request signed by another than its payer", "tx.receipts", (market.batch(market.items(2, payer=BOB), rich),)
    mixed = [*market.items(5), *market.items(1, signer=BOB)]
    yield "a good batch but for one forgery", "tx.receipts", (market.batch(mixed, rich),)
    yield "nothing to pay with", "tx.funds", (spare.pay(BOB.address),)
    yield "bytes that mean nothing", "", (b"\x02garbage", bytes(100))
    yield "a transaction of the past", "tx.nonce", (past,)
    again = rich.pay(BOB.address)
    yield "one transaction twice", "tx.nonce", (again, again)
    yield "a gap of nonces", "tx.nonce", (Purse(ALICE, 900).pay(BOB.address),)
    other = Tx(2, CHAIN_ID + 1, 0, 1, 10**12, 21_000, BOB.address, Wei(1), b"").sign(CAROL)
    yield "a transaction of another chain", "tx.chain_id", (other,)
    # The first leaves less than all of it to the second.
    greedy = tuple(Purse(CAROL, nonce).sign(BOB.address, gas=BLOCK_GAS) for nonce in range(2))
    yield "more gas than a block has", "tx.block_full", greedy
    good = Purse(CAROL).pay(BOB.address)
    yield "a signature with one bit changed", "", (good[:-1] + bytes((good[-1] ^ 1,)),)


def test_hostile_proposals(tmp_path: Path) -> None:
    """Every bad block is voted down by all others, none of it lands, and the chain goes on."""
    with Network(tmp_path) as network:
        hostile, honest = network.members[3], network.members[:3]
        file = tmp_path / "proposal"
        for member in honest:
            member.launch()
        hostile.launch("--propose", str(file))
        for member in network.members:
            network.answers(member)
        market = Market(network)
        past = Purse(BOB).pay(CAROL.address)
        network.must(past)
        before = balance(honest[0], CAROL.address), balance(honest[0], BOB.address)
        for wrong, code, transactions in poisons(market, past):
            known = len(proposed(hostile))
            # Renamed, for it may be read at any moment.
            draft = tmp_path / "draft"
            draft.write_text("\n".join(each.hex() for each in transactions))
            draft.rename(file)
            height = until("it proposes", lambda known=known: proposed(hostile)[known:], network.tails)[0]  # type: ignore[misc]
            for member in honest:
                reason = until(
                    f"{member.name} refuses {wrong}",
                    lambda member=member, height=height: refused(member).get(height),  # type: ignore[misc]
                    network.tails,
                )
                assert code in reason, wrong
            file.unlink()
            network.grow(1, honest)
            for raw in transactions:
                place = honest[0].ask("eth_getTransactionReceipt", to_hex(keccak256(raw)))
                assert place is None or raw == past, f"{wrong}: {place}"
        network.grow(4)
        network.agree()

        assert (balance(honest[0], CAROL.address), balance(honest[0], BOB.address)) == before


def proposed(hostile: Member) -> list[int]:
    """The heights at which it proposed what is none of its pool's."""
    return [int(found) for found in re.findall(r"of its own at (\d+)", hostile.log.read_text())]


def refused(member: Member) -> dict[int, str]:
    """The heights at which a member refused a proposal, and why."""
    lines = member.log.read_text().splitlines()
    found = [json.loads(line) for line in lines if '"proposal.refused"' in line and line.endswith("}")]
    return {each["height"]: each["reason"] for each in found}


def test_oversize_proposal(tmp_path: Path) -> None:
    """A block larger than any may be does not even leave its proposer: its own engine gives up; the others go on."""
    with Network(tmp_path) as network:
        hostile, honest = network.members[3], network.members[:3]
        file = tmp_path / "proposal"
        file.write_text("\n".join((bytes(TX_BYTES_MAX)).hex() for _ in range(5)))
        for member in honest:
            member.launch()
        hostile.launch("--propose", str(file))
        for member in honest:
            network.answers(member)
        until("its engine gives up", lambda: hostile.said("comet.engine_died"), network.tails)
        network.grow(6, honest)
        file.unlink()
        # Started again, it has nothing bad to propose any more.
        network.grow(4)

        network.agree()
