"""`paraph light` and `paraph network`: what is said of anchors, and what is refused before anything is done."""

import json
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.support.comet import FOUR, anchor, header, sealed
from tests.support_ledger.world import genesis

from paraph.cli.light import read_listen
from paraph.cli.program import paraph
from paraph.proofs.light.conflict import Fork
from paraph.sdk.network import Network, save_network

PERIOD_S = 14 * 86_400


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path))
    monkeypatch.delenv("PARAPH_NETWORK", raising=False)
    return tmp_path


def said(*words: str) -> Result:
    return CliRunner().invoke(paraph, ["network", *words])


def pinned(folder: Path, age_s: int | None, witnesses: tuple[str, ...] = ()) -> None:
    """A network file whose anchor is so old; with None, of a network that a producer signs."""
    trust = genesis().trust()
    if age_s is not None:
        start = replace(anchor(height=7), time_s=int(time.time()) - age_s)
        trust = replace(trust, producers=(), anchor=start, trusting_period_s=PERIOD_S)
    save_network(Network("http://127.0.0.1:1", trust, witnesses), folder / "network.json")


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (3600, "13 days more"),
        (PERIOD_S - 86_000, "23 hours"),
        (PERIOD_S, "✗ the anchor expired"),
        (PERIOD_S + 9 * 86_400, "paraph network anchor"),
    ],
)
def test_show_says_how_long_an_anchor_lasts(folder: Path, age_s: int, words: str) -> None:
    """Days while there are some, then hours, then that it is over and what to do."""
    pinned(folder, age_s)

    found = said("show")

    assert found.exit_code == 0
    assert words in found.stdout
    assert "block 7," in found.stdout
    assert "4 validators" in found.stdout
    assert "nobody is asked" in found.stdout


def test_show_as_json(folder: Path) -> None:
    """The file, and the seconds that are left."""
    pinned(folder, 100, ("http://127.0.0.1:2",))

    found = json.loads(said("show", "--json").stdout)

    assert PERIOD_S - 110 < found["trusted_s"] <= PERIOD_S - 100
    assert found["witnesses"] == ["http://127.0.0.1:2"]
    assert found["file"] == str(folder / "network.json")


def test_show_of_a_producers_network(folder: Path) -> None:
    """Where a producer signs nothing expires."""
    pinned(folder, None)

    assert "nothing to refresh" in said("show").stdout
    assert json.loads(said("show", "--json").stdout)["trusted_until"] is None


@pytest.mark.parametrize("words", [("refresh",), ("anchor", "--height", "5", "--hash", "0x" + "11" * 32)])
def test_nobody_answers(folder: Path, words: tuple[str, ...]) -> None:
    """Without a node the file stays as it is, and the exit code says so."""
    pinned(folder, 0)
    before = (folder / "network.json").read_bytes()

    found = said(*words)

    assert found.exit_code == 1
    assert "http.unreachable" in found.stderr
    assert (folder / "network.json").read_bytes() == before


@pytest.mark.parametrize("given", [(), ("--height", "0", "--hash", "0x"), ("--height", "1", "--hash", "0x11")])
def test_misuse(folder: Path, given: tuple[str, ...]) -> None:
    """A hash that is none, or a height, is misuse."""
    pinned(folder, 0)

    assert said("anchor", *given).exit_code == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [("127.0.0.1:8550", ("127.0.0.1", 8550)), ("localhost:0", ("localhost", 0)), ("[::1]:65535", ("::1", 65535))],
)
def test_listen(text: str, found: tuple[str, int]) -> None:
    """Loopback addresses are listened on."""
    assert read_listen(text) == found


@pytest.mark.parametrize(
    "text", ["0.0.0.0:8550", "8550", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "example.org:1", ""]
)
def test_listen_elsewhere(text: str) -> None:
    """No other address is: what is verified could be changed on its way there."""
    with pytest.raises(click.UsageError, match="--listen"):
        read_listen(text)


# --- reports -----------------------------------------------------------------------------------------------------

TRUTH = sealed(header(9, FOUR), FOUR)
FORK = Fork(TRUTH, sealed(header(9, FOUR, data_hash=TRUTH.header.app_hash), FOUR), None, None, ())


def kept(folder: Path, evidence: object) -> str:
    """A file as a light client writes it."""
    place = folder / "fork.json"
    place.write_text(json.dumps({"code": "light.fork", "said": "two blocks", "evidence": evidence}))
    return str(place)


def test_report_that_reaches_nobody(folder: Path) -> None:
    """Without an address the network file's node and witnesses are told; when none takes it, that is an error."""
    pinned(folder, 3600, ("http://127.0.0.1:2",))

    found = said("report-fork", kept(folder, FORK.as_json()))
    named = said("report-fork", kept(folder, FORK.as_json()), "--rpc", "http://127.0.0.1:3", "--json")

    assert found.exit_code == named.exit_code == 1
    assert "0 of 2 nodes took the evidence" in found.stderr
    assert "http://127.0.0.1:2" in found.stderr
    error = json.loads(named.stderr)["error"]
    assert error["code"] == "fork.not_taken"
    assert "0 of 1 nodes" in error["message"]


def test_report_of_something_else(folder: Path) -> None:
    """A file that is no evidence of a fork is refused before anybody is asked."""
    pinned(folder, 3600)
    (folder / "none.json").write_text("{}")

    found = [said("report-fork", kept(folder, {"first": 1})), said("report-fork", str(folder / "none.json"))]

    assert [each.exit_code for each in found] == [2, 2]
    assert all("[json.shape]" in each.stderr for each in found)


def test_report_that_is_taken(folder: Path) -> None:
    """Each node told stands in a line with what became of it; one that takes it is enough."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append(asked)
            answer = {"jsonrpc": "2.0", "id": 1, "result": {"height": 9, "evidence": [{}, {}]}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    heard: list[object] = []
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        words = ("report-fork", kept(folder, FORK.as_json()), "--rpc", url, "--rpc", "http://127.0.0.1:1")
        try:
            found, as_json = said(*words), said(*words, "--json")
        finally:
            server.shutdown()

    first, second = found.stdout.splitlines()
    assert first == f"✓ {url}: consensus has it, in 2 pieces"
    assert second.startswith("✗ http://127.0.0.1:1: ")
    assert [each["taken"] for each in json.loads(as_json.stdout)] == [True, False]
    asked: Any = heard[0]
    assert (asked["method"], asked["params"]) == ("paraph_reportFork", [FORK.as_json()])
