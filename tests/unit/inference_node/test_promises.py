"""What is kept of promises: read again as it was written, and read strictly."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.inference_node.proving import World

from paraph.core.encode import Json, as_object, canonical, decode
from paraph.core.errors import BrokenTruth, Malformed
from paraph.core.ident import Digest, ModelId
from paraph.inference_node.promises import PLACE_BYTES, Batch, decode_batch
from paraph.proofs.zk.statement import Entry, Mode

BATCH = Batch(
    ModelId(bytes(32)),
    Mode.HIDING,
    7,
    Digest(bytes(range(32))),
    (bytes(range(52)), bytes(52)),
    (Entry(Digest(bytes(range(20, 52))), Digest(b"c" * 32)), Entry(Digest(bytes(32)), Digest(b"d" * 32))),
)


def test_a_batch_is_read_as_it_was_written() -> None:
    """Encoding goes round."""
    assert decode_batch(BATCH.encode()) == BATCH
    assert len(BATCH.places[0]) == PLACE_BYTES


@pytest.mark.parametrize(
    ("name", "value"),
    [("model_id", "0x12"), ("mode", 3), ("height", -1), ("beacon", None), ("entries", [["0x", "0x"]]), ("more", 1)],
)
def test_a_damaged_batch_is_refused(name: str, value: Json) -> None:
    """A row that is no batch is not read as one."""
    found = as_object(decode(BATCH.encode()), "a batch")
    with pytest.raises(Malformed):
        decode_batch(canonical({**found, name: value}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_refused(data: bytes) -> None:
    """No bytes break the reader."""
    with suppress(Malformed):
        assert decode_batch(data).encode() == data


def test_what_is_named_is_there() -> None:
    """A row that names what is not there is a fault of ours, and stops the prover."""
    world = World()
    with pytest.raises(BrokenTruth):
        world.promises.batch(b"nothing")
    with pytest.raises(BrokenTruth):
        world.promises.provable(bytes(52))
