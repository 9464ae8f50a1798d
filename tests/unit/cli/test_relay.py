"""`paraph relay`: what it refuses to start with, and that it carries as a process of its own."""

import os
import signal
import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner

from paraph.cli.program import paraph
from paraph.core.ohttp import REQUEST_TYPE

PIN = "0x" + "11" * 32


@pytest.mark.parametrize(
    "words",
    [(), ("--to", "https://a", "--to", "https://b", "--key", PIN), ("--to", "https://a", "--key", PIN, "--key", PIN)],
    ids=["no node", "too few keys", "too many keys"],
)
def test_misused(words: tuple[str, ...]) -> None:
    """It needs a node, and a key for each node or for none."""
    assert CliRunner().invoke(paraph, ("relay", *words)).exit_code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--to", "https://a", "--key", "11"), "ident.hex"),
        (("--to", "http://a", "--key", PIN), "relay.target"),
        (("--to", "ftp://a"), "relay.target"),
    ],
)
def test_refused(words: tuple[str, ...], code: str) -> None:
    """What is no key, and what is no place to post to, is refused before it listens."""
    found = CliRunner().invoke(paraph, ("relay", *words))

    assert found.exit_code == 2
    assert f"[{code}]" in found.output


def test_process() -> None:
    """It says where it listens and for whom, carries, writes nothing of it down, and stops when told."""
    program = "from paraph.cli.relay import relay; relay()"
    words = ["--to", "http://127.0.0.1:1/sealed", "--to", "https://127.0.0.1:2/", "--port", "0"]
    words += ["--key", "none", "--key", PIN]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        told = [process.stdout.readline().decode().strip() for _ in range(2)]
        answers = [
            httpx.post(url, content=b"x", headers={"content-type": REQUEST_TYPE}, trust_env=False)
            for url in (*told, told[0].removesuffix("127.0.0.1:1"))
        ]
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)

    assert [url.rpartition("/")[2] for url in told] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert [each.status_code for each in answers] == [502, 502, 404]
    assert (process.returncode, out) == (0, b"")
    assert err.count(b"\n") == 1
