"""Sealed requests and answers: they open where they should, and nowhere else, whole, once and in order."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from paraph.core import bhttp, hpke, ohttp
from paraph.core.bhttp import varint
from paraph.core.errors import BrokenTruth, Malformed, ParaphError, Rejected
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.limits import TIME_S_MAX
from paraph.core.ohttp import Binding, Head, Opened, ResponseOpener, ResponseSealer, open_request, seal_request

SECRET = X25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = SECRET.public_key().public_bytes_raw()
EPHEMERAL = bytes(range(100, 132))
NONCE = bytes(range(200, 232))
BINDING = Binding(777, Address(b"\x0a" * 20), Digest(b"\x0b" * 32))
MODEL = ModelId(b"\x0c" * 32)
TIME_S = 1_800_000_000
ASKED = bhttp.Request("POST", "https", "node", "/paraph/v1/answer?x=1", (("content-type", "application/json"),), b"{}")
ENDS_OF_HEAD = (7, 39)
"""Where the header of a sealed request ends, and the encapsulated key."""


def sealed(request: bhttp.Request = ASKED, binding: Binding = BINDING) -> tuple[bytes, ResponseOpener]:
    return seal_request(KEY, binding, MODEL, TIME_S, request, EPHEMERAL)


def sealed_by_hand(head: bytes, body: bytes, aad: bytes | None = None) -> bytes:
    """A request of any head and body, sealed by somebody who keeps to nothing else."""
    sender = hpke.sender(KEY, BINDING.info(), EPHEMERAL)
    first = sender.seal(head, b"")
    last = sender.seal(body, b"final" + head if aad is None else aad)
    return BINDING.header() + sender.encapsulated + varint(len(first)) + first + b"\0" + last


def opened() -> Opened:
    return open_request(SECRET, BINDING, sealed()[0])


def answered(*chunks: bytes, last: bytes = b"") -> list[bytes]:
    """An answer in the parts that can be moved: the nonce, each chunk with its length, the final one with its mark."""
    sealer = ResponseSealer(opened(), NONCE)
    parts = [sealer.seal(each) for each in chunks]
    parts.append(sealer.finish(last))
    return [NONCE, parts[0][len(NONCE) :], *parts[1:]]


def read(*parts: bytes) -> bytes:
    opener = sealed()[1]
    found = b"".join(each for part in parts for each in opener.feed(part))
    return found + opener.finish()


def refused(attempt: Callable[[], object]) -> str:
    with pytest.raises(ParaphError) as caught:
        attempt()
    return caught.value.code


# --- requests -----------------------------------------------------------------------------------------------------


def test_request_opens() -> None:
    """What is sealed opens, and says when, for which model and by which route."""
    head, request = opened().read()

    assert head == Head(TIME_S, MODEL, "POST /paraph/v1/answer")
    assert request == ASKED


def test_wire_form() -> None:
    """A sealed request is a header, an encapsulated key, one chunk with its length, and a final one after a zero."""
    data = sealed()[0]
    head = Head(TIME_S, MODEL, "POST /paraph/v1/answer").encode()

    assert data[:7].hex() == "0b002000010002"
    assert data[39:41] == varint(len(head) + 16)
    assert data[41 + len(head) + 16] == 0
    assert len(data) == 41 + len(head) + 16 + 1 + 1024 + 16


@pytest.mark.parametrize("length", [1, 700, 800])
def test_length_is_hidden(length: int) -> None:
    """Prompts of less than a kilobyte are as long as each other when sealed."""
    assert len(sealed(replace(ASKED, content=length * b"x"))[0]) == len(sealed()[0])


def test_secret_is_of_the_request() -> None:
    """Another request has another encapsulated key, and another secret for its answer."""
    other = open_request(SECRET, BINDING, seal_request(KEY, BINDING, MODEL, TIME_S, ASKED, bytes(32))[0])

    assert other.encapsulated != opened().encapsulated
    assert other.secret != opened().secret


@pytest.mark.parametrize(
    "binding",
    [
        replace(BINDING, chain_id=778),
        replace(BINDING, node=Address(b"\x0d" * 20)),
        replace(BINDING, keyset=Digest(b"\x0b" + b"\x0e" * 31)),
    ],
    ids=["network", "node", "keyset"],
)
def test_another_place(binding: Binding) -> None:
    """A request sealed for another network, node or keyset does not open, though the key be the same."""
    assert refused(lambda: open_request(SECRET, binding, sealed()[0])) == "hpke.open"


def test_another_key() -> None:
    """A request sealed to another key does not open, though all else be the same."""
    assert refused(lambda: open_request(X25519PrivateKey.from_private_bytes(bytes(32)), BINDING, sealed()[0])) == (
        "hpke.open"
    )


@pytest.mark.parametrize(
    "head",
    [
        Head(TIME_S, ModelId(b"\x0d" * 32), "POST /paraph/v1/answer"),
        Head(TIME_S, MODEL, "POST /v1/embeddings"),
        Head(TIME_S + 1, MODEL, "POST /paraph/v1/answer"),
    ],
    ids=["model", "route", "time"],
)
def test_another_target(head: Head) -> None:
    """A request does not open under the head of another: model, route and time are its associated data."""
    true = Head(TIME_S, MODEL, "POST /paraph/v1/answer").encode()
    data = sealed_by_hand(head.encode(), ASKED.encode(), b"final" + true)

    assert refused(lambda: open_request(SECRET, BINDING, data)) == "hpke.open"


def test_head_and_request_must_agree() -> None:
    """A client that seals a request under the head of another route is refused."""
    head = Head(TIME_S, MODEL, "POST /v1/embeddings").encode()
    found = open_request(SECRET, BINDING, sealed_by_hand(head, ASKED.encode()))

    assert refused(found.read) == "seal.route"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        bytes(40),
        Head(TIME_S, MODEL, "").encode(),
        Head(TIME_S_MAX + 1, MODEL, "POST /").encode(),
        Head(TIME_S, MODEL, "").encode() + b"\xff",
    ],
)
def test_no_head(head: bytes) -> None:
    """A first chunk that is no head is refused."""
    found = open_request(SECRET, BINDING, sealed_by_hand(head, ASKED.encode()))

    assert refused(found.read) == "seal.head"


def test_no_request_inside() -> None:
    """What opens need not be a request."""
    found = open_request(SECRET, BINDING, sealed_by_hand(Head(0, MODEL, "POST /").encode(), b"\7"))

    assert refused(found.read) == "bhttp.form"


@pytest.mark.parametrize("place", range(7))
def test_stale_keys(place: int) -> None:
    """Another key identifier or suite is told apart: the client has old keys."""
    data = bytearray(sealed()[0])
    data[place] ^= 1

    with pytest.raises(Rejected) as caught:
        open_request(SECRET, BINDING, bytes(data))
    assert caught.value.code == "seal.key"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "seal.form"),
        (sealed()[0][:38], "seal.form"),
        (sealed()[0][:39], "seal.form"),
        (sealed()[0][:39] + varint(15) + bytes(100), "seal.form"),
        (sealed()[0][:39] + varint(5000) + bytes(6000), "seal.form"),
        (sealed()[0][:100], "seal.form"),
        (sealed()[0][:119] + b"\1" + sealed()[0][120:], "seal.form"),
        (sealed()[0][:7] + bytes(32) + sealed()[0][39:], "hpke.key"),
        (sealed()[0] + b"\0", "hpke.open"),
        (sealed()[0][:-1], "hpke.open"),
        (bytes(ohttp.REQUEST_BYTES_MAX + 1), "seal.size"),
    ],
)
def test_requests_refused(data: bytes, code: str) -> None:
    """Cut, longer, of another form, too large: each has its code."""
    assert refused(lambda: open_request(SECRET, BINDING, data)) == code


def test_chunks_exchanged() -> None:
    """The two chunks of a request in each other's place do not open."""
    head = Head(TIME_S, MODEL, "POST /").encode()
    sender = hpke.sender(KEY, BINDING.info(), EPHEMERAL)
    last = sender.seal(ASKED.encode(), b"final" + head)
    first = sender.seal(head, b"")
    data = BINDING.header() + sender.encapsulated + varint(len(first)) + first + b"\0" + last

    assert refused(lambda: open_request(SECRET, BINDING, data)) == "hpke.open"


@given(place=st.integers(0, len(sealed()[0]) * 8 - 1))
def test_any_bit_of_a_request(place: int) -> None:
    """Any bit changed, and the request does not open."""
    data = bytearray(sealed()[0])
    data[place // 8] ^= 1 << place % 8

    assert refused(lambda: open_request(SECRET, BINDING, bytes(data)))


@given(data=st.binary(max_size=300), kept=st.integers(0, 130))
def test_any_bytes_for_a_request(data: bytes, kept: int) -> None:
    """Bytes from anybody are refused, and nothing else happens."""
    with pytest.raises((Malformed, Rejected)):
        open_request(SECRET, BINDING, sealed()[0][:kept] + data)


@given(head=st.binary(max_size=120), body=st.binary(max_size=200))
def test_any_bytes_inside(head: bytes, body: bytes) -> None:
    """Whatever somebody sealed is read or refused."""
    found = open_request(SECRET, BINDING, sealed_by_hand(head, body))

    with pytest.raises(Malformed):
        found.read()


@pytest.mark.parametrize("key", [bytes(32), b""])
def test_no_key_to_seal_to(key: bytes) -> None:
    """A registry that names no key is told so before anything leaves."""
    assert refused(lambda: seal_request(key, BINDING, MODEL, TIME_S, ASKED, EPHEMERAL)) == "hpke.key"


@pytest.mark.parametrize("time_s", [-1, TIME_S_MAX + 1])
def test_no_such_time(time_s: int) -> None:
    """A time without a form is a fault of ours."""
    with pytest.raises(BrokenTruth):
        seal_request(KEY, BINDING, MODEL, time_s, ASKED, EPHEMERAL)


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_answer_opens_in_any_pieces(step: int) -> None:
    """An answer opens, in whatever pieces it comes."""
    data = b"".join(answered(b"one", b"two", last=b"three"))

    assert read(*(data[at : at + step] for at in range(0, len(data), step))) == b"onetwothree"


def test_chunks_are_given_out_as_they_come() -> None:
    """A chunk is given out when it is whole, and the last only at the end."""
    opener = sealed()[1]
    parts = answered(b"one", b"two", last=b"three")

    assert opener.feed(parts[0]) == []
    assert opener.feed(parts[1] + parts[2][:-1]) == [b"one"]
    assert opener.feed(parts[2][-1:]) == [b"two"]
    assert opener.feed(parts[3]) == []
    assert opener.finish() == b"three"


@pytest.mark.parametrize("size", [0, 1, ohttp.CHUNK_BYTES_MAX, ohttp.CHUNK_BYTES_MAX + 1, 5 * ohttp.CHUNK_BYTES_MAX])
def test_pieces_of_any_size(size: int) -> None:
    """Bytes of any number are split into chunks, in the middle and at the end."""
    data = bytes(range(256)) * (size // 256 + 1)

    assert read(*answered(data[:size], last=data[:size])) == 2 * data[:size]


def test_answer_as_the_draft_derives_it() -> None:
    """Key and nonces are those of the draft, worked out once more from HMAC alone."""

    def mac(key: bytes, data: bytes) -> bytes:
        found = HMAC(key, SHA256())
        found.update(data)
        return found.finalize()

    one = opened()
    prk = mac(one.encapsulated + NONCE, one.secret)
    key, nonce = mac(prk, b"key\1"), mac(prk, b"nonce\1")[:12]
    second = nonce[:-1] + bytes([nonce[-1] ^ 1])
    chunks = [AESGCM(key).encrypt(nonce, b"one", b""), AESGCM(key).encrypt(second, b"end", b"final")]

    assert b"".join(answered(b"one", last=b"end")) == NONCE + varint(19) + chunks[0] + b"\0" + chunks[1]


PARTS = answered(b"zero", b"one", b"two", b"three", last=b"end")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "seal.cut"),
        ([PARTS[0][:31]], "seal.cut"),
        ([PARTS[0]], "seal.not_final"),
        (PARTS[:-1], "seal.not_final"),
        ([*PARTS[:2], PARTS[2][:-1]], "seal.cut"),
        ([*PARTS[:2], PARTS[2][:1]], "seal.cut"),
        ([*PARTS[:-1], b"\0"], "seal.cut"),
        ([*PARTS[:-1], PARTS[-1][:16]], "seal.cut"),
        ([*PARTS[:-1], PARTS[-1][:-1]], "seal.altered"),
        ([*PARTS, b"\0"], "seal.altered"),
        ([*PARTS[:3], b"\0" + PARTS[3][1:]], "seal.not_final"),
        ([*PARTS[:5], varint(len(PARTS[5]) - 1) + PARTS[5][1:], PARTS[5]], "seal.not_final"),
        ([PARTS[0], PARTS[1], PARTS[3], PARTS[2], *PARTS[4:]], "seal.order"),
        ([PARTS[0], PARTS[1], *PARTS[3:]], "seal.order"),
        ([*PARTS[:4], PARTS[5]], "seal.order"),
        ([*PARTS[:3], PARTS[2], *PARTS[3:]], "seal.repeated"),
        ([*PARTS[:3], b"\0" + PARTS[2][1:]], "seal.repeated"),
        ([*PARTS[:3], PARTS[3][:-1] + bytes([PARTS[3][-1] ^ 1]), *PARTS[4:]], "seal.altered"),
        ([bytes(32), *PARTS[1:]], "seal.altered"),
        ([PARTS[0], varint(15) + bytes(15)], "seal.altered"),
        ([PARTS[0], varint(ohttp.CHUNK_BYTES_MAX + 17)], "seal.size"),
        ([*PARTS[:5], b"\0" + bytes(ohttp.CHUNK_BYTES_MAX + 17)], "seal.size"),
    ],
)  # fmt: skip
def test_answers_refused(parts: list[bytes], code: str) -> None:
    """Cut, without its end, with another end, reordered, repeated, altered, too large: each has its code."""
    assert refused(lambda: read(*parts)) == code


def test_final_chunk_is_bounded_as_it_comes() -> None:
    """An endless final chunk is refused before its end."""
    opener = sealed()[1]
    opener.feed(NONCE + b"\0" + bytes(ohttp.CHUNK_BYTES_MAX))

    assert refused(lambda: opener.feed(bytes(100))) == "seal.size"


def test_chunks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """More chunks than the limit are not read, though they hold nothing."""
    sealer = ResponseSealer(opened(), NONCE)
    data = b"".join(sealer.seal(b"x") for _ in range(4))
    monkeypatch.setattr(ohttp, "CHUNKS_MAX", 3)

    assert refused(lambda: read(data)) == "seal.size"
    with pytest.raises(BrokenTruth):
        sealer.seal(b"x")


def test_answer_of_another_request() -> None:
    """The answer to another request does not open."""
    other = open_request(SECRET, BINDING, seal_request(KEY, BINDING, MODEL, TIME_S, ASKED, bytes(32))[0])

    assert refused(lambda: read(ResponseSealer(other, NONCE).finish(b"x"))) == "seal.altered"


def test_nonce_has_32_bytes() -> None:
    """A shorter nonce is a fault of ours."""
    with pytest.raises(BrokenTruth):
        ResponseSealer(opened(), bytes(31))


@settings(max_examples=50)
@given(chunks=st.lists(st.binary(max_size=60), max_size=6), last=st.binary(max_size=60), step=st.integers(1, 80))
def test_any_answer_opens(chunks: list[bytes], last: bytes, step: int) -> None:
    """Any answer is what it was, in any pieces."""
    sealer = ResponseSealer(opened(), NONCE)
    data = b"".join([*map(sealer.seal, chunks), sealer.finish(last)])

    assert read(*(data[at : at + step] for at in range(0, len(data), step))) == b"".join(chunks) + last


@given(place=st.integers(0, len(b"".join(PARTS)) * 8 - 1))
def test_any_bit_of_an_answer(place: int) -> None:
    """Any bit changed, and the answer is refused, with nothing in it that was not sealed."""
    data = bytearray(b"".join(PARTS))
    data[place // 8] ^= 1 << place % 8
    opener = sealed()[1]
    found: list[bytes] = []

    def take() -> None:
        for byte in bytes(data):
            found.extend(opener.feed(bytes([byte])))
        opener.finish()

    with pytest.raises(Malformed):
        take()
    assert b"zeroonetwothree".startswith(b"".join(found))


@given(data=st.binary(max_size=200), kept=st.integers(0, 5))
def test_any_bytes_for_an_answer(data: bytes, kept: int) -> None:
    """Bytes from anybody are refused."""
    with pytest.raises(Malformed):
        read(*PARTS[:kept], data)


def test_request_and_answer_together() -> None:
    """A response written piece by piece, sealed, opened and read, is what it was, and its end is asked for twice."""
    sealer = ResponseSealer(opened(), NONCE)
    parts = [sealer.seal(bhttp.response_head(200, (("content-type", "text/plain"),)))]
    parts += [sealer.seal(bhttp.response_content(each)) for each in (b"hello ", b"world")]
    parts.append(sealer.finish(bhttp.response_end()))
    opener, reader = sealed()[1], bhttp.ResponseReader()

    content = b"".join(reader.feed(each) for part in parts for each in opener.feed(part))
    content += reader.feed(opener.finish())
    reader.finish()

    assert (reader.status, content) == (200, b"hello world")
