"""Proofs as nodes give them out and bundles show them: read strictly, form only."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.exact import GRAPH, proof
from tests.support.strategies import json_values, outcome

from paraph.core.encode import JsonObject, canonical, decode_exact
from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.proofs.proven import (
    PROOF_BYTES_MAX,
    BatchProof,
    ExactPart,
    batch_proof_from_json,
    exact_part_from_json,
)
from paraph.proofs.zk.statement import COUNT_MAX, Entry, Mode

GRAPHS = st.builds(
    lambda graph: {"graph": graph, "proof": None},
    st.builds(lambda name, value: {**GRAPH.as_json(), name: value}, st.sampled_from([*GRAPH.as_json()]), json_values),
)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)


@given(
    st.sampled_from(Mode),
    DIGESTS,
    st.lists(st.builds(Entry, DIGESTS, DIGESTS), min_size=1, max_size=5),
    st.integers(0, 4),
    st.binary(max_size=50),
)
def test_it_is_read_back(mode: Mode, beacon: Digest, entries: list[Entry], index: int, data: bytes) -> None:
    """What was written is read back, through bytes as they travel."""
    found = BatchProof(mode, beacon, tuple(entries), index % len(entries), data)

    assert batch_proof_from_json(decode_exact(canonical(found.as_json()))) == found


@pytest.mark.parametrize("shown", [None, proof()], ids=["promised", "proven"])
def test_parts_are_read_back(shown: BatchProof | None) -> None:
    """The part of a bundle with and without a proof."""
    part = ExactPart(GRAPH, shown)

    assert exact_part_from_json(decode_exact(canonical(part.as_json()))) == part


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mode": 0}, "proof.form"),
        ({"mode": 3}, "proof.form"),
        ({"mode": True}, "json.shape"),
        ({"index": 2}, "proof.form"),
        ({"entries": []}, "proof.form"),
        ({"entries": [["0x" + "00" * 32]]}, "proof.form"),
        ({"entries": [["0x" + "00" * 32] * 2] * (COUNT_MAX + 1)}, "json.shape"),
        ({"entries": [["0x12", "0x34"]]}, "ident.hex"),
        ({"proof": "a"}, "tensor.base64"),
        ({"beacon": 1}, "ident.hex"),
        ({"more": 1}, "json.shape"),
    ],
)
def test_other_forms_are_refused(change: dict[str, Any], code: str) -> None:
    """Each member in another form is refused, with its code."""
    with pytest.raises(Malformed) as caught:
        batch_proof_from_json({**proof().as_json(), **change})

    assert caught.value.code == code


def test_longer_than_any_that_is_taken() -> None:
    """A proof is at most as long as a transaction; a byte more is refused."""
    whole = replace(proof(), data=bytes(PROOF_BYTES_MAX))
    assert batch_proof_from_json(whole.as_json()) == whole

    with pytest.raises(Malformed) as caught:
        batch_proof_from_json(replace(proof(), data=bytes(PROOF_BYTES_MAX + 1)).as_json())

    assert caught.value.code == "proof.form"


def with_another(whole: JsonObject) -> st.SearchStrategy[JsonObject]:
    """An object with one member that is anything, or another's of its members."""
    values = json_values | st.sampled_from([*whole.values()])
    return st.builds(lambda name, value: {**whole, name: value}, st.sampled_from([*whole]), values)


@settings(max_examples=200)
@given(json_values | with_another(proof().as_json()))
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Whatever comes is the form of a proof, to the byte, or malformed."""
    found, code = outcome(lambda: batch_proof_from_json(value))

    assert code or (found is not None and found.as_json() == value)


@settings(max_examples=200)
@given(json_values | with_another(ExactPart(GRAPH, proof()).as_json()) | GRAPHS)
def test_any_part_is_read_or_refused(value: Any) -> None:
    """Whatever comes in place of a part, its graph or its proof is the form of a part, to the byte, or malformed."""
    found, code = outcome(lambda: exact_part_from_json(value))

    assert code or (found is not None and found.as_json() == value)


def test_a_part_is_an_object_of_two() -> None:
    """A part is never nothing, a list, or with another member; its graph is never nothing."""
    whole = ExactPart(GRAPH, None).as_json()

    for other in (None, [], {}, [whole], {"graph": whole["graph"]}, {**whole, "more": None}, {**whole, "graph": None}):
        with pytest.raises(Malformed):
            exact_part_from_json(other)
