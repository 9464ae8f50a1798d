"""Answers of an enclave on a real devnet: bought, settled, kept, checked offline, and never taken for hardware."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from paraph.cli.program import paraph
from paraph.core.errors import Unverified
from paraph.devnet.models import patient
from paraph.devnet.network import Devnet
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.proofs.policy import decode_trust
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.request import Layer
from paraph.sdk import AsyncClient, Client
from paraph.sdk.answer import Answer

pytestmark = [pytest.mark.e2e, pytest.mark.models]

MODEL: Final = "smollm2-135m-instruct"
CLASSIFIER: Final = "breast-cancer"
SETTINGS: Final = ("--max-tokens", "8", "--temperature", "0")
ENCLAVED: Final = ("--layer", "tee", "--min-trust", "simulated")
TERMS: Final[dict[str, Any]] = {"layer": "tee", "min_trust": "simulated"}


def run(*words: object, code: int = 0) -> Result:
    """`paraph` with these words, in this process; fails unless it exits with `code`."""
    result = CliRunner().invoke(paraph, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def data(*words: object, code: int = 0) -> Any:
    """What `paraph … --json` prints."""
    return json.loads(run(*words, "--json", code=code).stdout)


@pytest.fixture(autouse=True)
def here(paraph_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(devnet: Devnet, file: Path, kind: str) -> None:
    """An answer by the enclave, settled and kept: a text, streamed, or a decision."""
    with Client.open(devnet.network_file, devnet.key("user")) as client:
        if kind == "text":
            stream = client.chat_stream(MODEL, "Say hello to Ada.", max_tokens=8, temperature=0, **TERMS)
            shown = "".join(stream)
            answer = stream.answer
            assert shown == answer.text != ""
        else:
            measurements, _ = patient(19)
            answer = client.infer(CLASSIFIER, {"measurements": [[*measurements]]}, **TERMS)
        assert answer.receipt.layer is Layer.TEE
        assert answer.trust is TrustClass.SIMULATED
        client.settled(answer).save(file)


@pytest.mark.parametrize("kind", ["text", "decision"])
def test_an_answer_of_an_enclave(kind: str, devnet: Devnet, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is verified, settled and kept; offline it verifies as simulated alone, and every verdict says that word."""
    trust = here / "trust.json"
    trust.write_bytes(devnet.trust_file.read_bytes())
    kept(devnet, here / "tee.json", kind)
    monkeypatch.setenv("PARAPH_HOME", str(here / "nothing"))
    monkeypatch.setattr(socket.socket, "connect", _no_network)

    shown = run("verify", "tee.json", "--trust", trust, "--min-trust", "simulated")
    refused = run("verify", "tee.json", "--trust", trust, code=1)
    told = data("verify", "tee.json", "--trust", trust, "--min-trust", "simulated")
    denied = data("verify", "tee.json", "--trust", trust, code=1)

    outcomes = {claim["code"]: claim["outcome"] for claim in told["claims"]}
    failed = [claim for claim in denied["claims"] if claim["outcome"] == "FAIL"]
    assert shown.stdout.startswith("tee.json: VERIFIED")
    assert "SIMULATED" in shown.stdout
    assert (outcomes["settlement.batch"], outcomes["evidence.layer"], outcomes["registry.release"]) == ("PASS",) * 3
    assert refused.stdout.startswith("tee.json: NOT VERIFIED")
    assert "simulated" in refused.stdout
    assert [claim["code"] for claim in failed] == ["evidence.trust"]
    assert "simulated" in str(failed)
    assert "SIMULATED" in str(told)


def _no_network(*_: object) -> None:
    raise AssertionError("this is checked without a network")


@pytest.mark.parametrize("change", ["text", "evidence", "release", "signer"])
def test_a_changed_answer_of_an_enclave(change: str, devnet: Devnet, here: Path) -> None:
    """With one thing changed in the file it does not verify, however little is demanded."""
    kept(devnet, here / "tee.json", "decision" if change != "text" else "text")
    found = json.loads((here / "tee.json").read_bytes())
    match change:
        case "text":
            found["response"]["text"] += "!"
        case "evidence":
            document = found["evidence"]["evidence"]
            found["evidence"]["evidence"] = document[:-2] + f"{int(document[-2:], 16) ^ 1:02x}"
        case "release":
            found["evidence"]["release"] = "0x" + "11" * 32
        case _:
            with Client.open(devnet.network_file, devnet.key("user")) as client:
                plain = client.infer(CLASSIFIER, {"measurements": [[*patient(19)[0]]]})
            plain.save(here / "plain.json")
            found["evidence"] = json.loads((here / "plain.json").read_bytes())["evidence"]
    (here / "changed.json").write_text(json.dumps(found, ensure_ascii=False))

    verdict = judge(
        decode_bundle((here / "changed.json").read_bytes()),
        decode_trust(devnet.trust_file.read_bytes()),
        TrustClass.SIMULATED,
    )

    assert not verdict.verified


def test_the_word_stands_where_people_look(devnet: Devnet, here: Path) -> None:
    """`paraph chat` and `infer` say SIMULATED with the verdict, and in JSON."""
    chat = run("chat", MODEL, "Say hello.", *SETTINGS, *ENCLAVED)
    told = data("chat", MODEL, "Say hello.", *SETTINGS, *ENCLAVED)
    decision = data("infer", CLASSIFIER, "--input", f"measurements={[patient(19)[0]]}", *ENCLAVED)

    assert "simulated" in chat.stderr.lower()
    assert "simulated" not in chat.stdout.lower()
    for answer in (told, decision):
        assert "simulated" in json.dumps(answer).lower()


@pytest.mark.parametrize("more", [(), ("--private",)], ids=["straight", "private"])
def test_hardware_is_wanted_unless_said(more: tuple[str, ...], devnet: Devnet) -> None:
    """Who asks for an enclave and says no more wants hardware: a simulated one is refused by that word, unasked."""
    refused = run("chat", MODEL, "Say hello.", *SETTINGS, "--layer", "tee", *more, code=1)

    line = refused.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert "simulated" in line
    assert line.endswith("[meet.trust]")
    assert refused.stdout == ""


def test_private_answers(devnet: Devnet, here: Path) -> None:
    """Sealed to the enclave's key, an answer verifies as the other does."""
    run("chat", MODEL, "Say hello.", *SETTINGS, *ENCLAVED, "--private", "--save", "private.json")

    assert run("verify", "private.json", "--min-trust", "simulated").stdout.startswith("private.json: VERIFIED")


def test_asynchronously(devnet: Devnet) -> None:
    """The asynchronous client meets and asks alike."""

    async def main() -> Answer:
        async with AsyncClient.open(devnet.network_file, devnet.key("user")) as client:
            with pytest.raises(Unverified) as caught:
                await client.chat(MODEL, "Say hello.", max_tokens=4, layer="tee")
            assert caught.value.code == "meet.trust"
            return await client.chat(MODEL, "Say hello.", max_tokens=4, temperature=0, **TERMS)

    answer = asyncio.run(main())

    assert answer.receipt.node == devnet.key("enclave-operator").address
    assert answer.trust is TrustClass.SIMULATED
