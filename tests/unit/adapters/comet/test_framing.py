"""Messages on a stream: found however the stream is cut, and never larger than allowed."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.comet import framing
from paraph.adapters.comet.framing import LENGTH_BYTES_MAX, MESSAGE_BYTES_MAX, Deframer, frame
from paraph.core.errors import Malformed


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[first:last] for first, last in pairwise(edges)]


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 10_000)))
def test_messages_come_out_as_they_went_in(messages: list[bytes], places: list[int]) -> None:
    """However the stream is cut, the same messages come out in the same order, and nothing is left."""
    deframer = Deframer()

    found = [message for part in cut(b"".join(map(frame, messages)), places) for message in deframer.feed(part)]

    assert found == messages
    assert not deframer.partial


@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_are_messages_or_malformed(parts: list[bytes]) -> None:
    """Arbitrary bytes never raise anything but Malformed, and never give more than they hold."""
    deframer = Deframer()
    found = 0

    with suppress(Malformed):
        for part in parts:
            for message in deframer.feed(part):
                found += len(message)

    assert found <= sum(map(len, parts))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 70_000])
def test_lengths_at_their_edges(size: int) -> None:
    """Lengths on both sides of each step of the varint are read as written."""
    assert list(Deframer().feed(frame(bytes(size)))) == [bytes(size)]


def test_largest_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of the largest size is taken; a byte more is refused before its body arrives."""
    monkeypatch.setattr(framing, "MESSAGE_BYTES_MAX", 1_000)

    assert list(Deframer().feed(frame(bytes(1_000)))) == [bytes(1_000)]
    with pytest.raises(Malformed, match="1001"):
        list(Deframer().feed(bytes((0xE9, 0x07))))


@pytest.mark.parametrize("data", [b"\x80\x00", b"\x81\x80\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x0f"])
def test_length_is_minimal_and_short(data: bytes) -> None:
    """A length with needless bytes, or with more than four, is refused."""
    with pytest.raises(Malformed) as caught:
        list(Deframer().feed(data))

    assert caught.value.code == "comet.length"


def test_messages_before_an_error_come_out() -> None:
    """What stands before a bad length is not lost with it."""
    found = Deframer().feed(frame(b"good") + b"\xff" * 5)

    assert next(found) == b"good"
    with pytest.raises(Malformed):
        next(found)


def test_limits_agree() -> None:
    """The longest length allowed reaches the largest message."""
    assert 2 ** (7 * LENGTH_BYTES_MAX) > MESSAGE_BYTES_MAX


def test_message_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer above the limit is our fault, and is not sent."""
    monkeypatch.setattr(framing, "MESSAGE_BYTES_MAX", 10)

    with pytest.raises(AssertionError):
        frame(bytes(11))
