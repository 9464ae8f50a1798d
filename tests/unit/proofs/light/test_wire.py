"""The canonical bytes, member by member, against protobuf's own encoder and against bytes worked out by hand."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from paraph.proofs.light import wire


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**53 - 1, 2**63 - 1])
def test_integers_are_protobufs(value: int) -> None:
    """A number is a varint, and left out when 0."""
    member = Int64Value(value=value).SerializeToString()

    assert wire.number(1, value) == member
    assert wire.varint(value) == (member[1:] or b"\x00")


@pytest.mark.parametrize("value", ["", "a", "é" * 25, "x" * 200])
def test_texts_and_bytes_are_protobufs(value: str) -> None:
    """Text and bytes carry their length, and are left out when empty."""
    assert wire.data(1, value.encode()) == StringValue(value=value).SerializeToString()
    assert wire.data(1, value.encode()) == BytesValue(value=value.encode()).SerializeToString()


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 0), (1, 0), (0, 1), (1_800_000_000, 999_999_999)])
def test_times_are_protobufs(seconds: int, nanos: int) -> None:
    """A time is protobuf's timestamp."""
    assert wire.timestamp(seconds, nanos) == Timestamp(seconds=seconds, nanos=nanos).SerializeToString()


def test_fixed_numbers_are_eight_bytes() -> None:
    """A fixed number has its little end first, and is left out when 0."""
    assert wire.fixed(2, 1) == bytes.fromhex("110100000000000000")
    assert wire.fixed(3, 0x0102030405060708) == bytes.fromhex("190807060504030201")
    assert wire.fixed(3, 0) == b""


def test_votes_keep_their_time_and_lose_what_is_empty() -> None:
    """A vote for no block in round 0 has no block id and no round; its time stays even when empty."""
    assert wire.vote(1, 0, None, b"", "a") == bytes.fromhex("1008021101000000000000002a00320161")
    assert wire.vote(1, 2, b"", b"", "") == bytes.fromhex("18080211010000000000000019020000000000000022002a00")


def test_block_ids_keep_their_parts() -> None:
    """An empty block id still holds its parts, empty."""
    assert wire.block_id(b"", 0, b"") == bytes.fromhex("1200")
    assert wire.block_id(b"\x01", 2, b"\x03") == bytes.fromhex("0a010112050802120103")


def test_validators_are_a_key_of_kind_one_and_a_power() -> None:
    """An ed25519 key is the first of the engine's kinds of keys."""
    assert wire.validator(b"\x05", 300) == bytes.fromhex("0a030a010510ac02")
