"""JSON of light blocks is read strictly: one form, every number within its limits."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.comet import FOUR, anchor, header, sealed

from paraph.core.encode import canonical, decode
from paraph.core.errors import Malformed
from paraph.proofs.light.limits import POWER_MAX
from paraph.proofs.light.reading import anchor_from_json, light_block_from_json

BLOCK = sealed(header(3, FOUR), FOUR, nil=["ann"])
HASH = "0x" + "11" * 32

Change = Callable[[Any], object]
BAD: dict[str, Change] = {
    "no header": lambda b: b.pop("header"),
    "more": lambda b: b.update(more=1),
    "version above what JSON carries": lambda b: b["header"].update(version_app=2**53),
    "chain of 51 bytes": lambda b: b["header"].update(chain_id="é" * 25 + "x"),
    "height 0": lambda b: b["header"].update(height=0),
    "height as text": lambda b: b["header"].update(height="3"),
    "time before 1970": lambda b: b["header"]["time"].update(seconds=-1),
    "time after 9999": lambda b: b["header"]["time"].update(seconds=253_402_300_800),
    "a whole second of nanoseconds": lambda b: b["header"]["time"].update(nanos=10**9),
    "last block of no parts": lambda b: b["header"]["last_block_id"].update(parts_total=0),
    "last block of too many parts": lambda b: b["header"]["last_block_id"].update(parts_total=2**32),
    "last block of no hash": lambda b: b["header"]["last_block_id"].update(hash="0x"),
    "short hash": lambda b: b["header"].update(data_hash=HASH[:-2]),
    "root of 65 bytes": lambda b: b["header"].update(app_hash="0x" + "11" * 65),
    "root in capitals": lambda b: b["header"].update(app_hash="0xAA"),
    "root of no kind": lambda b: b["header"].update(app_hash=None),
    "proposer of 32 bytes": lambda b: b["header"].update(proposer=HASH),
    "round below 0": lambda b: b["commit"].update(round=-1),
    "round of 33 bits": lambda b: b["commit"].update(round=2**31),
    "commit of no parts": lambda b: b["commit"].update(parts_total=0),
    "vote too few": lambda b: b["commit"]["signatures"].pop(),
    "vote too many": lambda b: b["commit"]["signatures"].append(None),
    "votes without end": lambda b: b["commit"].update(signatures=[None] * 201),
    "absent written out": lambda b: b["commit"]["signatures"][0].update(flag=1),
    "unknown kind of vote": lambda b: b["commit"]["signatures"][0].update(flag=4),
    "short signature": lambda b: b["commit"]["signatures"][0].update(signature="0x" + "11" * 63),
    "vote with an address": lambda b: b["commit"]["signatures"][0].update(validator="0x" + "11" * 20),
    "long key": lambda b: b["validators"][0].update(key=HASH + "11"),
    "power as a number": lambda b: b["validators"][0].update(power=1),
    "power with a zero in front": lambda b: b["validators"][0].update(power="01"),
    "power above all": lambda b: b["validators"][0].update(power=str(POWER_MAX + 1)),
    "validators without end": lambda b: b.update(validators=b["validators"] * 51),
}


@pytest.mark.parametrize("name", BAD)
def test_other_json_is_refused(name: str) -> None:
    """A member missing, unknown, of another type or beyond its limit is refused."""
    value: Any = decode(canonical(BLOCK.as_json()))
    assert light_block_from_json(value) == BLOCK
    BAD[name](value)

    with pytest.raises(Malformed):
        light_block_from_json(value)


def test_limits_themselves_are_read() -> None:
    """The last value within a limit is read: a root of 64 bytes, or of none, a great power, a late round."""
    for app_hash in ("0x", "0x" + "11" * 64):
        value: Any = decode(canonical(BLOCK.as_json()))
        value["header"].update(app_hash=app_hash)
        value["validators"][0].update(power=str(POWER_MAX))
        value["commit"].update(round=2**31 - 1, parts_total=2**32 - 1)
        assert light_block_from_json(value).as_json() == value


@pytest.mark.parametrize("change", [{"height": 0}, {"time_s": -1}, {"validators": None}, {"more": 1}])
def test_other_anchors_are_refused(change: dict[str, Any]) -> None:
    """An anchor is read as strictly."""
    with pytest.raises(Malformed):
        anchor_from_json({**anchor().as_json(), **change})
