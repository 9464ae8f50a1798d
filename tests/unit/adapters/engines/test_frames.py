"""Messages between node and worker: what is packed reads back, and nothing else reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.adapters.engines.small_files import code_of

from paraph.adapters.engines.frames import (
    BLOBS_MAX,
    HEADER_BYTES_MAX,
    PREFIX_BYTES,
    lengths,
    pack,
    unpack,
    unpack_trusted,
)
from paraph.core.errors import Malformed, Rejected


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-5, 5)), st.lists(st.binary()))
def test_what_is_packed_reads_back(header: dict[str, int], blobs: list[bytes]) -> None:
    """Header and blobs pass unchanged, read strictly or not."""
    message = pack(header, blobs)
    size, rest = lengths(message[:PREFIX_BYTES])
    parts = message[PREFIX_BYTES : PREFIX_BYTES + size], message[PREFIX_BYTES + size :]

    assert len(parts[1]) == rest
    assert unpack(*parts) == unpack_trusted(*parts) == (header, tuple(blobs))


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_only_typed_errors_leave_the_reader(header: bytes, body: bytes) -> None:
    """Whatever a worker sends is a message or `Malformed`."""
    assert code_of(lambda: unpack(header, body)).startswith(("fine", "json.", "engine.message"))


@pytest.mark.parametrize("header", [b"[{},[1]]", b"[{}]", b"[{},[],1]", b"[[],[]]", b"{}", b"[{},[-1,1]]"], ids=str)
def test_lengths_that_do_not_add_up_are_malformed(header: bytes) -> None:
    """Header, list of lengths and body must fit together."""
    with pytest.raises(Malformed):
        unpack(header, b"")


def test_a_prefix_above_the_limit_is_malformed() -> None:
    """No length is believed above the limit."""
    with pytest.raises(Malformed) as caught:
        lengths((HEADER_BYTES_MAX + 1).to_bytes(4, "little") + bytes(4))

    assert caught.value.code == "engine.message"


@pytest.mark.parametrize(("size", "count"), [(HEADER_BYTES_MAX, 0), (0, BLOBS_MAX + 1)], ids=["header", "blobs"])
def test_a_message_above_the_limit_is_refused(size: int, count: int) -> None:
    """The sender keeps the limits too."""
    with pytest.raises(Rejected) as caught:
        pack({"text": "x" * size}, [b""] * count)

    assert caught.value.code == "engine.message_size"
