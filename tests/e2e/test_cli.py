"""The command line against a real devnet: what a newcomer types, in the order in which they type it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from paraph.cli.program import paraph
from paraph.core.ident import to_hex
from paraph.devnet.models import patient
from paraph.devnet.network import Devnet

pytestmark = [pytest.mark.e2e, pytest.mark.models]

MODEL = "smollm2-135m-instruct"
SETTINGS = ("--max-tokens", "8", "--temperature", "0")


def run(*words: object, code: int = 0, text: str | None = None) -> Result:
    """`paraph` with these words, in this process; fails unless it exits with `code`."""
    result = CliRunner().invoke(paraph, [str(word) for word in words], input=text)
    assert result.exit_code == code, result.output
    return result


def data(*words: object, code: int = 0, text: str | None = None) -> Any:
    """What `paraph … --json` prints."""
    return json.loads(run(*words, "--json", code=code, text=text).stdout)


@pytest.fixture(autouse=True)
def here(paraph_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def chat_file(here: Path) -> Path:
    run("chat", MODEL, "Say hello to Ada.", *SETTINGS, "--save", "chat.json")
    return here / "chat.json"


def text_changed(file: Path) -> Path:
    """A copy of a saved answer in which one letter of the text is another."""
    found = json.loads(file.read_bytes())
    text = found["response"]["text"]
    found["response"]["text"] = text[:3] + chr(ord(text[3]) ^ 1) + text[4:]
    other = file.with_name("changed.json")
    other.write_text(json.dumps(found, ensure_ascii=False))
    return other


# --- devnet ------------------------------------------------------------------------------------------------------


def test_devnet_status(devnet: Devnet) -> None:
    """`status` names what runs, and `up` twice starts nothing again."""
    before = data("devnet", "status")

    again = data("devnet", "up")

    assert before["processes"] == again["processes"]
    assert all(process["running"] for process in before["processes"].values())
    assert "full-node" in run("devnet", "status").stdout


# --- asking ------------------------------------------------------------------------------------------------------


def test_chat_is_saved_and_verified(chat_file: Path) -> None:
    """What `chat --save` writes verifies, in the configured network's trust and in that of a file."""
    shown = run("verify", chat_file)

    assert "VERIFIED" in shown.stdout
    assert "✓ Which model generated it?" in shown.stdout
    assert "– Was the model modified?" in shown.stdout


def test_changed_chat_does_not_verify(chat_file: Path) -> None:
    """With one letter changed it does not, and says why."""
    found = data("verify", text_changed(chat_file), code=1)

    assert not found["verified"]
    assert {claim["code"] for claim in found["claims"] if claim["outcome"] == "FAIL"} == {"receipt.digests"}


def test_chat_text_goes_to_standard_output_alone() -> None:
    """The text can be piped: what is said about it goes to standard error."""
    shown = run("chat", MODEL, "Say hello to Ada.", *SETTINGS)
    asked = data("chat", "--model", MODEL, "Say hello to Ada.", *SETTINGS)

    assert shown.stdout == asked["text"] + "\n"
    assert "✓ verified" in shown.stderr
    assert asked["verified"] is True


def test_conversation_keeps_its_history(here: Path) -> None:
    """Each line is a message; what was said before is sent along, and each answer is kept."""
    run("chat", *SETTINGS, "--system", "Be brief.", "--save", "talk.json", text="My name is Ada.\nWhat is my name?\n")

    body = json.loads((here / "talk-2.json").read_bytes())["body"]
    first = json.loads((here / "talk.json").read_bytes())["response"]["text"]
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][2]["content"] == first
    run("verify", "talk-2.json")


def test_infer_is_settled_and_verified() -> None:
    """`infer --wait --save` keeps the proof of the settlement too."""
    measurements, found = patient(19)

    answer = data("infer", "breast-cancer", "--input", f"measurements={[measurements]}", "--wait", "--save", "i.json")

    verdict = data("verify", "i.json")
    outcomes = {claim["code"]: claim["outcome"] for claim in verdict["claims"]}
    assert answer["outputs"]["diagnosis"]["values"] == [["malignant", "benign"].index(found)]
    assert answer["settled"] is True
    assert outcomes["settlement.batch"] == "PASS"


def test_infer_takes_files_and_types(here: Path) -> None:
    """An input from a .npy file, from a JSON file, and as typed JSON give the same answer."""
    import numpy as np

    measurements, _ = patient(3)
    np.save(here / "m.npy", np.array([measurements]))
    (here / "m.json").write_text(json.dumps([measurements]))

    answers = [
        data("infer", "breast-cancer", "--input", text)["outputs"]
        for text in ("measurements:FP32=@m.npy", "measurements=@m.json", f"measurements:FP32={[measurements]}")
    ]

    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("chat", "nobody/nothing", "hi"), "models.unknown"),
        (("chat", MODEL, "hi", "--max-price", "0.0000001"), "request.cap"),
        (("chat", MODEL, "hi", "--layer", "zkml"), "models.layer"),
        (("chat", MODEL, "hi", "--node", "0x" + "1" * 40), "nodes.unknown"),
        (("infer", "breast-cancer", "--input", "measurements=[[1, 2]]"), "engine.input_dtype"),
        (("infer", MODEL, "--input", "x=[1.5]"), "request.kind"),
        (("embed", MODEL, "hello"), "engine.no_embeddings"),
        (("node", "show", "0x" + "1" * 40), "nodes.unknown"),
    ],
)
def test_refusals_are_one_line(words: tuple[str, ...], code: str) -> None:
    """What the network refuses is exit code 1, and one line with its code."""
    result = run(*words, code=1)

    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert line.endswith(f"[{code}]")


# --- receipts ----------------------------------------------------------------------------------------------------


def test_receipt_is_shown_and_settled(chat_file: Path) -> None:
    """`receipt show` says what is in the file, and `receipt settle` adds the proof that it was settled."""
    before = data("verify", chat_file)

    run("receipt", "settle", chat_file)

    after = data("verify", chat_file)
    assert "not settled yet" in str(before["claims"])
    assert "settled in batch" in str(after["claims"])
    assert "batch" in run("receipt", "show", chat_file).stdout
    assert data("receipt", "show", chat_file)["checked"] is False


def test_replay_of_a_chat_is_bit_equal(chat_file: Path, devnet: Devnet) -> None:
    """The model's own files, run again, give the same bits; with a letter changed, the place is named."""
    equal = data("receipt", "replay", chat_file)
    shown = run("receipt", "replay", text_changed(chat_file), code=1).stdout

    assert equal["equal"] is True
    assert equal["profile_equal"] is True
    assert "differs" in shown
    assert "text at 3" in shown
    assert "the response in the file is not what its receipt signs" in shown


def test_replay_of_a_decision(here: Path, devnet: Devnet) -> None:
    """A tensor model's answer is bit-equal too; other files than the receipt's model are refused."""
    measurements, _ = patient(7)
    run("infer", "breast-cancer", "--input", f"measurements={[measurements]}", "--save", "i.json")
    model = devnet.home / "models" / "breast-cancer.onnx"

    assert data("receipt", "replay", "i.json", "--model", model)["equal"] is True
    refused = run("receipt", "replay", "i.json", "--model", devnet.trust_file, code=1)

    assert "[replay.model]" in refused.stderr


# --- money, models, nodes ----------------------------------------------------------------------------------------


@pytest.fixture
def own_wallet(here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new wallet in use, with 50 OPG of the devnet's user; its address."""
    (here / "password").write_text("correct horse\n")
    monkeypatch.setenv("PARAPH_PASSWORD_FILE", str(here / "password"))
    address: str = data("wallet", "new", here / "w.json")["address"]
    run("wallet", "send", address, "50", "--devnet-key", "user")
    monkeypatch.setenv("PARAPH_WALLET", str(here / "w.json"))
    return address


def test_wallet(own_wallet: str) -> None:
    """A wallet is made, paid, deposits, pays an answer, asks its escrow back, and keeps it after all."""
    assert data("wallet", "show") == {"address": own_wallet}
    assert data("wallet", "balance")["balance_opg"] == "50"

    refused = run("chat", MODEL, "hi", *SETTINGS, code=1)
    run("wallet", "deposit", "5")
    run("chat", MODEL, "hi", *SETTINGS, "--wait")
    left = data("wallet", "escrow")
    run("wallet", "withdraw", "2")
    leaving = data("wallet", "escrow")
    locked = run("wallet", "withdraw", code=1)
    run("wallet", "withdraw", "--cancel")

    assert "[escrow.empty]" in refused.stderr
    assert 4.9 < float(left["available_opg"]) < 5
    assert leaving["leaving_opg"] == "2"
    assert "escrow.locked" in locked.stderr
    assert data("wallet", "escrow")["available_wei"] == left["available_wei"]


def tiny_model(place: Path, factor: float) -> Path:
    """An ONNX file that multiplies by a number: another file for another number."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("Mul", ["x", "factor"], ["y"])],
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
            [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    place.write_bytes(made.SerializeToString())
    return place


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_model_is_pushed_and_served(here: Path, own_wallet: str, devnet: Devnet) -> None:
    """A model is published, given to a node of one's own, bought, and its owner is paid the royalty."""
    model = tiny_model(here / "tiny.onnx", float(len(own_wallet)) + os.getpid())
    terms = ("--name", "ada/tiny", "--kind", "tensor", "--royalty", "500", "--base", "0.01")
    dry = data("model", "push", model, *terms, "--dry-run")
    run("wallet", "send", own_wallet, "1100", "--devnet-key", "ecosystem")
    port = free_port()
    hot = data("node", "init", "--home", here / "n", "--operator", own_wallet, "--port", port)["hot_key"]
    run("wallet", "send", hot, "5")

    pushed = data("model", "push", model, *terms, "--node-home", here / "n")
    again = run("model", "push", model, *terms)
    model_id = pushed["model_id"]
    run("node", "register", "--home", here / "n", "--endpoint", f"http://127.0.0.1:{port}", "--model", model_id)
    listed = {each["model_id"]: each for each in data("model", "list")}

    assert dry["registered"] is False
    assert dry["model_id"] == model_id
    assert pushed["manifest"]["batch_class"] == "invariant"
    assert "registered it before" in again.stdout
    assert listed[model_id] | {"nodes": 1, "royalty_bps": 500, "owner": own_wallet} == listed[model_id]
    assert data("model", "show", model_id)["price"]["base_opg"] == "0.01"
    assert run("node", "status", own_wallet, code=1).stdout.startswith("✗ not ready")

    command = [sys.executable, "-m", "paraph.cli", "node", "run", "--home", str(here / "n")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as node:
        assert node.stdout is not None
        assert json.loads(node.stdout.readline())["url"]
        ready = run("node", "status", own_wallet)
        answer = data("infer", model_id, "--input", "x=[[1.0, 2.0, 3.0, 4.5]]", "--devnet-key", "user", "--wait")
        node.terminate()
    assert node.returncode == 0
    assert ready.stdout.startswith("✓ ready")
    assert answer["outputs"]["y"]["shape"] == [1, 4]
    run("node", "heartbeat")
    run("node", "update", "--model", model_id, "--endpoint", "http://127.0.0.1:1")
    run("node", "leave")
    assert own_wallet not in {each["node"] for each in data("node", "list")}


def test_nodes_are_listed(devnet: Devnet) -> None:
    """The devnet's node is listed, shown, and ready."""
    operator = data("wallet", "show", "--devnet-key", "operator")["address"]

    assert operator in {each["node"] for each in data("node", "list")}
    assert data("node", "show", operator)["bond_opg"] == "10000"
    assert data("node", "status", operator)["ready"] is True
    assert "127.0.0.1" in run("node", "list").stdout
    assert "endpoint" in run("node", "show", operator).stdout
    assert MODEL in run("model", "list").stdout
    assert "royalty    20 %" in run("model", "show", MODEL).stdout


# --- enclaves ----------------------------------------------------------------------------------------------------


def test_an_enclave_is_met(here: Path, devnet: Devnet) -> None:
    """`node attest` meets the enclave, refuses a simulated one that nobody asked for, and keeps the meeting."""
    node = to_hex(devnet.key("enclave-operator").address)

    refused = run("node", "attest", node, code=1)
    met = run("node", "attest", node, "--min-trust", "simulated", "--save", "met.json")
    kept = run("verify", "met.json", "--min-trust", "simulated")

    assert "[meet.trust]" in refused.stderr
    assert "simulated" in refused.stderr
    for shown in (met, kept):
        assert "SIMULATED" in shown.stdout
    assert run("verify", "met.json", code=1).stdout.startswith("met.json: NOT VERIFIED")
    assert data("node", "attest", node, "--min-trust", "simulated")["verified"] is True


def test_a_node_shows_its_enclave(devnet: Devnet) -> None:
    """`node show` and `node status` know a node's enclave, and that another node has none."""
    enclaved, plain = (to_hex(devnet.key(name).address) for name in ("enclave-operator", "operator"))

    shown = data("node", "show", enclaved)

    assert "SIMULATED" in shown["enclave"]["enclave"]
    assert shown["layers"] == ["tee"]
    assert data("node", "show", plain)["enclave"] is None
    assert "SIMULATED" in run("node", "show", enclaved).stdout
    assert run("node", "attest", plain, code=1).stderr.endswith("[meet.unknown]\n")
    assert "✓ ready" in run("node", "status", enclaved).stdout


def test_verdicts_for_programs(here: Path) -> None:
    """`verify --ear` says a verdict as an attestation result: what is simulated is never affirmed."""
    run("chat", MODEL, "Say hello.", *SETTINGS, "--layer", "tee", "--min-trust", "simulated", "--save", "tee.json")
    run("chat", MODEL, "Say hello.", *SETTINGS, "--save", "plain.json")

    enclaved = json.loads(run("verify", "tee.json", "--min-trust", "simulated", "--ear").stdout)["submods"]["enclave"]
    plain = json.loads(run("verify", "plain.json", "--ear").stdout)["submods"]["enclave"]

    assert (enclaved["ear.status"], enclaved["paraph.trust-class"]) == ("contraindicated", "simulated")
    assert (plain["ear.status"], plain["paraph.trust-class"]) == ("warning", "none")
    assert enclaved["paraph.verdict"]["verified"] is True


def test_releases(devnet: Devnet) -> None:
    """The governor approves a release and revokes it; others cannot, and everyone sees it."""
    measures = [word for name in ("pcr0", "pcr1", "pcr2") for word in ("--measure", f"{name}={'5a' * 48}")]
    asked = ("measurement", "approve", "--platform", "nitro", "--name", "node 9", "--source", "commit 9", *measures)

    stranger = run(*asked, "--devnet-key", "user", code=1)
    approved = run(*asked, "--devnet-key", "foundation")
    release = next(each for each in data("measurement", "list") if each["name"] == "node 9")
    shown = run("measurement", "show", release["release"][:20])
    revoked = run("measurement", "revoke", release["release"][:20], "--devnet-key", "foundation")

    assert "measurements.governor" in stranger.stderr
    assert release["release"] in approved.stdout
    assert "5a5a" in shown.stdout
    assert "revoked" in revoked.stdout
    assert next(each for each in data("measurement", "list") if each["name"] == "node 9")["revoked"]
    assert "node 9" in run("measurement", "list").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("approve", "--platform", "nitro", "--name", "n", "--source", "s", "--measure", "pcr0"), 2),
        (("approve", "--platform", "nitro", "--name", "n", "--source", "s", "--measure", "pcr0=0xzz"), 2),
        (("show", "nothing"), 2),
        (("show", "0x00ff00ff00"), 1),
    ],
    ids=["no value", "no hex", "no id", "unknown"],
)
def test_releases_misnamed(words: tuple[str, ...], code: int, devnet: Devnet) -> None:
    """What names no measurement or release is told in one line."""
    shown = run("measurement", *words, code=code)

    assert shown.stderr.startswith("error: ")
    assert shown.stderr.count("\n") == 1


def test_revocations(devnet: Devnet) -> None:
    """A certificate and a machine are revoked by name; an enclave that stands on neither is not closed."""
    receipts = data("node", "show", to_hex(devnet.key("enclave-operator").address))["enclave"]["receipts"]

    by_serial = run("measurement", "revoke-certificate", "0x3000", "0x07", "--devnet-key", "foundation")
    by_name = run("measurement", "revoke-machine", "nitro", "i-0123456789abcdef0-enc1", "--devnet-key", "foundation")
    challenged = run("node", "challenge", receipts, "--devnet-key", "user", code=1)

    assert "revoked" in by_serial.stdout
    assert "revoked" in by_name.stdout
    assert "nodes.challenge" in challenged.stderr
