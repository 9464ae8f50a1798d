"""Whatever bytes come, a reader returns a value or raises one of our errors: nothing else ever escapes."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.build import KINDS, SEALS, Kind, SealKind, manifest_of, valid
from tests.support.strategies import damaged, json_values, outcome

from paraph.core import abi, rlp
from paraph.core.encode import Json, canonical, decode, decode_exact
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Digest, from_hex
from paraph.core.keys import address_from_text, recover
from paraph.core.merkle import consistent, root_from_inclusion
from paraph.core.smt import StateProof, proof_from_json, proves
from paraph.core.tensor import Tensor, from_base64, tensor_from_json
from paraph.proofs.bundle import answer_from_json, decode_bundle, proved_from_json, settled_from_json
from paraph.proofs.check import check_form, judge, units, verify
from paraph.proofs.header import Head, header_from_json, header_from_rlp, header_to_rlp
from paraph.proofs.manifest import manifest_from_json
from paraph.proofs.policy import decode_trust
from paraph.proofs.profile import profile_from_json
from paraph.proofs.receipt import receipt_from_json
from paraph.proofs.records import Batch, Model, NodeKey, Price, Record
from paraph.proofs.request import request_from_json
from paraph.proofs.seal import ProducerSeal, seal_from_json

CASE: Final = valid("text")
BUNDLE: Final = CASE.bundle
SEAL: Final = BUNDLE.chain.seal
assert isinstance(SEAL, ProducerSeal)
VALIDATORS: Final = valid("text", seal="validators")
SETTLED: Final = BUNDLE.chain.settled or pytest.fail("the bundle is settled")
TENSOR: Final = Tensor("x", "BYTES", (2,), b"\x01\0\0\0a\0\0\0\0")
FIELDS: Final = abi.method("f(uint8[] a, bytes b, string[2] c, bytes3 d)").inputs

BYTES: Final[dict[str, tuple[Callable[[bytes], object], bytes]]] = {
    "decode": (decode, BUNDLE.encode()),
    "decode_exact": (decode_exact, BUNDLE.encode()),
    "decode_bundle": (decode_bundle, BUNDLE.encode()),
    "decode_bundle of validators": (decode_bundle, VALIDATORS.bundle.encode()),
    "decode_trust": (decode_trust, CASE.trust.encode()),
    "decode_trust of validators": (decode_trust, VALIDATORS.trust.encode()),
    "Head": (Head.decode, SEAL.signed.header.head().encode()),
    "rlp": (rlp.decode, rlp.encode(header_to_rlp(SEAL.signed))),
    "header": (lambda data: header_from_rlp(rlp.decode(data)), rlp.encode(header_to_rlp(SEAL.signed))),
    "abi": (lambda data: abi.decode(FIELDS, data), abi.encode(FIELDS, ((1, 2), b"abc", ("d", "é"), b"efg"))),
    "NodeKey": (NodeKey.decode, BUNDLE.chain.key.value),
    "Model": (Model.decode, BUNDLE.chain.model.value),
    "Price": (Price.decode, BUNDLE.chain.price.value),
    "Batch": (Batch.decode, SETTLED.record.value),
    "recover": (lambda data: recover(Digest(bytes(32)), data), BUNDLE.request.signature),
}


@pytest.mark.parametrize("name", BYTES)
@given(data=st.data())
def test_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    """Any bytes, and valid ones with a little damage: a value, or `Malformed`."""
    read, valid_bytes = BYTES[name]
    hostile = data.draw(damaged(valid_bytes) | st.binary(max_size=300))

    _, code = outcome(lambda: read(hostile))

    assert not code or "." in code


JSON: Final[dict[str, tuple[Callable[[Json], object], Json]]] = {
    "answer": (answer_from_json, BUNDLE.answer.as_json()),
    "request": (request_from_json, BUNDLE.request.as_json()),
    "receipt": (receipt_from_json, BUNDLE.answer.receipt.as_json()),
    "header": (header_from_json, SEAL.signed.as_json()),
    "seal": (seal_from_json, SEAL.as_json()),
    "seal of validators": (seal_from_json, VALIDATORS.bundle.chain.seal.as_json()),
    "profile": (profile_from_json, BUNDLE.answer.profile.as_json()),
    "manifest": (manifest_from_json, manifest_of("text").as_json()),
    "settled": (settled_from_json, SETTLED.as_json()),
    "proved": (lambda value: proved_from_json(value, "it"), BUNDLE.chain.key.as_json()),
    "proof": (lambda value: proof_from_json(value, "it"), BUNDLE.chain.key.proof.as_json()),
    "tensor": (lambda value: tensor_from_json(value, "it"), TENSOR.as_json()),
    "base64": (lambda value: from_base64(value, "it"), "AAECAw=="),
    "hex": (lambda value: from_hex(value, 2, "it"), "0x0102"),
}


@st.composite
def warped(draw: st.DrawFn, value: Json) -> Json:
    """`value` with one member, at any depth, replaced by any JSON value, or left out."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 9)):
            return {other: member for other, member in value.items() if other != name}
        return {**value, name: draw(warped(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(warped(value[at])), *value[at + 1 :]]
    return draw(json_values | st.integers(-(2**70), 2**70) | st.sampled_from(["0x", "0x00", "\ud800", "1" * 100]))


@pytest.mark.parametrize("name", JSON)
@given(data=st.data())
def test_json_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Any JSON, and valid JSON with one part replaced: a value, or `Malformed`."""
    read, good = JSON[name]
    hostile = data.draw(warped(good) | json_values)

    _, code = outcome(lambda: read(hostile))

    assert not code or "." in code


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_hostile_bundles_are_judged(kind: Kind, seal: SealKind, data: st.DataObject) -> None:
    """Any bundle that can be read at all is judged to the end; one that differs from the true one does not pass."""
    case = valid(kind, seal=seal)
    good = case.bundle.as_json()
    hostile = data.draw(warped(good))
    try:
        bundle = decode_bundle(canonical(hostile))
    except Malformed:
        return

    verdict = judge(bundle, case.trust)
    unsettled = canonical({**good, "chain": {**case.bundle.chain.as_json(), "settled": None}})
    assert not verdict.verified or bundle.encode() in (case.bundle.encode(), unsettled)


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damaged_bundles_do_not_pass(kind: Kind, seal: SealKind, data: st.DataObject) -> None:
    """A bundle with damaged bytes is `Malformed` or `Unverified`, unless the damage was to white space alone."""
    case = valid(kind, seal=seal)
    hostile = data.draw(damaged(case.bundle.encode()))

    try:
        found = verify(decode_bundle(hostile), case.trust)
    except (Malformed, Unverified):
        return
    assert found.thing.encode() == case.bundle.encode()


@given(json_values, json_values)
def test_units_are_counted_or_refused(one: Json, two: Json) -> None:
    """Any body and response: two whole numbers, or `Malformed`."""
    response = {"kind": "tensors", "outputs": two, "usage": one}
    for kind in ("tensors", "text"):
        try:
            found = units({"inputs": one}, {**response, "kind": kind})
        except Malformed:
            continue
        assert all(type(each) is int and each >= 0 for each in found)


PARTS: Final = [valid(kind).bundle for kind in KINDS]


@given(data=st.data())
def test_forms_are_checked_or_refused(data: st.DataObject) -> None:
    """Any body, given and response, and true ones with one part replaced: of the form, or `Malformed`."""
    good = data.draw(st.sampled_from(PARTS))
    body, given_, response = (
        data.draw(warped(dict(part) if isinstance(part, Mapping) else part) | json_values)
        for part in (good.body, good.answer.given, good.answer.response)
    )

    if isinstance(body, Mapping) and isinstance(response, Mapping):
        _, code = outcome(lambda: check_form(body, given_, response))
        assert not code or "." in code


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.lists(st.binary(max_size=40), max_size=8), st.binary(max_size=80)
)
def test_proofs_are_judged_to_the_end(root: bytes, key: bytes, hashes: list[bytes], other: bytes) -> None:
    """Any hashes of any length are no proof, and nothing stumbles over them."""
    siblings = tuple(Digest(each) for each in hashes)

    assert not proves(root, key, b"value", StateProof(siblings, other))
    assert not proves(root, key, None, StateProof(siblings, other)) or (root == bytes(32) and not siblings)
    assert root_from_inclusion(b"", len(hashes), 2 * len(hashes) + 1, siblings) != root
    assert not consistent(root, 3, key, 7, siblings)


@given(st.text(max_size=50) | st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex()))
def test_addresses_are_read_or_refused(text: str) -> None:
    """Any text is an address of 20 bytes, or `Malformed`."""
    found, code = outcome(lambda: address_from_text(text, "it"))

    assert code in ("", "address.text")
    assert found is None or len(found) == 20


@given(st.sampled_from([NodeKey, Model, Price, Batch]), st.data())
def test_one_record_has_one_form(kind: type[Record], data: st.DataObject) -> None:
    """Bytes that a record is read from are the bytes that it writes."""
    record = {NodeKey: BUNDLE.chain.key, Model: BUNDLE.chain.model, Price: BUNDLE.chain.price, Batch: SETTLED.record}
    hostile = data.draw(damaged(record[kind].value))

    found, _ = outcome(lambda: kind.decode(hostile))

    assert found is None or found.encode() == hostile
