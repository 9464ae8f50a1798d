"""Binary HTTP: the published examples, requests and responses there and back, and every fault refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.core import bhttp
from paraph.core.bhttp import Request, ResponseReader, varint, varint_at
from paraph.core.errors import BrokenTruth, Malformed

PUBLISHED = bytes.fromhex(
    "0003474554056874747073000a2f68656c6c6f2e747874406c0a757365722d61"
    "67656e74346375726c2f372e31362e33206c69626375726c2f372e31362e3320"
    "4f70656e53534c2f302e392e376c207a6c69622f312e322e3304686f73740f77"
    "77772e6578616d706c652e636f6d0f6163636570742d6c616e67756167650665"
    "6e2c206d690000"
)
"""RFC 9292, section 5.1: a request of known length."""
ASKED = Request("POST", "https", "node", "/a?b=c", (("content-type", "text/plain"), ("x", "")), b"hello")
FIELDS = (("content-type", "text/event-stream"), ("x-empty", ""))


def answer(*contents: bytes, status: int = 200, fields: bhttp.Fields = FIELDS) -> bytes:
    parts = [bhttp.response_content(each) for each in contents]
    return b"".join([bhttp.response_head(status, fields), *parts, bhttp.response_end()])


def read(data: bytes, step: int = 1 << 20) -> tuple[int, bhttp.Fields, bytes]:
    reader = ResponseReader()
    content = b"".join(reader.feed(data[at : at + step]) for at in range(0, len(data), step))
    reader.finish()
    return reader.status, reader.fields, content


def refused(attempt: Callable[[], object]) -> str:
    with pytest.raises(Malformed) as caught:
        attempt()
    return caught.value.code


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "number"),
    [("25", 37), ("7bbd", 15_293), ("9d7f3e7d", 494_878_333), ("c2197c5eff14e88c", 151_288_809_941_952_652)],
)
def test_published_numbers(form: str, number: int) -> None:
    """RFC 9000, appendix A.1."""
    assert varint(number).hex() == form
    assert varint_at(bytes.fromhex(form), 0) == (number, len(form) // 2)


@pytest.mark.parametrize(("number", "size"), [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 4), (2**30 - 1, 4)])
def test_edges_of_numbers(number: int, size: int) -> None:
    """A number takes the fewest bytes it can."""
    assert len(varint(number)) == size
    assert varint_at(varint(number), 0) == (number, size)


@given(number=st.integers(0, bhttp.VARINT_MAX), before=st.binary(max_size=5))
def test_numbers_come_back(number: int, before: bytes) -> None:
    """What is written is read, at any place, and is nothing while a byte lacks."""
    data = before + varint(number)

    assert varint_at(data, len(before)) == (number, len(data))
    assert varint_at(data[:-1], len(before)) is None


def test_a_longer_form_is_read() -> None:
    """QUIC's numbers may be written longer than they need be."""
    assert varint_at(bytes.fromhex("4025"), 0) == (37, 2)


@pytest.mark.parametrize("number", [-1, bhttp.VARINT_MAX + 1])
def test_numbers_that_have_no_form(number: int) -> None:
    """Beyond 62 bits nothing is written."""
    with pytest.raises(BrokenTruth):
        varint(number)


# --- requests -----------------------------------------------------------------------------------------------------


def test_published_request() -> None:
    """The RFC's example is read."""
    found = bhttp.decode_request(PUBLISHED)

    assert (found.method, found.scheme, found.authority, found.path) == ("GET", "https", "", "/hello.txt")
    assert found.fields[1:] == (("host", "www.example.com"), ("accept-language", "en, mi"))
    assert found.content == b""
    assert found.encode() == PUBLISHED


def test_request_comes_back() -> None:
    """A request is what it was, and its padded form as long as asked for."""
    data = ASKED.encode(1024)

    assert bhttp.decode_request(data) == ASKED
    assert len(data) == 1024
    assert len(ASKED.encode()) < 100


@pytest.mark.parametrize("cut", [1, 2])
def test_empty_ends_may_be_left_out(cut: int) -> None:
    """A request without content may end before it, and any before its trailers."""
    empty = Request("GET", "https", "", "/", (), b"")

    assert bhttp.decode_request(empty.encode()[:-cut]) == empty


def test_no_fields_at_all() -> None:
    """A request may even end after its control data."""
    assert bhttp.decode_request(bytes.fromhex("0003474554056874747073000a2f68656c6c6f2e747874")).fields == ()


@given(
    path=st.from_regex(r"/[!-~]{0,40}", fullmatch=True),
    fields=st.lists(
        st.tuples(st.from_regex(r"x-[a-z0-9]{1,8}", fullmatch=True), st.from_regex(r"([!-~]{1,9})?", fullmatch=True)),
        max_size=6,
    ),
    content=st.binary(max_size=300),
    multiple=st.integers(1, 2000),
)
def test_any_request_comes_back(path: str, fields: list[tuple[str, str]], content: bytes, multiple: int) -> None:
    """Any request of the allowed form is what it was."""
    request = Request("POST", "http", "a", path, tuple(fields), content)

    data = request.encode(multiple)

    assert bhttp.decode_request(data) == request
    assert len(data) % multiple == 0


def with_control(method: str = "GET", scheme: str = "https", authority: str = "", path: str = "/") -> Request:
    return Request(method, scheme, authority, path, (), b"")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (with_control(method="get"), "bhttp.form"),
        (with_control(method=""), "bhttp.form"),
        (with_control(scheme="ftp"), "bhttp.form"),
        (with_control(path=""), "bhttp.form"),
        (with_control(path="x"), "bhttp.form"),
        (with_control(path="/a b"), "bhttp.form"),
        (with_control(path="/a\r\nb"), "bhttp.form"),
        (with_control(authority="a b"), "bhttp.form"),
        (with_control(path="/" + bhttp.TARGET_BYTES_MAX * "a"), "bhttp.size"),
    ],
)
def test_control_data_refused(request_: Request, code: str) -> None:
    """Control data of another form is neither written nor read."""
    parts = (request_.method, request_.scheme, request_.authority, request_.path)
    data = b"\0" + b"".join(varint(len(each)) + each.encode() for each in parts)

    assert refused(request_.encode) == code
    assert refused(lambda: bhttp.decode_request(data)) == code


def framed(fields: bytes) -> bytes:
    return with_control().encode()[:-3] + varint(len(fields)) + fields


def field(name: str, value: str) -> bytes:
    return varint(len(name)) + name.encode() + varint(len(value)) + value.encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "v"),
        ("Host", "v"),
        ("a b", "v"),
        (":path", "v"),
        ("a", " v"),
        ("a", "v "),
        ("a", "v\r\nb: c"),
        ("a", "\0"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
    ],
)
def test_fields_refused(name: str, value: str) -> None:
    """A field that HTTP/1.1 would read in another way, or that is of a connection, is neither written nor read."""
    request = Request("GET", "https", "", "/", ((name, value),), b"")

    assert refused(request.encode) == "bhttp.fields"
    assert refused(lambda: bhttp.decode_request(framed(field(name, value)))) == "bhttp.fields"
    assert refused(lambda: bhttp.response_head(200, ((name, value),))) == "bhttp.fields"


@pytest.mark.parametrize("fields", [65 * (("a", "b"),), (("a", 16_000 * "b"), ("c", 500 * "d"))])
def test_fields_are_bounded(fields: bhttp.Fields) -> None:
    """More fields than the limit, or bytes of them, are neither written nor read."""
    data = b"".join(field(*each) for each in fields)

    assert refused(Request("GET", "https", "", "/", fields, b"").encode) == "bhttp.size"
    assert refused(lambda: bhttp.decode_request(framed(data))) == "bhttp.size"
    assert refused(lambda: bhttp.response_head(200, fields)) == "bhttp.size"
    assert refused(lambda: ResponseReader().feed(varint(3) + varint(200) + data)) == "bhttp.size"


def test_as_many_fields_as_allowed() -> None:
    """64 fields are read."""
    fields = 64 * (("a", "b"),)

    assert bhttp.decode_request(Request("GET", "https", "", "/", fields, b"").encode()).fields == fields
    assert read(answer(fields=fields))[1] == fields


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bhttp.form"),
        (b"\1" + PUBLISHED[1:], "bhttp.form"),
        (b"\2" + PUBLISHED[1:], "bhttp.form"),
        (PUBLISHED[:40], "bhttp.form"),
        (b"\0\3\xff\xff\xff", "bhttp.form"),
        (b"\0" + varint(2**40), "bhttp.size"),
        (ASKED.encode()[:-7] + varint(2**60), "bhttp.size"),
        (ASKED.encode()[:-1] + b"\4\1a\1b", "bhttp.trailer"),
        (ASKED.encode() + b"\0\1", "bhttp.padding"),
        (ASKED.encode() + bytes(bhttp.PADDING_BYTES_MAX + 1), "bhttp.padding"),
    ],
)
def test_requests_refused(data: bytes, code: str) -> None:
    """Another form, a length beyond what is there or allowed, trailers, and padding that is none."""
    assert refused(lambda: bhttp.decode_request(data)) == code


@given(data=st.binary(max_size=200), start=st.sampled_from([b"", ASKED.encode()[:20], PUBLISHED[:60]]))
def test_any_bytes_for_a_request(data: bytes, start: bytes) -> None:
    """Bytes from anybody are read or refused."""
    try:
        found = bhttp.decode_request(start + data)
    except Malformed:
        return

    assert bhttp.decode_request(found.encode()) == found


# --- responses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 7, 1 << 20])
def test_response_in_any_pieces(step: int) -> None:
    """A response is what it was, in whatever pieces it comes, padded or not."""
    data = answer(b"one", b"", b"two" * 100, status=402)

    found = read(data + bytes(100), step)

    assert found == (402, FIELDS, b"one" + b"two" * 100)


def test_content_is_given_out_as_it_comes() -> None:
    """A piece of content need not be whole to be given out, and status and fields are known before."""
    reader = ResponseReader()

    assert reader.feed(bhttp.response_head(200, FIELDS) + varint(10) + b"abc") == b"abc"
    assert (reader.status, reader.fields) == (200, FIELDS)
    assert reader.feed(b"") == b""
    assert reader.feed(b"defghij") == b"defghij"


@pytest.mark.parametrize("cut", range(1, 60))
def test_cut_response(cut: int) -> None:
    """A response that lacks its end, of whatever length, is not whole."""
    data = answer(b"some content")

    assert refused(lambda: read(data[:-cut])) == "bhttp.cut"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\1" + answer()[1:], "bhttp.form"),
        (b"\3" + varint(103) + answer()[3:], "bhttp.form"),
        (b"\3" + varint(600) + answer()[3:], "bhttp.form"),
        (answer()[:-1] + b"\1", "bhttp.trailer"),
        (answer() + b"\1", "bhttp.padding"),
        (answer() + bytes(bhttp.PADDING_BYTES_MAX + 1), "bhttp.padding"),
        (answer()[:-2] + varint(bhttp.ANSWER_BYTES_MAX + 1), "bhttp.size"),
        (b"\3" + varint(200) + varint(bhttp.FIELDS_BYTES_MAX + 1), "bhttp.size"),
        (b"\3" + varint(200) + 2 * (b"\1a" + varint(9000) + 9000 * b"v"), "bhttp.size"),
    ],
)
def test_responses_refused(data: bytes, code: str) -> None:
    """Another form, an informational status, trailers, padding that is none, and sizes beyond the limits."""
    assert refused(lambda: read(data)) == code


def test_padding_is_bounded_in_sum() -> None:
    """Zeros in many pieces count together."""
    reader = ResponseReader()
    reader.feed(answer() + bytes(bhttp.PADDING_BYTES_MAX))

    assert refused(lambda: reader.feed(b"\0")) == "bhttp.padding"


def test_content_is_bounded_in_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of content count together."""
    monkeypatch.setattr(bhttp, "ANSWER_BYTES_MAX", 10)

    assert read(answer(b"12345", b"67890"))[2] == b"1234567890"
    assert refused(lambda: read(answer(b"12345", b"678901"))) == "bhttp.size"


@pytest.mark.parametrize("status", [199, 600])
def test_no_such_status(status: int) -> None:
    """A status that is not of a final answer is not written."""
    with pytest.raises(BrokenTruth):
        bhttp.response_head(status, ())


@given(pieces=st.lists(st.binary(max_size=40), max_size=8), start=st.sampled_from([b"", answer(b"x")[:-2], b"\3\x40"]))
def test_any_bytes_for_a_response(pieces: list[bytes], start: bytes) -> None:
    """Bytes from anybody are read or refused, and in one piece as in many."""

    def outcome(parts: list[bytes]) -> object:
        reader = ResponseReader()
        try:
            content = b"".join(reader.feed(part) for part in parts)
            reader.finish()
        except Malformed as error:
            return error.code
        return reader.status, reader.fields, content

    assert outcome([start, *pieces]) == outcome([start + b"".join(pieces)])


@given(contents=st.lists(st.binary(max_size=50), max_size=5), status=st.integers(200, 599), step=st.integers(1, 30))
def test_any_response_comes_back(contents: list[bytes], status: int, step: int) -> None:
    """Any response is what it was."""
    assert read(answer(*contents, status=status), step) == (status, FIELDS, b"".join(contents))
