"""The bundle: one file, read strictly; form only, truth is another module's."""

from dataclasses import replace

import pytest
from tests.support.build import KINDS, Kind, valid
from tests.support.exact import Told, valid_exact

from paraph.core.encode import Json, as_object, canonical, decode
from paraph.core.errors import Malformed
from paraph.core.limits import JSON_BYTES_MAX, MERKLE_DEPTH_MAX, RECORD_BYTES_MAX
from paraph.proofs.bundle import (
    FORMAT,
    Proved,
    answer_from_json,
    decode_bundle,
    proved_from_json,
    settled_from_json,
)

CASE = valid("text")
DATA = CASE.bundle.encode()
JSON = as_object(CASE.bundle.as_json(), "it")


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "unsettled"])
@pytest.mark.parametrize("kind", KINDS)
def test_bundle_round_trips(kind: Kind, settled: bool) -> None:
    """A bundle is read as it was written, to the byte; white space and order of members do not matter."""
    bundle = valid(kind, settled=settled).bundle

    assert decode_bundle(bundle.encode()) == bundle
    assert decode_bundle(bundle.encode()).encode() == bundle.encode()
    reordered = b"{\n" + b" ,\n".join(
        canonical(name) + b" : " + canonical(value) for name, value in reversed(bundle.as_json().items())
    )
    assert decode_bundle(reordered + b"}\n") == bundle


def test_parts_round_trip() -> None:
    """An answer and a settlement are read back by themselves, as a node sends them."""
    settled = CASE.bundle.chain.settled
    assert settled is not None

    assert answer_from_json(CASE.bundle.answer.as_json()) == CASE.bundle.answer
    assert settled_from_json(settled.as_json()) == settled


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "json.syntax"),
        (DATA[:-1], "json.syntax"),
        (DATA + b"x", "json.syntax"),
        (b"\xef\xbb\xbf" + DATA, "json.syntax"),
        (DATA[:100] + b"\xff" + DATA[100:], "json.utf8"),
        (b" " * JSON_BYTES_MAX + DATA, "json.size"),
        (b"[]", "json.shape"),
        (b"null", "json.shape"),
        (b"{}", "bundle.format"),
        (b'{"format":"paraph/bundle/2"}', "bundle.format"),
        (b'{"format":null}', "bundle.format"),
        (canonical({"format": FORMAT}), "json.shape"),
        (b'{"format":"paraph/bundle/1",' + DATA[1:], "json.duplicate"),
        (DATA.replace(b'"seed":42', b'"seed":42.0'), "json.spelling"),
        (DATA.replace(b'"seed":42', b'"seed":NaN'), "json.number"),
        (DATA.replace(b'"seed":42', b'"seed":9007199254740993'), "json.number"),
        (DATA.replace(b'"seed":42', b'"seed":' + b"[" * 40 + b"]" * 40), "json.depth"),
        (DATA.replace(b'"text":"Paris."', b'"text":"\\ud800"'), "json.text"),
    ],
    ids=range(18),
)
def test_other_bytes_are_refused(data: bytes, code: str) -> None:
    """Cut off, doubled, too large, too deep, in another spelling, of another format: refused by name."""
    assert data != DATA

    with pytest.raises(Malformed) as caught:
        decode_bundle(data)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["body", "response", "evidence", "profile", "receipt", "request", "chain"])
def test_parts_are_objects(name: str) -> None:
    """Each part is an object, not a list of the same, a text or nothing."""
    for other in (None, [JSON[name]], "text", 1, True):
        with pytest.raises(Malformed):
            decode_bundle(canonical({**JSON, name: other}))


@pytest.mark.parametrize("told", [None, Told()], ids=["promised", "proven"])
def test_bundles_of_exact_models_round_trip(told: Told | None) -> None:
    """A bundle of the layer zkml has two members more, and is read as it was written."""
    bundle = valid_exact(told).bundle
    found = as_object(decode(bundle.encode()), "it")

    assert decode_bundle(bundle.encode()) == bundle
    assert decode_bundle(bundle.encode()).encode() == bundle.encode()
    assert set(found) - set(JSON) == {"exact"}
    assert set(as_object(found["chain"], "it")) - set(as_object(JSON["chain"], "it")) == {"exact"}


@pytest.mark.parametrize("other", [None, [], {}, "text", 1, True], ids=str)
def test_parts_of_exact_models_are_whole_or_absent(other: Json) -> None:
    """What only the layer zkml has is left out elsewhere; nothing stands in its place."""
    whole = as_object(valid_exact().bundle.as_json(), "it")
    chain = as_object(whole["chain"], "it")
    told = as_object(chain["exact"], "it")

    for spoilt in (
        {**JSON, "exact": other},
        {**whole, "exact": other},
        {**whole, "chain": {**chain, "exact": other}},
        {**whole, "chain": {**chain, "exact": {**told, "record": other}}},
        {**whole, "chain": {**chain, "exact": {**told, "more": other}}},
    ):
        with pytest.raises(Malformed):
            decode_bundle(canonical(spoilt))


def settled_json(**changes: Json) -> Json:
    settled = CASE.bundle.chain.settled
    assert settled is not None
    return {**settled.as_json(), **changes}


@pytest.mark.parametrize(
    "change",
    [
        {"batch": -1},
        {"batch": "3"},
        {"index": 1.5},
        {"index": None},
        {"path": None},
        {"path": ["0x00"]},
        {"path": ["0x" + "00" * 32] * (MERKLE_DEPTH_MAX + 1)},
        {"record": None},
        {"more": 1},
    ],
    ids=range(9),
)
def test_other_settlements_are_refused(change: dict[str, Json]) -> None:
    """A member of another type, length or range is refused."""
    with pytest.raises(Malformed):
        settled_from_json(settled_json(**change))


def test_records_are_short() -> None:
    """A record of the largest size is read; one byte more is refused before it is looked at."""
    proof = CASE.bundle.chain.key.proof
    largest = Proved(bytes(RECORD_BYTES_MAX), proof)
    assert proved_from_json(largest.as_json(), "it") == largest

    with pytest.raises(Malformed) as caught:
        proved_from_json(replace(largest, value=bytes(RECORD_BYTES_MAX + 1)).as_json(), "it")
    assert caught.value.code == "bundle.record"


def test_a_bundle_is_one_object_of_parts() -> None:
    """The file is one flat object: a reader in any language finds the parts by name."""
    assert sorted(as_object(decode(DATA), "it")) == [
        "body",
        "chain",
        "evidence",
        "format",
        "given",
        "profile",
        "receipt",
        "request",
        "response",
    ]
