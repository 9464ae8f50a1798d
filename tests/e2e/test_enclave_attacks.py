"""Attacks on the attested path of a real devnet: each is caught before a byte of a prompt leaves or money moves."""

import asyncio
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.unit.adapters.http.test_tls import certificate, context_of, new_key

import paraph
from paraph.adapters.enclaves.simulated import SimulatedEnclave, make_root
from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.http.client import Means, SyncDriver
from paraph.adapters.keys.keystore import new_key as new_account
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.amount import WEI_PER_OPG, Wei
from paraph.core.errors import ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import ZERO_DIGEST, Address, Digest, digest_from_hex, to_hex
from paraph.core.keys import PrivateKey
from paraph.devnet import processes
from paraph.devnet.folder import ENCLAVE_NODE, Folder
from paraph.devnet.models import patient
from paraph.devnet.network import Devnet
from paraph.flows import attest, transact
from paraph.flows.effect import Flow
from paraph.flows.meet import PATH
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.ledger.tx import Tx
from paraph.proofs.attestation import Attestation, attestation_from_json
from paraph.proofs.quotes.binding import Keyset, bound
from paraph.proofs.request import Layer
from paraph.sdk import AsyncClient, Client

pytestmark = [pytest.mark.e2e, pytest.mark.models]

MODEL: Final = "smollm2-135m-instruct"
CLASSIFIER: Final = "breast-cancer"
PROMPT: Final = "the prompt that nobody else may read"
TERMS: Final[dict[str, Any]] = {"layer": "tee", "min_trust": "simulated"}
TEE: Final = 1 << (Layer.TEE - 1)


# --- who attacks -------------------------------------------------------------------------------------------------


@dataclass
class Middle:
    """A man in the middle: ends TLS with a key of his own, writes down all he hears, and passes it on both ways.

    Args:
        context: his certificate, valid under an authority that the client's machine trusts.
        target: host and port of the genuine enclave.
    """

    context: ssl.SSLContext
    target: tuple[str, int]
    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator["Middle"]:
        """Listen until the end of the block."""
        self._threads: list[threading.Thread] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                thread.join(20)
                for each in self._threads:
                    each.join(20)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._relay, args=(raw,)))
            self._threads[-1].start()

    def _relay(self, raw: socket.socket) -> None:
        raw.settimeout(10)
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        with (
            raw,
            suppress(OSError),
            self.context.wrap_socket(raw, server_side=True) as near,
            socket.create_connection(self.target, 10) as behind,
            anyone.wrap_socket(behind) as far,
        ):
            # One thread for both ways: OpenSSL's connections are not to be read and written at once.
            while ready := _readable(near, far):
                for source in ready:
                    data = source.recv(65_536)
                    if not data:
                        return
                    self.heard += data if source is near else b""
                    (far if source is near else near).sendall(data)


def _readable(*sides: ssl.SSLSocket) -> list[ssl.SSLSocket]:
    """The sides that have something to be read, as soon as one has; none when nobody says anything."""
    return [each for each in sides if each.pending()] or select.select(sides, (), (), 10)[0]


@dataclass(frozen=True)
class Authority:
    """A certificate authority that the client's machine trusts, and a server's context with a certificate under it."""

    trusted: ssl.SSLContext
    server: ssl.SSLContext
    file: Path


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    above, key = new_key(), new_key()
    root = certificate(above, "an authority", authority=True)
    place = tmp_path / "authorities.pem"
    place.write_bytes(root)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(place))
    server = context_of(tmp_path, key, certificate(key, "127.0.0.1", above, "an authority"))
    return Authority(ssl.create_default_context(cadata=root.decode()), server, place)


@pytest.fixture
def middle(authority: Authority, devnet: Devnet) -> Iterator[Middle]:
    """A man in the middle before the devnet's enclave."""
    with Middle(authority.server, ("127.0.0.1", Folder(devnet.home).port(ENCLAVE_NODE))).running() as found:
        yield found


# --- who is attacked ---------------------------------------------------------------------------------------------


@pytest.fixture
def payer(devnet: Devnet) -> PrivateKey:
    """A new account with money in escrow, of which nothing is promised to anybody."""
    key = new_account()
    with Client.open(devnet.network_file, devnet.key("ecosystem")) as faucet:
        faucet.transfer(key.address, 20 * WEI_PER_OPG)
    with Client.open(devnet.network_file, key) as client:
        client.deposit(10 * WEI_PER_OPG)
    return key


@pytest.fixture
def enclave_operator(devnet: Devnet) -> PrivateKey:
    return devnet.key("enclave-operator")


def chat(client: Client, **terms: Any) -> None:
    client.chat(MODEL, PROMPT, max_tokens=4, **TERMS, **terms)


def stream(client: Client, **terms: Any) -> None:
    for _ in client.chat_stream(MODEL, PROMPT, max_tokens=4, **TERMS, **terms):
        raise AssertionError("nothing is to be shown")


def decide(client: Client, **terms: Any) -> None:
    client.infer(CLASSIFIER, {"measurements": [[*patient(19)[0]]]}, **TERMS, **terms)


def private(client: Client, **terms: Any) -> None:
    client.chat(MODEL, PROMPT, max_tokens=4, private=True, **TERMS, **terms)


def asynchronous(client: Client, **terms: Any) -> None:
    async def main() -> None:
        async with AsyncClient(client.network, _keys[client.account]) as other:
            await other.chat(MODEL, PROMPT, max_tokens=4, **TERMS, **terms)

    asyncio.run(main())


_keys: dict[Address, PrivateKey] = {}
WAYS: Final[tuple[Callable[..., None], ...]] = (chat, stream, decide, private, asynchronous)


def failings(devnet: Devnet, payer: PrivateKey, kind: type[ParaphError], **terms: Any) -> set[str]:
    """The codes with which all ways of asking fail; the payer's money is checked to be untouched."""
    _keys[payer.address] = payer
    codes = set()
    with Client.open(devnet.network_file, payer) as client:
        before = client.escrow(), client.balance()
        for ask in WAYS:
            with pytest.raises(kind) as caught:
                ask(client, **terms)
            codes.add(caught.value.code)
        # What a node had been told would be settled within half a second.
        time.sleep(1.2)
        assert (client.escrow(), client.balance()) == before
    return codes


# --- 1. a man in the middle --------------------------------------------------------------------------------------


@contextmanager
def answering_at(devnet: Devnet, operator: PrivateKey, url: str) -> Iterator[None]:
    """The node's registered address is another for the length of a block."""
    with Client.open(devnet.network_file, operator) as client:
        node = client.nodes()[operator.address]
        client.transact(NODES, "update", url, node.layers, node.models)
        try:
            yield
        finally:
            client.transact(NODES, "update", node.endpoint, node.layers, node.models)


def attested_by(url: str, nonce: Digest, verify: ssl.SSLContext | bool) -> Attestation:
    """What is shown at an address for a nonce, to a client that compares no key."""
    with httpx.Client(verify=verify, trust_env=False, timeout=20, headers={"connection": "close"}) as http:
        reply = http.post(url + PATH, json={"nonce": to_hex(nonce)})
    return attestation_from_json(reply.json()["attestation"])


def test_a_man_in_the_middle(
    devnet: Devnet, payer: PrivateKey, enclave_operator: PrivateKey, middle: Middle, authority: Authority
) -> None:
    """With a certificate that the machine trusts, relaying the genuine attestation, he hears not a byte (B1, B20)."""
    nonce = Digest(random_bytes(32))
    genuine = attested_by(middle.url, nonce, authority.trusted)
    control = bytes(middle.heard)
    middle.heard.clear()
    with answering_at(devnet, enclave_operator, middle.url):
        codes = failings(devnet, payer, Unverified)
        with Client.open(devnet.network_file, payer) as client, pytest.raises(Unverified) as met:
            client.meet(enclave_operator.address, "simulated")

    assert genuine.nonce == nonce
    assert genuine.keyset.node == enclave_operator.address
    assert to_hex(nonce).encode() in control
    assert codes == {"tls.key"}
    assert met.value.code == "tls.key"
    assert middle.connections == 1 + len(WAYS) + 1
    assert bytes(middle.heard) == b""


def test_a_plain_address(devnet: Devnet, payer: PrivateKey, enclave_operator: PrivateKey, middle: Middle) -> None:
    """A node that registers a plain address is not spoken to: nobody even connects."""
    with answering_at(devnet, enclave_operator, middle.url.replace("https", "http")):
        codes = failings(devnet, payer, Unverified)

    assert codes == {"meet.plain"}
    assert middle.connections == 0


# --- 2. a relay that swaps nodes ---------------------------------------------------------------------------------


@pytest.fixture
def swapper(devnet: Devnet, middle: Middle) -> Iterator[PrivateKey]:
    """A second operator, whose node's registered address leads to the first one's enclave."""
    operator, hot = new_account(), new_account()
    with Client.open(devnet.network_file, devnet.key("ecosystem")) as faucet:
        faucet.transfer(operator.address, 1_100 * WEI_PER_OPG)
    with Client.open(devnet.network_file, operator) as client:
        chain_id = client.network.trust.chain_id
        proof = hot.sign(key_proof_digest(chain_id, operator.address))
        models = tuple(sorted(client.models()))
        arguments = (middle.url, hot.address, proof, TEE, models)
        client.transact(NODES, "register", *arguments, value=1_000 * WEI_PER_OPG)
        try:
            yield operator
        finally:
            client.transact(NODES, "deregister")


def driven(devnet: Devnet, key: PrivateKey, flow: Callable[[Any], Flow[Any]]) -> Any:
    """The result of a flow over this devnet's RPC; it is given what is pinned."""
    with Client.open(devnet.network_file, key) as client:
        network = client.network
    driver = SyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes, key.sign))
    try:
        return driver.run(flow(network.trust))
    finally:
        driver.close()


def sent(devnet: Devnet, key: PrivateKey, node: Address, shown: Attestation, height: int) -> str:
    """What the ledger says to an attestation that somebody sends; empty where it is registered."""

    def register(trust: Any) -> Flow[Any]:
        data = NODES.method("attest").call(node, shown.release, shown.keyset.encode(), shown.evidence.encode(), height)
        return (yield from transact.transact(trust.chain_id, key.address, NODES.address, Wei(0), data))

    try:
        driven(devnet, key, register)
    except Rejected as error:
        return error.message
    return ""


def test_a_relay_that_swaps_nodes(
    devnet: Devnet, payer: PrivateKey, swapper: PrivateKey, enclave_operator: PrivateKey, middle: Middle
) -> None:
    """A node that stands on another's enclave has none that the ledger knows: who names it says nothing to it."""
    codes = failings(devnet, payer, Unverified, node=swapper.address)
    with Client.open(devnet.network_file, payer) as client:
        answer = client.infer(CLASSIFIER, {"measurements": [[*patient(19)[0]]]}, **TERMS)

    assert codes == {"meet.unknown"}
    assert answer.receipt.node == enclave_operator.address
    assert (middle.connections, bytes(middle.heard)) == (0, b"")


def test_evidence_of_another_node_is_not_registered(
    devnet: Devnet, swapper: PrivateKey, enclave_operator: PrivateKey, middle: Middle, authority: Authority
) -> None:
    """The genuine enclave, asked for exactly the swapper's nonce, still vouches for its own node alone (B2)."""
    nonce, height = driven(devnet, swapper, lambda trust: attest.question(trust, swapper.address))
    shown = attested_by(middle.url, nonce, authority.trusted)
    own = replace(shown, keyset=replace(shown.keyset, node=swapper.address, receipt_key=swapper.address))
    renamed = replace(shown, keyset=replace(shown.keyset, node=swapper.address))

    said = [
        sent(devnet, swapper, enclave_operator.address, shown, height),
        sent(devnet, swapper, swapper.address, shown, height),
        sent(devnet, swapper, swapper.address, own, height),
        sent(devnet, swapper, swapper.address, renamed, height),
    ]

    codes = ("nodes.attest_sender", "nodes.keyset", "binding.keys", "nodes.key_used")
    assert [code for code, words in zip(codes, said, strict=True) if code not in words] == [], said


# --- 3. a node that swaps the model file, or the code -----------------------------------------------------------


@contextmanager
def stopped(devnet: Devnet) -> Iterator[Folder]:
    """The enclave's node is stopped for the length of a block, and then what it was."""
    devnet.stop((ENCLAVE_NODE,))
    try:
        yield Folder(devnet.home)
    finally:
        devnet.up(lambda _: None)


@pytest.mark.slow
def test_a_swapped_model_file(devnet: Devnet, payer: PrivateKey) -> None:
    """With other weights under a model's name the enclave does not start: nobody answers, and nothing is paid."""
    with stopped(devnet) as folder:
        manifest = next(each for each in _manifests(devnet) if each.name == CLASSIFIER)
        name = manifest.files[0].sha256.hex()
        (blob,) = (each for each in (folder.node_home(ENCLAVE_NODE) / "blobs").rglob("*") if name.endswith(each.name))
        genuine = blob.read_bytes()
        swapped = bytearray(genuine)
        swapped[len(swapped) // 2] ^= 1
        blob.write_bytes(swapped)
        try:
            with pytest.raises(Unavailable) as caught:
                processes.start(folder, {ENCLAVE_NODE: "paraph.inference_node"})
            codes = failings(devnet, payer, Unavailable, node=devnet.key("enclave-operator").address)
        finally:
            blob.write_bytes(genuine)

    assert "[blobs.changed]" in processes.log_file(folder, ENCLAVE_NODE).read_text()
    assert caught.value.code == "devnet.start"
    assert codes == {"http.unreachable"}


def _manifests(devnet: Devnet) -> tuple[Any, ...]:
    from paraph.inference_node.config import read_config

    return read_config(Folder(devnet.home).node_home(ENCLAVE_NODE)).manifests


@pytest.mark.slow
def test_changed_code_is_not_registered(devnet: Devnet, payer: PrivateKey, tmp_path: Path) -> None:
    """A node whose check of model files was taken out measures otherwise: it registers nothing, and serves nobody."""
    source = Path(paraph.__file__).parent
    shutil.copytree(source, tmp_path / "paraph", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "paraph" / "adapters" / "blobs" / "folder.py"
    changed.write_text(changed.read_text().replace("if hash_file(place) != digest:", "if False and hash_file(place):"))
    assert changed.read_bytes() != (source / "adapters" / "blobs" / "folder.py").read_bytes()
    with stopped(devnet) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "paraph.inference_node", "--home", str(folder.node_home(ENCLAVE_NODE))],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        codes = failings(devnet, payer, Unavailable, node=devnet.key("enclave-operator").address)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "[attest.release]" in done.stderr
    assert codes == {"http.unreachable"}


# --- 4. a validator fed what is not of this chain ---------------------------------------------------------------


@dataclass(frozen=True)
class Forge:
    """Somebody who makes attestations for this devnet's enclave node, with one thing false.

    Args:
        devnet: which.
        folder: of the simulated root that he has.
        clock: his.
        measured: in place of the approved measurements.
        keys: of the keyset, in place of others.
        nonce: in place of what is asked.
    """

    devnet: Devnet
    folder: Path
    clock: Any = field(default_factory=SystemClock)
    measured: Mapping[str, bytes] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    nonce: Digest | None = None

    def made(self) -> tuple[Attestation, int]:
        """The attestation, and the height of the block of its nonce."""
        operator = self.devnet.key("enclave-operator")
        asked, height = driven(self.devnet, operator, lambda trust: attest.question(trust, operator.address))
        nonce = self.nonce or asked
        with Client.open(self.devnet.network_file, operator) as client:
            trust = client.network.trust
            found = client.releases()
        name, release = next((name, each) for name, each in found.items() if each.platform == "simulated")
        enclave = SimulatedEnclave(self.folder, {**release.measurements, **self.measured}, self.clock)
        ends_s = SystemClock().now_ms() // 1000 + 3_600
        keyset = Keyset(trust.chain_id, operator.address, Digest(b"t" * 32), b"h" * 32, new_account().address, ends_s)
        keyset = replace(keyset, **self.keys)
        evidence = enclave.attest(bound(keyset, nonce, ZERO_DIGEST), nonce, keyset.hpke_key)
        return Attestation(name, keyset, nonce, evidence), height


def late() -> FakeClock:
    """A clock eleven minutes behind."""
    return FakeClock(SystemClock().now_ms() - 11 * 60_000)


FORGERIES: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "another chain's root": ({"folder": "another"}, "quote.root"),
    "keys for another chain": ({"keys": {"chain_id": 1}}, "nodes.keyset"),
    "a nonce of another chain's block": ({"nonce": Digest(b"n" * 32)}, "binding.nonce"),
    "other code": ({"measured": {"pcr2": b"\xee" * 48}}, "policy.measurement"),
    "started for debugging": ({"measured": {"pcr0": bytes(48)}}, "policy.debug"),
    "an old document": ({"clock": late}, "policy.stale"),
    "keys that ended": ({"keys": {"not_after_s": 1}}, "binding.expired"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_the_ledger_refuses_forgeries(what: str, devnet: Devnet, tmp_path: Path) -> None:
    """By the RPC of the real full node: each forgery is refused for what is false in it, and nothing is registered."""
    changes, code = FORGERIES[what]
    changes = dict(changes)
    folder = Folder(devnet.home).simulated_root
    if changes.pop("folder", None):
        folder = tmp_path
        make_root(folder, SystemClock())
    if "clock" in changes:
        changes["clock"] = changes["clock"]()
    operator = devnet.key("enclave-operator")
    before = _current(devnet)

    shown, height = Forge(devnet, folder, **changes).made()

    assert code in sent(devnet, operator, operator.address, shown, height)
    assert _current(devnet) == before


def _current(devnet: Devnet) -> Any:
    """The devnet's enclave and how many were registered before it, as the ledger has them."""
    operator = devnet.key("enclave-operator")
    return driven(devnet, operator, lambda trust: _question(trust, operator.address))


def _question(trust: Any, node: Address) -> Flow[Any]:
    from paraph.flows.meet import known

    return (yield from known(trust, node)).enclave


def test_a_forgery_in_a_block(devnet: Devnet, tmp_path: Path) -> None:
    """Sent past the estimate, another chain's document is in a block and reverts there: it is validators who verify."""
    make_root(tmp_path, SystemClock())
    shown, height = Forge(devnet, tmp_path).made()
    operator = devnet.key("enclave-operator")
    before = _current(devnet)

    def force(trust: Any) -> Flow[Any]:
        from paraph.flows.effect import Rpc, ask

        data = NODES.method("attest").call(
            operator.address, shown.release, shown.keyset.encode(), shown.evidence.encode(), height
        )
        counted = yield from ask(Rpc("eth_getTransactionCount", (to_hex(operator.address), "pending")))
        nonce = transact.quantity(counted)
        raw = Tx(2, trust.chain_id, nonce, 1, 10**12, 3_000_000, NODES.address, Wei(0), data).sign(operator)
        found = yield from ask(Rpc("eth_sendRawTransaction", (to_hex(raw),)))
        return (yield from transact.receipt(str(found)))

    with pytest.raises(Rejected) as caught:
        driven(devnet, operator, force)

    assert caught.value.code == "tx.reverted"
    assert b"quote.root".hex() in caught.value.message or "quote.root" in caught.value.message
    assert _current(devnet) == before
    assert digest_from_hex(str(caught.value.facts["hash"]), "hash")
