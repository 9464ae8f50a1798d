"""The trust file: it pins somebody, and is read strictly."""

from dataclasses import replace

import pytest
from tests.support.build import ANCHOR, PRODUCER, STRANGER, TRUST, TRUST_VALIDATORS

from paraph.core.encode import Json, canonical
from paraph.core.errors import Malformed
from paraph.core.ident import to_hex
from paraph.proofs.policy import PRODUCERS_MAX, decode_trust

JSON = TRUST.as_json()


def test_trust_round_trips() -> None:
    """A trust file is read back, with validators, or with one producer or as many as allowed."""
    assert decode_trust(TRUST_VALIDATORS.encode()) == TRUST_VALIDATORS
    for producers in ((PRODUCER.address,), (STRANGER.address, PRODUCER.address), (PRODUCER.address,) * PRODUCERS_MAX):
        trust = replace(TRUST, producers=producers, devnet=False)
        assert decode_trust(trust.encode()) == trust


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "paraph/trust/2"}, "trust.format"),
        ({"format": 1}, "trust.format"),
        ({"producers": []}, "trust.producers"),
        ({"anchor": ANCHOR.as_json(), "trusting_period_s": 1}, "trust.producers"),
        ({"devnet": 1}, "trust.producers"),
        ({"devnet": "false"}, "trust.producers"),
        ({"devnet": None}, "trust.producers"),
        ({"producers": [to_hex(PRODUCER.address)] * (PRODUCERS_MAX + 1)}, "json.shape"),
        ({"producers": to_hex(PRODUCER.address)}, "json.shape"),
        ({"producers": [None]}, "ident.hex"),
        ({"network": 1}, "json.shape"),
        ({"network": "x" * 129}, "json.shape"),
        ({"chain_id": -1}, "json.shape"),
        ({"chain_id": "1"}, "json.shape"),
        ({"genesis": to_hex(PRODUCER.address)}, "ident.hex"),
        ({"more": 1}, "json.shape"),
        ({"producers": [], "anchor": {}}, "json.shape"),
        ({"producers": [], "anchor": []}, "json.shape"),
        ({"producers": [], "anchor": {**ANCHOR.as_json(), "height": 0}}, "json.shape"),
        ({"trusting_period_s": -1}, "json.shape"),
        ({"trusting_period_s": None}, "json.shape"),
    ],
    ids=range(21),
)
def test_other_files_are_refused(change: dict[str, Json], code: str) -> None:
    """A file of another format, that pins nobody, or with a member of another type is refused by name."""
    with pytest.raises(Malformed) as caught:
        decode_trust(canonical({**JSON, **change}))

    assert caught.value.code == code


@pytest.mark.parametrize("name", sorted(JSON))
def test_every_member_is_needed(name: str) -> None:
    """No member is optional."""
    with pytest.raises(Malformed) as caught:
        decode_trust(canonical({other: value for other, value in JSON.items() if other != name}))

    assert caught.value.code == "json.shape"


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b"\xff", TRUST.encode()[:-1]])
def test_other_bytes_are_refused(data: bytes) -> None:
    """What is no JSON object is no trust file."""
    with pytest.raises(Malformed):
        decode_trust(data)
