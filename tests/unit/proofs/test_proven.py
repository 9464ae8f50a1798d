"""Proofs as nodes give them out and bundles show them: read strictly, form only."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.exact import GRAPH, proof
from tests.support.strategies import json_values

from paraph.core.encode import canonical, decode_exact
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


@settings(max_examples=200)
@given(json_values | st.fixed_dictionaries(dict.fromkeys(proof().as_json(), json_values)))
def test_any_json_is_read_or_refused(value: Any) -> None:
    """Whatever comes is a proof or malformed."""
    for read in (batch_proof_from_json, exact_part_from_json):
        try:
            read(value)
        except Malformed:
            continue


@settings(max_examples=100)
@given(st.fixed_dictionaries({"graph": json_values, "proof": json_values | st.just(proof().as_json())}))
def test_any_part_is_read_or_refused(value: Any) -> None:
    """A part whose graph is anything is malformed: no graph is so short."""
    with pytest.raises(Malformed):
        exact_part_from_json(value)
