"""`kill -9`, at the worst moments that there are: the node in every method of its application, and each of the two."""

from pathlib import Path

import pytest
from tests.support.member import until
from tests.support.purse import Purse
from tests.support.validators import Network
from tests.support_ledger.world import BOB, CAROL

pytestmark = pytest.mark.e2e

MOMENTS = (
    "begin:before:1",
    "begin:after:1",
    "kept:after:1",
    "check:before:1",
    "check:after:1",
    "judge:before:2",
    "judge:after:2",
    "propose:before:1",
    "propose:after:1",
    "finalize:before:2",
    "finalize:after:2",
    "commit:before:2",
    "commit:after:2",
)
WORST = ("finalize:after:1", "commit:before:2", "commit:after:2")


def killed_at(network: Network, moments: tuple[str, ...]) -> None:
    """Kill the last member at each of the moments, while money moves; and then let it live."""
    purse, victim = Purse(BOB), network.members[-1]
    others = network.members[:-1]
    for member in others:
        member.launch()
    for moment in moments:
        victim.launch("--kill", moment)
        assert victim.process is not None
        while victim.process.poll() is None:
            network.answers(others[0])
            network.included(network.send(purse.pay(CAROL.address), others[0]), others[0])
        assert victim.wait() == -9, f"{moment}\n{victim.tail}"
    victim.start()
    network.grow(3)
    network.agree()
    for member in others:
        assert int(member.ask("eth_getTransactionCount", "0x" + BOB.address.hex(), "latest"), 16) == purse.nonce


def test_killed_in_finalize_and_commit(tmp_path: Path) -> None:
    """A validator killed with a block worked out, not kept, and just kept, catches up to the same state."""
    with Network(tmp_path) as network:
        killed_at(network, WORST)


@pytest.mark.slow
def test_killed_in_every_method(tmp_path: Path) -> None:
    """A validator killed in every method that the engine calls, before it acts and before it answers, catches up."""
    with Network(tmp_path) as network:
        killed_at(network, MOMENTS)


def test_killed_apart(tmp_path: Path) -> None:
    """An engine that dies is started again; one whose node died ends, and both go on where they were."""
    with Network(tmp_path) as network:
        network.start()
        one, other, *_ = network.members
        node = one.node_pid
        engine = one.kill_engine()
        until("another engine runs", lambda: one.engine_pid not in {None, engine}, lambda: one.tail)
        other.kill()
        other.start()
        network.grow(3)
        network.agree()

        assert one.node_pid == node
        assert one.said("comet.engine_died")
