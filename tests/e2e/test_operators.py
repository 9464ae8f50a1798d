"""What the operators' guides say works: their blocks, run in order as one shell would, with real nodes and engines."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
from tests.support.cometbft import cometbft_binary, free_port

from paraph.adapters.comet.keys import identity
from paraph.core import abi
from paraph.core.ident import from_hex, to_hex
from paraph.full_node.__main__ import load_genesis
from paraph.ledger.rooms.bonds.calls import CONTRACT as STAKING
from paraph.ledger.rooms.params.calls import CONTRACT as PARAMS
from paraph.sdk import Client, load_key

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT: Final = Path(__file__).parents[2]
GUIDES: Final = ("run-a-full-node", "be-a-validator", "upgrade-a-network")
BLOCK: Final = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS: Final = ("26656", "26666", "8545", "8546", "9464")
PATIENCE_S: Final = 240
UNTIL: Final = 90


def script_of(names: tuple[str, ...]) -> str:
    """The guides' blocks as one script: it says READY at the end, and keeps its nodes until its input ends."""
    lines = [
        "set -euo pipefail",
        "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT",
        # Python's own: no reader's prompt, no leftovers of the test's.
        "python3() { " + sys.executable + ' "$@"; }',
    ]
    for name in names:
        text = (ROOT / "docs" / "guides" / f"{name}.md").read_text()
        assert BLOCK.findall(text), name
        for kind, block in BLOCK.findall(text):
            if kind == "python":
                lines.append(f"python3 -W error - <<'END'\n{block}END")
                continue
            for line in block.splitlines():
                assert line.startswith("$ "), line
                lines += [f"echo {json.dumps('$ ' + line[2:60]).replace('$', chr(92) + '$')} >&2", line[2:]]
    return "\n".join([*lines, "echo READY", "read -r _ || true"])


def with_free_ports(text: str) -> tuple[str, dict[str, int]]:
    """The script with free ports for those that the guides name."""
    ports = {port: free_port() for port in PORTS}
    for port, free in ports.items():
        text = re.sub(rf"(?<=:){port}\b", str(free), text)
    return text, ports


@contextmanager
def running(script: str, folder: Path) -> Iterator[str]:
    """The script while the block lasts, once it is READY; gives what it said until then."""
    (folder / "guide.sh").write_text(script)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PARAPH_")},
        "PARAPH_COMETBFT": str(cometbft_binary()),
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with (folder / "guide.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "guide.sh"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        said, deadline = b"", time.monotonic() + PATIENCE_S
        while b"READY" not in said:
            said += process.stdout.read() or b""
            logged = (folder / "guide.log").read_text()[-3000:]
            assert process.poll() is None, f"{said.decode()[-2000:]}\n{logged}"
            assert time.monotonic() < deadline, f"{said.decode()[-2000:]}\n{logged}"
            time.sleep(0.1)
        yield said.decode()
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def asked(port: int, method: str, *params: Any) -> Any:
    """A node's answer."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    reply = httpx.post(f"http://127.0.0.1:{port}", json=body, timeout=20, trust_env=False).json()
    assert "result" in reply, reply
    return reply["result"]


def health(port: int) -> dict[str, Any]:
    """What a node says of itself."""
    found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/health", timeout=20, trust_env=False).json()
    return found


def until(holds: Callable[[], Any], what: str) -> Any:
    """What `holds` returns once that is true."""
    deadline = time.monotonic() + UNTIL
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.2)
    pytest.fail(f"not within {UNTIL} s: {what}")


def block_of(port: int, number: str = "latest") -> dict[str, Any] | None:
    """A block of a node, or None."""
    found: dict[str, Any] | None = asked(port, "eth_getBlockByNumber", number, False)
    return found


def number_of(port: int) -> int:
    """The height of a node."""
    return int(asked(port, "eth_blockNumber"), 16)


def troubles(folder: Path, name: str) -> list[str]:
    """What `paraph full-node status` says is wrong, with exit code 1."""
    command = [sys.executable, "-m", "paraph.cli", "full-node", "status", "--home", name, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    found: list[str] = json.loads(done.stdout)["troubles"]
    return found


def test_operators_guides_run(tmp_path: Path) -> None:
    """Two operators found, join, repair, bond and schedule as the guides say; their nodes agree, to the end."""
    script, ports = with_free_ports(script_of(GUIDES))
    ann, ben = ports["8545"], ports["8546"]

    with running(script, tmp_path) as said:
        assert "✗ version 2 comes into force at block 10000000" in said
        assert said.count("install the new software") == 1

        # Both nodes hold the same chain.
        newest = min(number_of(port) for port in (ann, ben))
        blocks = [block_of(port, hex(newest)) for port in (ann, ben)]
        assert blocks[0] is not None
        assert blocks[0]["hash"] == blocks[1]["hash"]  # type: ignore[index]
        assert blocks[0]["stateRoot"] == blocks[1]["stateRoot"]  # type: ignore[index]

        # The second operator votes, with what was bonded and not unbonded.
        method = STAKING.method("activeSet")
        call = {"to": to_hex(STAKING.address), "data": to_hex(method.call())}
        told = from_hex(asked(ben, "eth_call", call, "latest"), None, "the set")
        keys, powers = (cast("tuple[Any, ...]", each) for each in abi.decode(method.outputs, told))
        own = identity(tmp_path / "ben" / "comet").validator_key
        assert dict(zip(keys, powers, strict=True))[own] == 19_500
        assert "failure" not in health(ben)

        # Nobody knows version 2: both stop before it, with the same last block, and say why.
        governor = load_key(tmp_path / "ann.json", (tmp_path / "password.txt").read_text().strip())
        with Client.open(tmp_path / "ann" / "network.json", governor) as client:
            height = number_of(ann) + 5
            client.transact(PARAMS, "scheduleUpgrade", 2, height)
        # Whose turn it is stops with the reason; without its votes the other waits. Neither goes past the height.
        until(lambda: any("block.version" in health(port).get("failure", "") for port in (ann, ben)), "a node stops")
        until(lambda: [number_of(port) for port in (ann, ben)] == [height - 1] * 2, "both have the last block")
        for name in ("ann", "ben"):
            assert "block.version" in " ".join(troubles(tmp_path, name))
        ends = [block_of(port) for port in (ann, ben)]
        assert ends[0]["stateRoot"] == ends[1]["stateRoot"]  # type: ignore[index]

    assert load_genesis(tmp_path / "ann").digest() == load_genesis(tmp_path / "ben").digest()
