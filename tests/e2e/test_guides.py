"""What the guides say works: each guide's console and Python blocks, run in order, in a folder of their own."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from paraph.devnet.network import Devnet

pytestmark = [pytest.mark.e2e, pytest.mark.models]

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
# These have tests of their own: with the clients that they are about, and with networks of several nodes.
ELSEWHERE = ("use-with-web3", "run-a-full-node", "be-a-validator", "upgrade-a-network")
NAMES = sorted(file.stem for file in GUIDES.glob("*.md") if file.stem not in ELSEWHERE)
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = ("11435", "8600")
STAYING = ("paraph proxy", "paraph node run")
"""Commands that a reader leaves running in another terminal."""


def with_free_ports(text: str) -> str:
    """The guide with free ports for those that it names: another test or program may hold them."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            text = text.replace(port, str(probe.getsockname()[1]))
    return text


@contextmanager
def staying(command: str, script: str, environment: dict[str, str]) -> Iterator[None]:
    """A command left running until the end of the guide; it is ready when it says its first line."""
    process = subprocess.Popen(
        ["bash", "-c", f"{script}exec {command}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline(), f"{command} ended"
        yield
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("name", NAMES)
def test_guide_runs(name: str, devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of the guide does what it says, one after the other."""
    monkeypatch.chdir(tmp_path)
    person = tmp_path / "person"
    person.mkdir()
    (person / ".paraph").symlink_to(devnet.home.parent, target_is_directory=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PARAPH_")},
        "HOME": str(person),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    text = (GUIDES / f"{name}.md").read_text()
    plain = text
    text = with_free_ports(text)
    port = re.search(r"127\.0\.0\.1:(\d+)/v1", text)
    exports = ""

    with ExitStack() as left_running:
        for kind, block in BLOCK.findall(text):
            if kind == "python":
                done = subprocess.run(
                    [sys.executable, "-W", "error", "-c", block], env=environment, capture_output=True, text=True
                )
                assert done.returncode == 0, done.stderr
                continue
            for line in block.splitlines():
                assert line.startswith("$ "), line
                command = line[2:]
                if command.startswith(STAYING):
                    if command.startswith("paraph proxy") and port is not None:
                        command += f" --port {port.group(1)}"
                    left_running.enter_context(staying(command, exports, environment))
                    continue
                done = subprocess.run(
                    ["bash", "-c", f"set -o pipefail; {exports}{command}"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                # A shell keeps what it exports; each of ours is a new one.
                exports += "".join(f"export {shlex.quote(each)}; " for each in re.findall(r"export (\S+=\S+)", command))
    assert BLOCK.findall(plain)
