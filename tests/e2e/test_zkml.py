"""Proven answers on a real devnet: asked, answered, settled, proven, fetched, and verified from files alone."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from paraph.cli.program import paraph
from paraph.core.ident import to_hex
from paraph.devnet import processes
from paraph.devnet.exact_models import digit
from paraph.devnet.folder import INFERENCE_NODE, Folder
from paraph.devnet.network import Devnet
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.proofs.policy import decode_trust
from paraph.proofs.request import Layer
from paraph.sdk import Client
from paraph.sdk.answer import Answer

pytestmark = [pytest.mark.e2e, pytest.mark.models]

IMAGE: Final = 1_700
PATIENCE_S: Final = 90


def asked(client: Client, devnet: Devnet) -> tuple[Answer, str | None]:
    """An answer about an image, and what it says."""
    shades, _ = digit(IMAGE)
    card = client.card("digits")
    answer = client.infer("digits", {"input": card.to_int8(np.array([shades]))}, layer="zkml")
    return answer, card.answer(answer.outputs["output"])


def path_of(answer: Answer) -> str:
    """Where the node gives the proof of an answer out."""
    request = answer.bundle.request.request
    return f"/v1/proofs/{to_hex(request.payer)}/{to_hex(request.key)}"


def proven(url: str, path: str) -> Any:
    """The proof, once the node gives it out."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            reply = httpx.get(url + path, timeout=10, trust_env=False)
            if reply.status_code == httpx.codes.OK and reply.json()["state"] == "proven":
                return reply.json()["proof"]
        except httpx.TransportError:
            reply = None
        if time.monotonic() > end:
            raise AssertionError(f"no proof after {PATIENCE_S} s: {reply and reply.text}")
        time.sleep(0.2)


@pytest.mark.usefixtures("paraph_home")
def test_the_whole_journey(devnet: Devnet, tmp_path: Path) -> None:
    """The digits classifier answers rightly, proves it, is paid, and the bundle verifies with no network at all."""
    with Client.open(devnet.network_file, devnet.key("user")) as client:
        answer, said = asked(client, devnet)
        client.proof(client.settled(answer)).save(tmp_path / "zk.json")
    _, shown = digit(IMAGE)

    bundle = decode_bundle((tmp_path / "zk.json").read_bytes())
    verdict = judge(bundle, decode_trust(devnet.trust_file.read_bytes()))
    assert said == str(shown)
    assert verdict.verified
    assert bundle.answer.receipt.receipt.layer is Layer.ZK
    shown_by_command = CliRunner().invoke(
        paraph, ["verify", str(tmp_path / "zk.json"), "--trust", str(devnet.trust_file), "--json"]
    )
    assert shown_by_command.exit_code == 0, shown_by_command.output
    assert json.loads(shown_by_command.stdout)["verified"]


@pytest.mark.usefixtures("paraph_home")
def test_the_command_line(tmp_path: Path) -> None:
    """Numbers in, an answer in a word out; its proof seen, waited for and fetched; the answer computed again."""
    shades, shown = digit(IMAGE)
    (tmp_path / "image.json").write_text(json.dumps(shades))
    file = tmp_path / "zk.json"

    def run(*words: object, code: int = 0) -> Any:
        result = CliRunner().invoke(paraph, [*map(str, words), "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout if code == 0 else result.stderr.splitlines()[-1])

    ask = ("infer", "digits", "--layer", "zkml", "--input", f"input=@{tmp_path / 'image.json'}", "--save", file)
    first = run(*ask)
    status = run("proof", "status", file)
    fetched = run("proof", "fetch", file)
    late = run("proof", "refund", file, code=1)
    second = run(*ask, "--wait-proof")
    claims = {claim["code"]: claim for claim in run("verify", file)["claims"]}
    computed = run("receipt", "replay", file)

    assert (first["answer"], first["proven"], second["proven"]) == (str(shown), False, True)
    assert len(first["scores"]) == 10
    assert late["error"]["code"] == "proof.proven"
    assert status["stage"] in ("not settled yet", "due", "proven")
    assert (fetched["proven"], fetched["settled"]) == (True, True)
    assert claims["proof.verified"]["outcome"] == "PASS"
    assert "unaudited" in claims["proof.verified"]["sentence"]
    assert computed["equal"]


def test_the_ledger_learns_nothing_of_the_input(devnet: Devnet) -> None:
    """Two equal questions leave different digests: what is public hides input and output behind each one's salt."""
    with Client.open(devnet.network_file, devnet.key("user")) as client:
        receipts = [asked(client, devnet)[0].bundle.answer.receipt.receipt for _ in range(2)]

    for name in ("given_digest", "response_digest", "evidence_digest"):
        assert len({getattr(each, name) for each in receipts}) == 2


def test_killed_between_answer_and_proof(devnet: Devnet) -> None:
    """`kill -9` right after the answer: started again, the node settles, proves and gives the proof out."""
    folder = Folder(devnet.home)
    with Client.open(devnet.network_file, devnet.key("user")) as client:
        answer, _ = asked(client, devnet)
        pid = processes.pid_of(folder, INFERENCE_NODE)
        os.kill(pid, signal.SIGKILL)
        processes.wait(pid)
        devnet.up(lambda _: None)
        found = proven(folder.url(INFERENCE_NODE), path_of(answer))

        assert found["entries"][found["index"]][0] == to_hex(answer.bundle.request.request.key)
        assert client.proof(client.settled(answer)).proven


def test_counts_are_shown(devnet: Devnet) -> None:
    """The node tells anybody how many proofs are due, were taken and were missed."""
    folder = Folder(devnet.home)
    counts = httpx.get(folder.url(INFERENCE_NODE) + "/v1/proofs", trust_env=False).json()

    assert counts.keys() == {"mode", "unproven", "proven", "missed"}
    assert counts["mode"] == 2
