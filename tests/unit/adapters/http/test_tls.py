"""TLS by one key: whoever holds another hears nothing of the request, whatever certificate he shows for his own."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from paraph.adapters.http import tls
from paraph.adapters.http.client import AsyncDriver, Means, SyncDriver
from paraph.adapters.http.server import HttpServer
from paraph.adapters.http.tls import key_of, pinned, public_digest, serving
from paraph.core.encode import Json
from paraph.core.errors import ParaphError, Unavailable, Unverified
from paraph.core.ident import Digest
from paraph.flows.effect import Flow, Hear, Listen, Post, ask

NOW: Final = datetime.now(UTC)
NOW_S: Final = int(NOW.timestamp())


def new_key() -> ec.EllipticCurvePrivateKey:
    """A server's key."""
    return ec.generate_private_key(ec.SECP256R1())


KEY: Final = new_key()
OTHER: Final = new_key()
PROMPT: Final = "a prompt that nobody else may read"
JSON: Final = b'{"heard": 1}'
EVENT: Final = b"data: " + JSON + b"\n\n"
MEANS: Final = Means("http://rpc.test", lambda: 7, lambda size: b"r" * size)

Signer = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Server:
    """A TLS server on a thread: takes one connection after the other, and writes down every byte that was for it.

    Args:
        context: its TLS; None serves in the clear.
        content: what it answers.
    """

    context: ssl.SSLContext | None
    content: bytes = JSON
    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0
    handshakes: int = 0
    resumed: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when a connection by TLS has ended."""

    @property
    def url(self) -> str:
        return f"{'http' if self.context is None else 'https'}://127.0.0.1:{self.port}/x"

    @contextmanager
    def running(self) -> Iterator["Server"]:
        """Listen, until the end of the block; then everything that was sent has been heard."""
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

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            raw.settimeout(10)
            with raw, suppress(OSError):
                if self.context is None:
                    self._answer(raw)
                    continue
                with self.context.wrap_socket(raw, server_side=True) as secure:
                    self.handshakes += 1
                    self.resumed += bool(secure.session_reused)
                    self._answer(secure)
            self.ended.set()

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while PROMPT.encode() not in request:
            data = connection.recv(65_536)
            if not data:
                return
            request += data
            self.heard += data
            if self.context is None:
                break
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(self.content)}\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode() + self.content)


def certificate(key: Any, name: str, signer: Any = None, issuer: str = "", *, authority: bool = False) -> bytes:
    """A certificate in PEM, for 127.0.0.1; by default the key signs its own."""
    subject, above = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer or name))
    signer = signer or key
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                key_cert_sign=authority,
                crl_sign=authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def context_of(folder: Path, key: Signer, pem: bytes) -> ssl.SSLContext:
    """A server's context with that key and certificate, with OpenSSL's own settings."""
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    place = folder / "pem"
    place.write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place)
    return context


def digest_of(pem: bytes) -> Digest:
    """What a client compares of a certificate."""
    return key_of(ssl.PEM_cert_to_DER_cert(pem.decode()))


# --- asking ------------------------------------------------------------------------------------------------------


def posted(url: str, key: Digest | None) -> Flow[Json]:
    return (yield from ask(Post(url, {"prompt": PROMPT}, key)))


def listened(url: str, key: Digest | None) -> Flow[Json]:
    yield from ask(Listen(url, {"prompt": PROMPT}, key))
    return (yield from ask(Hear()))


def run_sync(flow: Flow[Any]) -> Any:
    driver = SyncDriver(MEANS)
    try:
        return driver.run(flow)
    finally:
        driver.close()


def run_async(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        driver = AsyncDriver(MEANS)
        try:
            return await driver.run(flow)
        finally:
            await driver.close()

    return asyncio.run(main())


both = pytest.mark.parametrize("run", [run_sync, run_async], ids=["sync", "async"])
either = pytest.mark.parametrize("flow", [posted, listened], ids=["post", "listen"])


@both
@either
def test_the_holder_of_the_key_is_asked(run: Any, flow: Any) -> None:
    """Whoever holds the key hears the request and answers, under a certificate that no authority signed."""
    with Server(serving(KEY, NOW_S), EVENT if flow is listened else JSON).running() as server:
        found = run(flow(server.url, public_digest(KEY)))

    assert found == {"heard": 1}
    assert PROMPT.encode() in server.heard


@both
@either
def test_the_holder_of_another_key_hears_nothing(run: Any, flow: Any) -> None:
    """The handshake ends in a refusal, and not one byte of the request was sent (B1)."""
    with Server(serving(OTHER, NOW_S)).running() as server, pytest.raises(Unverified) as caught:
        run(flow(server.url, public_digest(KEY)))

    assert caught.value.code == "tls.key"
    assert (server.connections, bytes(server.heard)) == (1, b"")


@both
@either
def test_an_authority_is_no_help(run: Any, flow: Any, tmp_path: Path) -> None:
    """A certificate that is valid under an authority which clients trust is refused, where its key is another (B20)."""
    above = new_key()
    pem = certificate(OTHER, "127.0.0.1", above, "an authority")
    root = certificate(above, "an authority", authority=True)
    trusting = ssl.create_default_context(cadata=root.decode())
    with Server(context_of(tmp_path, OTHER, pem)).running() as server:
        httpx.post(server.url, content=PROMPT, verify=trusting, trust_env=False)
        believed = bytes(server.heard)
        server.heard.clear()
        with pytest.raises(Unverified) as caught:
            run(flow(server.url, public_digest(KEY)))

    assert caught.value.code == "tls.key"
    assert PROMPT.encode() in believed
    assert bytes(server.heard) == b""


@both
@either
def test_old_tls_is_refused(run: Any, flow: Any, tmp_path: Path) -> None:
    """A server of TLS 1.2, though it holds the key, hears nothing (B24)."""
    context = context_of(tmp_path, KEY, certificate(KEY, "old"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Server(context).running() as server, pytest.raises(Unavailable) as caught:
        run(flow(server.url, public_digest(KEY)))

    assert caught.value.code == "http.unreachable"
    assert (server.handshakes, bytes(server.heard)) == (0, b"")


@both
@either
def test_plain_connections_are_refused(run: Any, flow: Any) -> None:
    """Where a key is wanted and the address is not https, nobody is even connected to."""
    with Server(None).running() as server, pytest.raises(Unverified) as caught:
        run(flow(server.url, public_digest(KEY)))

    assert caught.value.code == "tls.plain"
    assert server.connections == 0


@both
def test_a_server_without_tls_hears_no_request(run: Any) -> None:
    """One that speaks no TLS at an https address is told of a handshake, and of nothing else."""
    with Server(None).running() as server, pytest.raises(Unavailable):
        run(posted(server.url.replace("http:", "https:"), public_digest(KEY)))

    assert PROMPT.encode() not in server.heard
    assert b"POST" not in server.heard


@both
def test_no_proxy_of_the_environment(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections by key go straight to the address, past what the environment names."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    with Server(serving(KEY, NOW_S)).running() as server:
        found = run(posted(server.url, public_digest(KEY)))

    assert found == {"heard": 1}


@both
def test_each_connection_is_compared(run: Any) -> None:
    """The server that passed a moment ago passes for nobody else: another behind the same address is refused."""

    def twice(first: str, second: str) -> Flow[Json]:
        yield from posted(first, public_digest(KEY))
        return (yield from posted(second, public_digest(KEY)))

    with (
        Server(serving(KEY, NOW_S)).running() as one,
        Server(serving(OTHER, NOW_S)).running() as other,
        pytest.raises(Unverified) as caught,
    ):
        run(twice(one.url, other.url))

    assert caught.value.code == "tls.key"
    assert PROMPT.encode() in one.heard
    assert bytes(other.heard) == b""


@both
def test_keys_do_not_share_connections(run: Any) -> None:
    """One driver that asks for two keys keeps them apart: the second is not served over the first's connection."""

    def two(url: str) -> Flow[list[str]]:
        found = []
        for key in (KEY, OTHER):
            try:
                yield from posted(url, public_digest(key))
                found.append("")
            except ParaphError as error:
                found.append(error.code)
        return found

    with Server(serving(KEY, NOW_S)).running() as server:
        found = run(two(server.url))

    assert found == ["", "tls.key"]
    assert server.heard.count(PROMPT.encode()) == 1


@both
def test_who_is_refused_is_left(run: Any) -> None:
    """A refused connection is closed there and then, not when somebody forgets the error."""
    with Server(serving(OTHER, NOW_S)).running() as server:
        with pytest.raises(Unverified) as caught:
            run(posted(server.url, public_digest(KEY)))

        assert server.ended.wait(5)
    assert caught.value.code == "tls.key"


# --- resumption --------------------------------------------------------------------------------------------------


def spoken(server: Server, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
    """One connection on which the prompt is said, maybe with a session of before; the session it leaves."""
    server.heard.clear()
    with (
        socket.create_connection(("127.0.0.1", server.port), 10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as secure,
    ):
        secure.sendall(PROMPT.encode())
        while secure.recv(65_536):
            pass
        return secure.session


def test_no_session_is_resumed() -> None:
    """Our server gives no ticket: a connection never goes on without the comparison of keys (B24)."""
    context = pinned(public_digest(KEY))
    with Server(serving(KEY, NOW_S)).running() as server:
        session = spoken(server, context)
        spoken(server, context, session)

    assert session is None or not session.has_ticket
    assert (server.handshakes, server.resumed) == (2, 0)


@both
def test_tickets_of_others_are_not_used(run: Any, tmp_path: Path) -> None:
    """A server that gives tickets gets whole handshakes from us all the same; a client that takes them does not."""

    def often(url: str, key: Digest) -> Flow[None]:
        for _ in range(3):
            yield from posted(url, key)

    with Server(context_of(tmp_path, KEY, certificate(KEY, "giver"))).running() as server:
        run(often(server.url, public_digest(KEY)))
        ours = server.handshakes, server.resumed
        taking = pinned(public_digest(KEY))
        spoken(server, taking, spoken(server, taking))

    assert ours == (3, 0)
    assert server.resumed == 1


# --- parts -------------------------------------------------------------------------------------------------------


MAKERS: Final[dict[str, Callable[[], Signer]]] = {
    "P-256": new_key,
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65_537, 2_048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_keys_of_every_kind_are_compared(kind: str, tmp_path: Path) -> None:
    """Of whatever kind a server's key is, it passes where it is the one, and no other does."""
    key = MAKERS[kind]()
    pem = certificate(key, kind)
    with Server(context_of(tmp_path, key, pem)).running() as server:
        with pytest.raises(Unverified):
            run_sync(posted(server.url, public_digest(KEY)))
        before = bytes(server.heard)
        found = run_sync(posted(server.url, digest_of(pem)))

    assert before == b""
    assert found == {"heard": 1}


def test_the_key_alone_is_compared() -> None:
    """Two certificates of one key are one to the client; its name, signer and times say nothing."""
    assert digest_of(certificate(KEY, "one")) == digest_of(certificate(KEY, "two", OTHER, "another"))
    assert digest_of(certificate(KEY, "one")) == public_digest(KEY) != public_digest(OTHER)


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x30\x03\x02\x01\x01"], ids=["empty", "junk", "other DER"])
def test_junk_is_no_certificate(junk: bytes) -> None:
    """What is no certificate has no key."""
    with pytest.raises(Unverified) as caught:
        key_of(junk)

    assert caught.value.code == "tls.key"


@pytest.mark.parametrize("context", [pinned(public_digest(KEY)), ssl.create_default_context()], ids=["ours", "other"])
def test_nothing_is_compared_with_nothing(context: ssl.SSLContext) -> None:
    """A connection without a certificate, or by a context that pins none, is no connection by key."""
    der = ssl.PEM_cert_to_DER_cert(certificate(KEY, "one").decode())
    shown = None if isinstance(context, tls.PinnedContext) else der

    with pytest.raises(Unverified) as caught:
        tls._need_key(context, shown)

    assert caught.value.code == "tls.key"


def test_a_key_is_loaded_where_there_is_no_memory_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On other systems the key passes through a folder of its own, of which nothing is left."""
    monkeypatch.setattr("paraph.adapters.http.tls.sys.platform", "darwin")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Server(serving(KEY, NOW_S)).running() as server:
        found = run_sync(posted(server.url, public_digest(KEY)))

    assert found == {"heard": 1}
    assert list(tmp_path.iterdir()) == []


# --- our server --------------------------------------------------------------------------------------------------


async def echo(request: Request) -> JSONResponse:
    return JSONResponse(json.loads(await request.body()) | {"scheme": request.url.scheme})


def test_our_server_serves_by_its_key() -> None:
    """The HTTP server of a node in an enclave: its address is https, its key passes, TLS 1.2 and HTTP do not."""

    async def main() -> None:
        server = HttpServer(Starlette(routes=[Route("/x", echo, methods=["POST"])]), tls=serving(KEY, NOW_S))
        url = await server.start()
        driver = AsyncDriver(MEANS)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode, old.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
        try:
            found = await driver.run(posted(f"{url}/x", public_digest(KEY)))
            with pytest.raises(Unverified):
                await driver.run(posted(f"{url}/x", public_digest(OTHER)))
            with pytest.raises(Unavailable):
                await driver.run(posted(f"{url}/x", None))  # no authority knows it
            async with httpx.AsyncClient(verify=old, trust_env=False) as http:
                with pytest.raises(httpx.HTTPError):
                    await http.post(f"{url}/x", json={})
                with pytest.raises(httpx.HTTPError):
                    await http.post(f"{url.replace('https', 'http')}/x", json={})
        finally:
            await driver.close()
            await server.stop()

        assert url.startswith("https://127.0.0.1:")
        assert found == {"prompt": PROMPT, "scheme": "https"}

    asyncio.run(main())
