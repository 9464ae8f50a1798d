"""The promise: one form, every member matters, and whatever else comes in its place is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import json_values, outcome

from paraph.core.encode import canonical, decode_exact
from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.core.limits import JSON_INTEGER_MAX
from paraph.proofs.promised import Promise, promise_from_json
from paraph.proofs.receipt import SIGNATURE_DIGEST, evidence_digest

PROMISE = Promise(Digest(b"\x01" * 32), 700)
FORM = PROMISE.as_json()


def test_its_form() -> None:
    """The document is this one, to the byte; its digest is that of any evidence."""
    assert canonical(FORM) == (b'{"commitment":"0x' + b"01" * 32 + b'","due":700,"layer":"zkml","version":1}')
    assert PROMISE.digest() == evidence_digest(FORM)
    assert PROMISE.digest() != SIGNATURE_DIGEST


@given(st.binary(min_size=32, max_size=32), st.integers(0, JSON_INTEGER_MAX))
def test_it_is_read_back(commitment: bytes, due: int) -> None:
    """What was written is read back, through bytes as they are stored."""
    promise = Promise(Digest(commitment), due)

    assert promise_from_json(decode_exact(canonical(promise.as_json()))) == promise


def test_every_member_matters() -> None:
    """Another commitment or another block is another digest."""
    others = [replace(PROMISE, commitment=Digest(b"\x02" * 32)), replace(PROMISE, due=701)]

    assert len({each.digest() for each in (PROMISE, *others)}) == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"layer": "zk"}, "promise.form"),
        ({"layer": None}, "promise.form"),
        ({"version": 2}, "promise.form"),
        ({"version": True}, "promise.form"),
        ({"version": "1"}, "promise.form"),
        ({"commitment": "0x" + "01" * 31}, "ident.hex"),
        ({"commitment": 1}, "ident.hex"),
        ({"due": -1}, "json.shape"),
        ({"due": "700"}, "json.shape"),
        ({"due": True}, "json.shape"),
        ({"more": 1}, "json.shape"),
    ],
)
def test_other_forms_are_refused(changes: dict[str, object], code: str) -> None:
    """Another layer or version, other types, and more members than there are."""
    with pytest.raises(Malformed) as caught:
        promise_from_json({**FORM, **changes})  # type: ignore[dict-item]

    assert caught.value.code == code


@pytest.mark.parametrize("name", sorted(FORM))
def test_no_member_may_lack(name: str) -> None:
    """Each is needed."""
    with pytest.raises(Malformed):
        promise_from_json({key: value for key, value in FORM.items() if key != name})


@given(json_values | st.fixed_dictionaries(dict.fromkeys(FORM, json_values)))
def test_any_json_is_read_or_refused(value: object) -> None:
    """Whatever JSON comes: it is the form of what is read of it, or `Malformed`."""
    found, code = outcome(lambda: promise_from_json(value))  # type: ignore[arg-type]

    assert code or (found is not None and found.as_json() == value)
