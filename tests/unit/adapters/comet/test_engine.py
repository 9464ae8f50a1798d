"""The real engine over our server: blocks, transactions, validators, extensions, crashes and state sync."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.cometbft import free_port
from tests.unit.adapters.comet.keyvalue import KeyValue
from tests.unit.adapters.comet.network import QUICK, STATE, genesis_of, running, until, until_awaited

from paraph.adapters.comet.application import Power
from paraph.adapters.comet.engine import Engine, find_binary
from paraph.adapters.comet.home import StateSync, write_home
from paraph.adapters.comet.keys import consensus_address, identity
from paraph.adapters.comet.rpc import Accepted, Full, Known, Refused
from paraph.core.errors import Rejected, Unavailable


def heights(application: KeyValue, method: str) -> list[object]:
    return [facts for name, facts in application.calls if name == method]


def test_environment_overrules_nothing(cometbft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of our environment does not change the engine's configuration."""
    monkeypatch.setenv("CMT_MEMPOOL_TYPE", "nonsense")

    async def run() -> None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            await node.height(1)

    asyncio.run(run())


def test_transaction_becomes_state(cometbft: Path, tmp_path: Path) -> None:
    """One validator makes blocks from its genesis on; a transaction goes in, is found by query, and not twice."""

    async def run() -> None:
        genesis = genesis_of(tmp_path)
        async with running(cometbft, tmp_path, genesis) as node:
            await node.height(2)
            key = identity(tmp_path).validator_key
            assert heights(node.application, "begin") == [(STATE, (Power(key, 10),))]

            assert await node.engine.rpc.broadcast(b"k=v") == Accepted()
            await until(lambda: dict(node.application.state.rows).get("k") == "v")
            assert await node.engine.rpc.broadcast(b"k=v") == Known()
            assert await node.engine.rpc.broadcast(b"nonsense") == Refused(5, "a transaction is key=value")
            with pytest.raises(Rejected) as caught:
                await node.engine.rpc.broadcast(b"k=" + bytes(1024 * 1024 + 1024))
            assert caught.value.code == "comet.transaction_size"

            status = await node.engine.rpc.status()
            block = next(block for block in node.application.blocks.values() if block.transactions)
            assert (status.network, status.node_id) == ("test-1", identity(tmp_path).node_id)
            assert status.height >= block.height
            assert block.proposer == consensus_address(key)
            assert node.application.blocks[1].time_s == genesis.time_s
            assert block.time_s > 1_750_000_000
            assert await node.engine.rpc.peers() == 0
            assert node.application.threads == {"abci-consensus_0"}

            found = await node.engine.rpc._call("abci_query", {"data": b"k".hex(), "prove": True})
            response = found["response"]
            assert isinstance(response, dict)
            assert response["value"] == "dg=="
            assert "proofOps" in response

    asyncio.run(run())


def test_header_carries_root_and_version(cometbft: Path, tmp_path: Path) -> None:
    """Header H + 1 has the root after H and the version that H set; its light block parts are whole."""

    async def run() -> None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            await node.height(1)
            await node.engine.rpc.broadcast(b"version=9")
            await until(lambda: node.application.state.version == 9)
            changed = next(block.height for block in node.application.blocks.values() if block.transactions)
            await node.height(changed + 2)
            headers = {
                height: (await node.engine.rpc.light_block_parts(height))[0]["header"]
                for height in (1, changed, changed + 1)
            }
            _, validators = await node.engine.rpc.light_block_parts(changed)
            with pytest.raises(Unavailable) as caught:
                await node.engine.rpc.commit(10_000)

            versions = [header["version"]["app"] for header in headers.values()]  # type: ignore[index, call-overload]
            assert versions == ["7", "7", "9"]
            assert headers[1]["app_hash"] == genesis_of(tmp_path).root.hex().upper()  # type: ignore[index, call-overload]
            assert [validator["voting_power"] for validator in validators] == ["10"]
            assert caught.value.code == "comet.height"

    asyncio.run(run())


def test_what_waits_is_checked_again(cometbft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still in the pool after a block is checked anew, as such; and a full pool says so."""
    monkeypatch.setattr("paraph.adapters.comet.home.POOL_TX_MAX", 1)

    class Idle(KeyValue):
        def propose(self, block: object, bytes_max: int) -> tuple[bytes, ...]:
            return ()

    async def run() -> None:
        application = Idle(tmp_path / "application")
        async with running(cometbft, tmp_path, genesis_of(tmp_path), application=application) as node:
            assert await node.engine.rpc.broadcast(b"waits=1") == Accepted()
            await until(lambda: len(heights(application, "recheck")) >= 2)

            assert set(heights(application, "recheck")) == {b"waits=1"}
            assert heights(application, "check") == [b"waits=1"]
            assert await node.engine.rpc.broadcast(b"other=1") == Full()

    asyncio.run(run())


def test_validator_votes_from_two_blocks_on(cometbft: Path, tmp_path: Path) -> None:
    """What block H returns of the validator set holds at H + 2, and who does not vote is absent."""

    async def run() -> None:
        other = identity(tmp_path / "other").validator_key
        async with running(cometbft, tmp_path / "n", genesis_of(tmp_path / "n")) as node:
            await node.engine.rpc.broadcast(f"validator={other.hex()}:1".encode())
            await until(lambda: any(block.transactions for block in node.application.blocks.values()))
            changed = next(block.height for block in node.application.blocks.values() if block.transactions)
            await node.height(changed + 4)
            sizes = [len(await node.engine.rpc.validators(changed + number)) for number in (0, 1, 2, 3)]
            absent = [node.application.blocks[changed + number].absent for number in (2, 3, 4)]

            assert sizes == [1, 1, 2, 2]
            assert absent == [(), (consensus_address(other),), (consensus_address(other),)]

    asyncio.run(run())


def test_vote_extensions_reach_the_proposer(cometbft: Path, tmp_path: Path) -> None:
    """Where extensions are on, each proposer has those of the height before; where off, nobody is asked."""

    async def run() -> None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path, extensions_from=2)) as node:
            await node.height(4)
            ours = consensus_address(identity(tmp_path).validator_key)

            extensions = {height: node.application.extensions[height] for height in (1, 2, 3, 4)}
            assert extensions == {1: (), 2: (), 3: ((ours, b"seen 2"),), 4: ((ours, b"seen 3"),)}
            assert min(heights(node.application, "extend"), key=str) == 2

    asyncio.run(run())


def test_engine_that_is_killed_comes_back(cometbft: Path, tmp_path: Path) -> None:
    """A killed engine is started again, finds its place by Info, and no block is applied twice or left out."""

    async def run() -> None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            for deaths in (1, 2):
                await node.height(3 * deaths)
                pid = node.engine.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await until(lambda deaths=deaths: node.engine.deaths == deaths)  # type: ignore[misc]
                height = node.application.state.height
                await node.height(height + 3)
            assert await node.engine.rpc.broadcast(b"after=1") == Accepted()
            await until(lambda: "after" in dict(node.application.state.rows))

            assert node.server.failure is None
            committed = heights(node.application, "commit")
            assert committed == list(range(1, len(committed) + 1))

    asyncio.run(run())


def test_application_that_starts_again_is_brought_up(cometbft: Path, tmp_path: Path) -> None:
    """A new application at the height before, or at none, is given the blocks it lacks."""

    async def run() -> None:
        genesis = genesis_of(tmp_path)
        async with running(cometbft, tmp_path, genesis) as node:
            await node.engine.rpc.broadcast(b"k=v")
            await until(lambda: "k" in dict(node.application.state.rows))
            reached = node.application.state
        async with running(cometbft, tmp_path, genesis) as node:
            assert node.application.state.height >= reached.height
            assert heights(node.application, "begin") == []
        (tmp_path / "application" / "kept.json").unlink()
        async with running(cometbft, tmp_path, genesis) as node:
            await node.height(reached.height + 1)

            assert heights(node.application, "finalize")[0] == 1
            assert dict(node.application.state.rows)["k"] == "v"

    asyncio.run(run())


def test_broken_rule_stops_the_engine(cometbft: Path, tmp_path: Path) -> None:
    """When the application breaks, the engine ends, and the block is never committed."""

    async def run() -> None:
        application = KeyValue(tmp_path / "application", break_at=3)
        async with running(cometbft, tmp_path, genesis_of(tmp_path), application=application) as node:
            assert str(await node.server.broken()) == "a rule is broken"
            await until(lambda: node.engine.deaths > 0)

            assert application.state.height == 2
            assert heights(application, "commit") == [1, 2]

    asyncio.run(run())


def test_engine_ends_with_its_application(cometbft: Path, tmp_path: Path) -> None:
    """Where the server is gone, the engine ends by itself: no orphan is left even without the kernel's help."""

    async def run() -> None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            await node.height(1)
            await node.server.stop()
            await until(lambda: node.engine.deaths > 0)

    asyncio.run(run())


ORPHAN = """
import asyncio, sys
from pathlib import Path
from tests.unit.adapters.comet.network import genesis_of, running
async def main():
    home = Path(sys.argv[2])
    async with running(Path(sys.argv[1]), home, genesis_of(home)) as node:
        print(node.engine.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_engine_ends_with_a_killed_parent(cometbft: Path, tmp_path: Path) -> None:
    """An engine whose parent is killed ends too, and its home can be used at once after."""
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", ORPHAN, str(cometbft), str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    async def run() -> None:
        await until(lambda: not Path(f"/proc/{pid}").exists())
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            await node.height(node.application.state.height + 1)

    asyncio.run(run())


def test_home_has_one_engine(cometbft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second engine in a home is refused, and the first goes on."""
    monkeypatch.setattr("paraph.adapters.comet.engine.LOCK_S_MAX", 0.2)

    async def run() -> None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            second = Engine(cometbft, tmp_path)
            with pytest.raises(Unavailable) as caught:
                await second.start()
            await second.stop()
            await node.height(node.application.state.height + 1)

            assert caught.value.code == "comet.locked"

    asyncio.run(run())


def test_engine_that_cannot_start_says_why(cometbft: Path, tmp_path: Path) -> None:
    """An engine that ends at once gives its own words."""

    async def run() -> None:
        identity(tmp_path)
        write_home(tmp_path, replace(QUICK, mempool="nonsense"), genesis_of(tmp_path))
        engine = Engine(cometbft, tmp_path)
        with pytest.raises(Unavailable, match="mempool") as caught:
            await engine.start()

        assert caught.value.code == "comet.start"
        assert engine.pid is None

    asyncio.run(run())


def test_new_node_starts_from_a_snapshot(cometbft: Path, tmp_path: Path) -> None:
    """A second node fetches a snapshot, checks it against a verified header, and follows from there."""

    async def run() -> None:
        first_home, second_home = tmp_path / "a", tmp_path / "b"
        genesis = genesis_of(first_home)
        p2p, rpc = free_port(), free_port()
        first_settings = replace(
            QUICK, p2p_listen=f"tcp://127.0.0.1:{p2p}", rpc_listen=f"tcp://127.0.0.1:{rpc}", timeout_commit_ms=200
        )
        application = KeyValue(first_home / "application", snapshot_every=3)
        async with running(cometbft, first_home, genesis, first_settings, application) as first:
            for number in range(20):
                await first.engine.rpc.broadcast(f"key{number}=value{number}".encode())
            await first.height(8)
            header = await first.engine.rpc.commit(1)
            trusted = header["commit"]["block_id"]["hash"]  # type: ignore[index, call-overload]
            server = f"http://127.0.0.1:{rpc}"
            second_settings = replace(
                QUICK,
                persistent_peers=(f"{identity(first_home).node_id}@127.0.0.1:{p2p}",),
                state_sync=StateSync((server, server), 1, str(trusted), 100 * 365 * 86_400, discovery_s=5),
            )
            async with running(cometbft, second_home, genesis, second_settings) as second:
                await until(lambda: bool(heights(second.application, "commit")))

                async def joined() -> bool:
                    return not (await second.engine.rpc.status()).catching_up

                await until_awaited(joined)
                assert await first.engine.rpc.peers() == 1
                offered = [facts[0] for facts in heights(second.application, "offer")]  # type: ignore[index]
                assert offered[0] % 3 == 0
                assert len(heights(second.application, "apply")) > 1
                assert heights(second.application, "begin") == []
                assert heights(second.application, "commit")[0] == offered[-1] + 1
                assert dict(second.application.state.rows)["key7"] == "value7"

    asyncio.run(run())


def test_app_mempool_carries_a_transaction(cometbft: Path, tmp_path: Path) -> None:
    """With the `app` mempool a transaction is reaped from one node and inserted into another, which proposes it."""
    said = subprocess.run([cometbft, "version"], capture_output=True, text=True, check=True).stdout
    if said.startswith("0.38."):
        pytest.skip("CometBFT 0.38 has no app mempool")

    class Silent(KeyValue):
        def propose(self, block: object, bytes_max: int) -> tuple[bytes, ...]:
            return ()

    async def run() -> None:
        homes, ports = (tmp_path / "a", tmp_path / "b"), (free_port(), free_port())
        genesis = genesis_of(*homes)
        peers = [f"{identity(home).node_id}@127.0.0.1:{port}" for home, port in zip(homes, ports, strict=True)]
        common = replace(QUICK, mempool="app", timeout_commit_ms=200)
        settings = [
            replace(common, p2p_listen=f"tcp://127.0.0.1:{port}", persistent_peers=(peer,))
            for port, peer in zip(ports, reversed(peers), strict=True)
        ]
        silent, proposing = Silent(homes[0] / "application"), KeyValue(homes[1] / "application")
        # Two of two must vote: neither makes a block before the other is there.
        async with (
            running(cometbft, homes[0], genesis, settings[0], silent) as first,
            running(cometbft, homes[1], genesis, settings[1], proposing),
        ):
            await first.height(1)
            assert await first.engine.rpc.broadcast(b"k=v") == Accepted()
            await until(lambda: dict(silent.state.rows).get("k") == "v")

            assert heights(proposing, "insert") == [b"k=v"]
            assert heights(proposing, "check") == []
            assert heights(silent, "check") == [b"k=v"]

    asyncio.run(run())


def test_keeper_runs_on_uvloop(cometbft: Path, tmp_path: Path) -> None:
    """The engine is started, watched and stopped on uvloop as on the standard loop."""
    uvloop = pytest.importorskip("uvloop")

    async def run() -> int | None:
        async with running(cometbft, tmp_path, genesis_of(tmp_path)) as node:
            await node.height(2)
            assert node.engine.pid is not None
            os.kill(node.engine.pid, signal.SIGKILL)
            await until(lambda: node.engine.deaths == 1)
            await node.height(node.application.state.height + 2)
            return node.engine.pid

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pid = runner.run(run())

    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def test_missing_engine_says_what_to_do(tmp_path: Path) -> None:
    """Without a program the error names the command and the variable; a named one that is none is not replaced."""
    with pytest.raises(Unavailable, match="PARAPH_COMETBFT is /none") as caught:
        find_binary({"PARAPH_COMETBFT": "/none", "PATH": os.environ["PATH"]})

    assert caught.value.code == "comet.missing"
    assert "make engine" in caught.value.message


@pytest.mark.parametrize(
    ("said", "code"), [("0.37.4", "comet.version"), ("nonsense", "comet.version"), ("1.0.1", "comet.version")]
)
def test_version_is_checked(tmp_path: Path, said: str, code: str) -> None:
    """A program of another version, or another program, is not started."""
    program = tmp_path / "cometbft"
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    found = find_binary({"PARAPH_COMETBFT": str(program)})

    with pytest.raises(Unavailable) as caught:
        asyncio.run(Engine(found, tmp_path).start())

    assert caught.value.code == code


def test_program_that_cannot_run(tmp_path: Path) -> None:
    """A file that is no program of this machine is named as such."""
    program = tmp_path / "cometbft"
    program.write_bytes(b"\x7fELF nothing")
    program.chmod(0o755)

    with pytest.raises(Unavailable) as caught:
        asyncio.run(Engine(program, tmp_path).start())

    assert caught.value.code == "comet.missing"
