"""A GGUF header is read within its bounds or refused, and no other error leaves the reader."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.standard.real_models import language_model
from tests.unit.adapters.engines.small_files import code_of, entry, gguf, string_entry, tensor, text

from paraph.adapters.engines.inspect_gguf import (
    ARRAY_ITEMS_MAX,
    METADATA_MAX,
    STRING_BYTES_MAX,
    TENSORS_MAX,
    parse_gguf,
    read_gguf,
)
from paraph.core.errors import Malformed, ParaphError, Rejected

ARCHITECTURE = string_entry("general.architecture", "llama")


def fails(data: bytes) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        parse_gguf(data, len(data))
    return caught.value


def test_a_real_header_tells_what_a_node_needs() -> None:
    """Architecture, name, context, special tokens and template of SmolLM2."""
    model = read_gguf(language_model())

    assert (model.architecture, model.context_tokens, model.quantised) == ("llama", 8192, True)
    assert (model.special_token("bos"), model.special_token("eos")) == ("<|im_start|>", "<|im_end|>")
    assert model.chat_template.startswith("{% for message in messages %}")
    assert model.name.startswith("Smollm2 135M")
    assert len(model.tensors) == 272


def test_the_cache_is_two_halves_for_each_layer_and_token() -> None:
    """SmolLM2: 30 layers, 3 of 9 heads of 64 numbers, a key and a value of two bytes each."""
    assert read_gguf(language_model()).cache_bytes(100) == 30 * 3 * 64 * 2 * 2 * 100


def test_what_is_not_stated_is_empty() -> None:
    """A header may be silent."""
    data = gguf(metadata=())
    model = parse_gguf(data, len(data))

    assert (model.architecture, model.name, model.chat_template, model.context_tokens) == ("", "", "", 0)
    assert model.special_token("bos") == ""


def test_every_type_of_value_is_read() -> None:
    """Scalars are kept, arrays passed over but for the vocabulary."""
    tokens = struct.pack("<IQ", 8, 2) + text("<s>") + text("</s>")
    data = gguf(
        metadata=[
            entry("u8", 0, b"\x07"),
            entry("f32", 6, struct.pack("<f", 0.5)),
            entry("yes", 7, b"\x01"),
            entry("i64", 11, struct.pack("<q", -1)),
            entry("list", 9, struct.pack("<IQ", 4, 2) + bytes(8)),
            entry("tokenizer.ggml.tokens", 9, tokens),
            entry("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 1)),
            entry("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 2)),
        ]
    )
    model = parse_gguf(data, len(data))

    assert [model.metadata[key] for key in ("u8", "f32", "yes", "i64", "list")] == [7, 0.5, True, -1, None]
    assert (model.special_token("eos"), model.special_token("bos")) == ("</s>", "")


@pytest.mark.parametrize(
    ("kind", "shape", "quantised"), [(0, (32, 1), False), (1, (32, 1), False), (8, (32, 1), True), (0, (32,), True)]
)
def test_only_matrices_decide_what_is_quantised(kind: int, shape: tuple[int, ...], quantised: bool) -> None:
    """Vectors stay in floating point in every quantised model."""
    data = gguf(tensors=[tensor(kind=kind, shape=shape)])

    assert parse_gguf(data, len(data)).quantised == quantised


@pytest.mark.parametrize(
    "data",
    [
        gguf(magic=b"GGML"),
        gguf()[:20],
        gguf(weights=127),
        gguf(metadata=[ARCHITECTURE, ARCHITECTURE]),
        gguf(metadata=[entry("a", 13, b"")]),
        gguf(metadata=[entry("a", 9, struct.pack("<IQ", 9, 1))]),
        gguf(metadata=[entry("a", 8, struct.pack("<Q", 2) + b"\xff\xfe")]),
        gguf(metadata=[entry("general.alignment", 4, struct.pack("<I", 33))]),
        gguf(metadata=[entry("general.alignment", 4, struct.pack("<I", 0))]),
        gguf(tensors=[tensor(), tensor(name="v", offset=96)], weights=256),
        gguf(tensors=[tensor(), tensor(offset=128)], weights=256),
        gguf(tensors=[tensor(offset=1)], weights=256),
        gguf(tensors=[tensor(offset=2**63)], weights=256),
        gguf(tensors=[tensor(shape=(0,))]),
        gguf(tensors=[tensor(shape=())]),
        gguf(tensors=[tensor(shape=(2**32, 2**32))]),
        gguf(tensors=[tensor(shape=(1,) * 5)]),
        gguf(tensors=[tensor(shape=(33,), kind=8)]),
        gguf(counts=(1, 2)),
        gguf(counts=(3, 1)),
    ],
    ids=[
        "magic", "short", "weights", "key twice", "value type", "array type", "utf8", "alignment", "no alignment",
        "overlap", "name twice", "not aligned", "far", "empty", "no side", "huge", "rank", "block",
        "metadata count", "tensor count",
    ],
)  # fmt: skip
def test_a_broken_header_is_malformed(data: bytes) -> None:
    """Each part is checked against the others and the file."""
    error = fails(data)

    assert isinstance(error, Malformed)
    assert error.code == "model.gguf"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gguf(version=2), "model.gguf_version"),
        (gguf(version=0x03000000), "model.gguf_version"),
        (gguf(counts=(TENSORS_MAX + 1, 1)), "model.gguf_limit"),
        (gguf(counts=(1, METADATA_MAX + 1)), "model.gguf_limit"),
        (gguf(counts=(2**64 - 1, 2**64 - 1)), "model.gguf_limit"),
        (gguf(metadata=[entry("a", 8, struct.pack("<Q", STRING_BYTES_MAX + 1))]), "model.gguf_limit"),
        (gguf(metadata=[entry("a", 9, struct.pack("<IQ", 4, ARRAY_ITEMS_MAX + 1))]), "model.gguf_limit"),
        (gguf(tensors=[tensor(name="n" * 65)]), "model.gguf_limit"),
        (gguf(tensors=[tensor(kind=4)]), "model.gguf_type"),
    ],
)
def test_what_is_above_a_limit_is_refused(data: bytes, code: str) -> None:
    """Counts and lengths are believed up to a limit, and read no further."""
    error = fails(data)

    assert (type(error), error.code) == (Rejected, code)


def test_a_file_too_short_for_any_header_is_malformed(tmp_path: Path) -> None:
    """Even an empty file has its error."""
    (tmp_path / "m.gguf").write_bytes(b"")

    with pytest.raises(Malformed):
        read_gguf(tmp_path / "m.gguf")


@given(st.binary(max_size=200))
def test_only_typed_errors_leave_the_reader(rest: bytes) -> None:
    """Whatever follows the first bytes."""
    data = b"GGUF\x03\x00\x00\x00" + rest

    assert code_of(lambda: parse_gguf(data, len(data))).startswith(("fine", "model.gguf"))


WHOLE = gguf(
    metadata=[ARCHITECTURE, entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))],
    tensors=[tensor(), tensor(name="v", kind=8, shape=(32, 2), offset=128)],
    weights=256,
)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(0, len(WHOLE)))
def test_a_changed_header_reads_or_is_refused(at: int, byte: int, end: int) -> None:
    """One byte of a good file changed, and its end cut off."""
    data = (WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])[: max(end, 8)]

    assert code_of(lambda: parse_gguf(data, len(data))).startswith(("fine", "model.gguf"))
