"""Machines that break: a full disk, a disk that lies, a clock that is wrong.

The engine's own clock cannot be set apart from the machine's (Linux has namespaces for other clocks, not for this one);
its votes' times, of which a block's time is the weighted median, are the engine's to defend.
"""

from contextlib import closing
from pathlib import Path

import pytest
from tests.support.member import until
from tests.support.purse import Purse
from tests.support.small_disk import SmallDisk
from tests.support.validators import Network
from tests.support_ledger.world import ALICE, BOB, CAROL

from paraph.full_node.config import Store
from paraph.full_node.node import CHAIN
from paraph.full_node.repair import restore

pytestmark = pytest.mark.e2e

DISK_BYTES = 16 << 20
SNAPSHOT_BLOCKS = 5
HOUR_S = 3_600


@pytest.mark.slow
def test_full_disk(tmp_path: Path) -> None:
    """A validator whose disk is full stops, says so, and keeps whole blocks alone; with room again it catches up."""
    network = Network(tmp_path)
    victim, others = network.members[3], network.members[:3]
    # The disk goes last: those who use it must have ended.
    with closing(SmallDisk(victim.home / CHAIN, DISK_BYTES)) as disk, network:
        victim.prefix = disk.prefix
        network.start()
        disk.fill()
        purse = Purse(BOB)
        for _ in range(3):
            network.must(purse.pay(CAROL.address), others[0])
        until("it says that its disk is full", lambda: victim.said("store.full"), lambda: victim.tail)
        stopped = victim.height()
        network.grow(4, others)
        assert victim.height() == stopped
        victim.end()
        disk.free()
        victim.start()
        network.grow(2)

        network.agree()


def test_corrupted_store(tmp_path: Path) -> None:
    """A node refuses a store in which a balance was altered, and names it; repaired by a snapshot it catches up."""
    with Network(tmp_path, store=Store(index="", snapshot_blocks=SNAPSHOT_BLOCKS)) as network:
        network.start(height=2 * SNAPSHOT_BLOCKS)
        victim = network.members[3]
        until("it has a snapshot", lambda: snapshots(victim.home), lambda: victim.tail)
        victim.end()
        alter(victim.home / CHAIN / "data.mdb", b"accounts/balance/" + ALICE.address)
        victim.launch()
        code = victim.wait()
        said = victim.tail
        restore(victim.home, snapshots(victim.home)[-1])
        victim.start()
        network.grow(3)
        network.agree()

        assert code == 1
        assert "store.corrupt" in said
        assert str(victim.home / CHAIN) in said


def snapshots(home: Path) -> list[Path]:
    """The snapshots that a node wrote, oldest first."""
    return sorted(
        (place for place in (home / "snapshots").glob("*") if place.name.isdecimal()), key=lambda place: int(place.name)
    )


def alter(file: Path, key: bytes) -> None:
    """Flip a bit of the value behind every copy of a key in a file."""
    data = bytearray(file.read_bytes())
    found = data.find(key)
    assert found > 0
    while found > 0:
        data[found + len(key)] ^= 1
        found = data.find(key, found + 1)
    file.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_wrong_clock(tmp_path: Path, seconds: int) -> None:
    """A validator whose application reads a clock an hour off reaches the same states: no rule reads it."""
    with Network(tmp_path) as network:
        wrong, others = network.members[3], network.members[:3]
        wrong.launch("--clock", str(seconds))
        for member in others:
            member.launch()
        for member in network.members:
            network.answers(member)
        purse = Purse(BOB)
        for member in (wrong, others[0]):
            network.must(purse.pay(CAROL.address), member)
        network.grow(4)

        height = network.agree()
        assert wrong.operator.address.hex() in {wrong.block(each)["miner"][2:].lower() for each in range(1, height + 1)}
