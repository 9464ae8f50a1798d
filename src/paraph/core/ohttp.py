"""Requests sealed to a node's key and answers sealed back, piece by piece: oblivious HTTP (RFC 9458), chunked.

Whoever carries the bytes, a relay or a front of the node, reads nothing of either. The framing is that of chunked
oblivious HTTP (draft-ietf-ohai-chunked-ohttp), so any relay of it serves. What is sealed departs from it on purpose,
and no relay can tell: the labels are ours, network, node and keyset stand in HPKE's `info`, and a request is two
chunks. The first says when, for which model and by which route; it is as secret as the second, the request, and is its
associated data. So a sealed request opens at that node of that network under that keyset only, and is answered for
that model and route only.

Not hidden: when requests are made, and how long they are, to the next step of `PADDING_BYTES`. Not proved: who sealed a
request. Whoever gets the node's key may later open what was recorded; a key born in an enclave dies with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from paraph.core import bhttp, hpke
from paraph.core.bhttp import varint, varint_at
from paraph.core.errors import Malformed, Rejected, must
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.limits import TIME_S_MAX

REQUEST_TYPE: Final = "message/ohttp-chunked-req"
RESPONSE_TYPE: Final = "message/ohttp-chunked-res"
SEALED_PATH: Final = "/paraph/v1/sealed"
"""Where a node opens sealed requests."""
NO_MODEL: Final = ModelId(bytes(32))
"""In the head of a request that asks no model: for an attestation."""

REQUEST_BYTES_MAX: Final = bhttp.CONTENT_BYTES_MAX + 64 * 1024
"""A sealed request: the largest body, its head and fields, padding, and what sealing adds."""
CHUNK_BYTES_MAX: Final = 16 * 1024
"""Plaintext of one chunk of an answer, as the draft has it: no more is held before it is verified."""
CHUNKS_MAX: Final = 2**22
"""Chunks of one answer: a chunk a token, and a reader of empty ones still comes to an end."""
PADDING_BYTES: Final = 1024
"""Requests are padded to a multiple, so that a length tells a prompt to the kilobyte; it costs half of one each."""
SECRET_BYTES: Final = 32
"""What an answer's key is derived from, and as long its nonce: the longer of AES-256's key and nonce."""

_REQUEST_LABEL: Final = b"paraph/sealed-request/1"
_RESPONSE_LABEL: Final = b"paraph/sealed-response/1"
_FINAL: Final = b"final"
_MORE: Final = b""
_HEADER_BYTES: Final = 1 + len(hpke.SUITE)
_TIME_BYTES: Final = 8
_ROUTE_BYTES_MAX: Final = 2 * bhttp.TARGET_BYTES_MAX
_HEAD_BYTES_MAX: Final = _TIME_BYTES + 32 + _ROUTE_BYTES_MAX
_NONCE_BYTES: Final = 12
_NEAR: Final = 16
"""How far around its place a chunk that does not open is tried, to say what was done to it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Whom requests are sealed to; both sides know it.

    Args:
        chain_id: the network's.
        node: the node's account.
        keyset: digest of the attested keys, of which the sealing key is one.
    """

    chain_id: int
    node: Address
    keyset: Digest

    def header(self) -> bytes:
        """What stands before a sealed request: which key, of which 8 bits are told, and the suite."""
        return self.keyset[:1] + hpke.SUITE

    def info(self) -> bytes:
        """What HPKE binds: all of it of fixed length, so no two bindings give the same."""
        return _REQUEST_LABEL + b"\0" + self.header() + self.chain_id.to_bytes(8, "big") + self.node + self.keyset


@dataclass(frozen=True, slots=True)
class Head:
    """What a sealed request says of itself before it is read.

    Args:
        time_s: when it was sealed, Unix seconds.
        model_id: who is asked.
        route: method and path, with a space between.
    """

    time_s: int
    model_id: ModelId
    route: str

    def encode(self) -> bytes:
        """Time, model, and the route to the end."""
        return self.time_s.to_bytes(_TIME_BYTES, "big") + self.model_id + self.route.encode()


def route_of(request: bhttp.Request) -> str:
    """The route of a request: its method and path, without the query."""
    return f"{request.method} {request.path.partition('?')[0]}"


# --- requests -----------------------------------------------------------------------------------------------------


def seal_request(
    key: bytes, binding: Binding, model_id: ModelId, time_s: int, request: bhttp.Request, ephemeral: bytes
) -> tuple[bytes, "ResponseOpener"]:
    """Seal a request, to be posted as `REQUEST_TYPE`.

    Args:
        key: the node's attested public key.
        binding: whose it is.
        model_id: who is asked.
        time_s: now. The node refuses what is old, and what it has seen.
        request: what is asked.
        ephemeral: 32 random bytes for this request alone.

    Returns:
        What to post, and what opens the answer.

    Raises:
        Malformed: `hpke.key`: the key is none. `bhttp.form`, `bhttp.fields`, `bhttp.size`: the request has no form.
    """
    must(0 <= time_s <= TIME_S_MAX, "a time is told")
    body = request.encode(PADDING_BYTES)
    head = Head(time_s, model_id, route_of(request)).encode()
    sender = hpke.sender(key, binding.info(), ephemeral)
    first = sender.seal(head, _MORE)
    last = sender.seal(body, _FINAL + head)
    secret = sender.export(_RESPONSE_LABEL, SECRET_BYTES)
    sealed = binding.header() + sender.encapsulated + varint(len(first)) + first + varint(0) + last
    return sealed, ResponseOpener(secret, sender.encapsulated)


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed request that opened: somebody sealed it to this key. What it says is not looked at yet.

    Args:
        encapsulated: one of a kind for each request that was ever sealed.
        head, body: as they were sealed.
        secret: what its answer is sealed under.
    """

    encapsulated: bytes
    head: bytes
    body: bytes
    secret: bytes

    def read(self) -> tuple[Head, bhttp.Request]:
        """What it says.

        Raises:
            Malformed: `seal.head`, `seal.route`; and as `bhttp.decode_request` does.
        """
        fixed = _TIME_BYTES + 32
        time_s = int.from_bytes(self.head[:_TIME_BYTES], "big")
        if len(self.head) <= fixed or not self.head[fixed:].isascii() or time_s > TIME_S_MAX:
            raise Malformed("seal.head", "the first chunk must be a time, a model and a route")
        head = Head(time_s, ModelId(self.head[_TIME_BYTES:fixed]), self.head[fixed:].decode())
        request = bhttp.decode_request(self.body)
        if route_of(request) != head.route:
            raise Malformed(
                "seal.route", f"sealed for {head.route[:100]}, and the request is {route_of(request)[:100]}"
            )
        return head, request


def open_request(secret: X25519PrivateKey, binding: Binding, data: bytes) -> Opened:
    """Open what a stranger posted.

    Raises:
        Rejected: `seal.key`: sealed to other keys than these; fetch the node's, and seal again.
        Malformed: `seal.size`; `seal.form`: no sealed request; `hpke.key`, `hpke.open`: it does not open here.
    """
    if len(data) > REQUEST_BYTES_MAX:
        raise Malformed("seal.size", f"{len(data)} bytes; at most {REQUEST_BYTES_MAX}")
    header, rest = data[:_HEADER_BYTES], data[_HEADER_BYTES:]
    if len(rest) < hpke.KEY_BYTES:
        raise Malformed("seal.form", "shorter than the head of a sealed request")
    if header != binding.header():
        raise Rejected("seal.key", "sealed to other keys, or in another suite, than this node's now")
    encapsulated, rest = rest[: hpke.KEY_BYTES], rest[hpke.KEY_BYTES :]
    first, last = _two_chunks(rest)
    receiver = hpke.receiver(secret, encapsulated, binding.info())
    head = receiver.open(first, _MORE)
    body = receiver.open(last, _FINAL + head)
    return Opened(encapsulated, head, body, receiver.export(_RESPONSE_LABEL, SECRET_BYTES))


def _two_chunks(data: bytes) -> tuple[bytes, bytes]:
    first = varint_at(data, 0)
    if first is None or not hpke.TAG_BYTES <= first[0] <= _HEAD_BYTES_MAX + hpke.TAG_BYTES:
        raise Malformed("seal.form", "the first chunk must be a head")
    end = first[1] + first[0]
    final = varint_at(data, end)
    if final is None or final[0] != 0:
        raise Malformed("seal.form", "the second chunk must be the final one")
    return data[first[1] : end], data[final[1] :]


# --- answers ------------------------------------------------------------------------------------------------------


class ResponseSealer:
    """Seals an answer, chunk by chunk; the last is marked as the last.

    Args:
        opened: what is answered.
        nonce: 32 random bytes for this answer alone.
    """

    def __init__(self, opened: Opened, nonce: bytes) -> None:
        must(len(nonce) == SECRET_BYTES, "an answer's nonce has 32 bytes")
        self._chunks = _Chunks(opened.secret, opened.encapsulated, nonce)
        self._next = 0
        self._begin = nonce

    def seal(self, plaintext: bytes) -> bytes:
        """The next bytes, in as many chunks as they need: none for none."""
        pieces = _pieces(plaintext)
        return self._taken() + b"".join(varint(len(each)) + each for each in (self._sealed(p, _MORE) for p in pieces))

    def finish(self, plaintext: bytes) -> bytes:
        """The last bytes, and the end."""
        *more, last = _pieces(plaintext) or [b""]
        return self.seal(b"".join(more)) + varint(0) + self._sealed(last, _FINAL)

    def _taken(self) -> bytes:
        begin, self._begin = self._begin, b""
        return begin

    def _sealed(self, plaintext: bytes, aad: bytes) -> bytes:
        must(self._next < CHUNKS_MAX, "an answer has fewer chunks")
        self._next += 1
        return self._chunks.seal(self._next - 1, plaintext, aad)


class ResponseOpener:
    """Opens an answer as it comes, in pieces of any size. It is whole only when `finish` says so.

    After an error it is of no more use: what was given out before stays true, what follows is lost.

    Args:
        secret: shared with whoever opened the request.
        encapsulated: of the request.
    """

    def __init__(self, secret: bytes, encapsulated: bytes) -> None:
        self._secret = secret
        self._encapsulated = encapsulated
        self._chunks: _Chunks | None = None
        self._next = 0
        self._final = False
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; what they completed, each opened and in its place.

        Raises:
            Malformed: `seal.size`: a chunk, or their number, is too large. As `finish`: a chunk does not open.
        """
        self._rest += data
        if self._chunks is None:
            if len(self._rest) < SECRET_BYTES:
                return []
            self._chunks = _Chunks(self._secret, self._encapsulated, bytes(self._rest[:SECRET_BYTES]))
            del self._rest[:SECRET_BYTES]
        return list(self._whole(self._chunks))

    def finish(self) -> bytes:
        """Say that no more comes; the last bytes.

        Raises:
            Malformed: `seal.cut`: it ends inside a chunk, or before the first. `seal.not_final`: it ends without its
                final chunk, or another stands for it. `seal.repeated`: a chunk comes again. `seal.order`: a chunk is
                missing, or has changed its place. `seal.altered`: a chunk is not as it was sealed, or not for us.
        """
        if self._chunks is None or (self._rest and not self._final):
            raise Malformed("seal.cut", "the answer ends inside a chunk")
        if not self._final:
            raise Malformed("seal.not_final", "the answer ends without its final chunk")
        if len(self._rest) < hpke.TAG_BYTES:
            raise Malformed("seal.cut", "the answer ends inside its final chunk")
        return self._open(self._chunks, bytes(self._rest), _FINAL)

    def _whole(self, chunks: "_Chunks") -> Iterator[bytes]:
        at = 0
        while not self._final:
            found = varint_at(self._rest, at)
            if found is None:
                break
            size, start = found
            if size == 0:
                self._final, at = True, start
                break
            _check_size(size, self._next)
            if start + size > len(self._rest):
                break
            opened = self._open(chunks, bytes(self._rest[start : start + size]), _MORE)
            at = start + size
            yield opened
        del self._rest[:at]
        if self._final:
            _check_size(len(self._rest), self._next)

    def _open(self, chunks: "_Chunks", sealed: bytes, aad: bytes) -> bytes:
        plaintext = chunks.open(self._next, sealed, aad)
        if plaintext is None:
            raise self._why(chunks, sealed, aad)
        self._next += 1
        return plaintext

    def _why(self, chunks: "_Chunks", sealed: bytes, aad: bytes) -> Malformed:
        """What was done to a chunk that does not open, as far as its neighbours' places tell."""
        other = _MORE if aad == _FINAL else _FINAL
        if chunks.open(self._next, sealed, other) is not None:
            return Malformed("seal.not_final", "a chunk that is not the final one stands for it, or the other way")
        for place in range(max(0, self._next - _NEAR), self._next + _NEAR + 1):
            if chunks.open(place, sealed, aad) is None and chunks.open(place, sealed, other) is None:
                continue
            if place < self._next:
                return Malformed("seal.repeated", f"chunk {place} comes again in the place of {self._next}")
            return Malformed("seal.order", f"chunk {place} comes in the place of {self._next}")
        return Malformed("seal.altered", f"chunk {self._next} of the answer is not as it was sealed, or not for us")


class _Chunks:
    """The key of an answer's chunks, and the nonce of each."""

    def __init__(self, secret: bytes, encapsulated: bytes, nonce: bytes) -> None:
        # HKDF's two steps with one salt, twice: `Expand` is asked for the key and for the nonce.
        salt = encapsulated + nonce
        self._aead = AESGCM(HKDF(SHA256(), len(secret), salt, b"key").derive(secret))
        self._nonce = int.from_bytes(HKDF(SHA256(), _NONCE_BYTES, salt, b"nonce").derive(secret), "big")

    def seal(self, place: int, plaintext: bytes, aad: bytes) -> bytes:
        return self._aead.encrypt(self._at(place), plaintext, aad)

    def open(self, place: int, sealed: bytes, aad: bytes) -> bytes | None:
        try:
            return self._aead.decrypt(self._at(place), sealed, aad)
        except InvalidTag:
            return None

    def _at(self, place: int) -> bytes:
        return (self._nonce ^ place).to_bytes(_NONCE_BYTES, "big")


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK_BYTES_MAX] for at in range(0, len(data), CHUNK_BYTES_MAX)]


def _check_size(size: int, count: int) -> None:
    if size > CHUNK_BYTES_MAX + hpke.TAG_BYTES or count >= CHUNKS_MAX:
        raise Malformed("seal.size", f"a chunk has {CHUNK_BYTES_MAX} bytes, and an answer {CHUNKS_MAX} chunks, at most")
