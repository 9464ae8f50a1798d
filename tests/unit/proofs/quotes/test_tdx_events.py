"""The events of a machine's start: only what its register bears out, and only what it said itself."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.core.errors import Unverified
from paraph.proofs.quotes import tdx
from paraph.proofs.quotes.tdx_events import (
    EVENTS_MAX,
    NAME_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    Event,
    event_digest,
    extend,
    replay,
)

RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "tdx"


def event(name: str, payload: bytes = b"") -> Event:
    return Event(name, payload, event_digest(name, payload))


def register(events: list[Event]) -> bytes:
    """Where a machine arrives that measures those, whatever a log says of them."""
    found = bytes(48)
    for each in events:
        found = extend(found, each.digest)
    return found


COMPOSED: Final = event("compose-hash", b"c" * 32)
READY: Final = event("system-ready")
LOG: Final = [event("app-id", b"a" * 20), COMPOSED, READY, event("started", b"1"), event("started", b"2")]


def test_replay() -> None:
    """What was said until the machine was ready is returned; what an application said later is not."""
    assert replay(LOG, register(LOG)) == {"app-id": b"a" * 20, "compose-hash": b"c" * 32, "system-ready": b""}


FAULTS: Final[dict[str, tuple[list[Event], str]]] = {
    "T19 payload of another": ([replace(COMPOSED, payload=b"x" * 32), READY], "events.digest"),
    "T19 name of another": ([replace(COMPOSED, name="app-id"), READY], "events.digest"),
    "T19 no digest": ([replace(COMPOSED, digest=b""), READY], "events.digest"),
    "T20 twice": ([COMPOSED, event("compose-hash", b"x" * 32), READY], "events.twice"),
    "T20 twice the same": ([COMPOSED, COMPOSED, READY], "events.twice"),
    "T20 late": ([READY, COMPOSED], "events.late"),
    "T20 again": ([COMPOSED, READY, event("compose-hash", b"x" * 32)], "events.late"),
    "T20 ready again": ([COMPOSED, READY, READY], "events.late"),
    "own name again": ([event("own"), READY, event("own", b"x")], "events.late"),
    "nothing": ([], "events.ready"),
    "not ready": ([COMPOSED], "events.ready"),
    "colon": ([event("compose-hash:x"), READY], "events.name"),
    "no name": ([event(""), READY], "events.name"),
    "name too long": ([event("n" * (NAME_BYTES_MAX + 1)), READY], "events.name"),
    "name that shows otherwise": ([event("app-id\u202e"), READY], "events.name"),
    "name of a line": ([event("app-id\n"), READY], "events.name"),
    "name that no bytes have": ([Event("\ud800", b"", b""), READY], "events.name"),
    "payload too large": ([event("n", bytes(PAYLOAD_BYTES_MAX + 1)), READY], "events.size"),
    "too many": ([READY, *[event("n")] * EVENTS_MAX], "events.size"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A log with one fault is refused for that, though it leads to the register."""
    log, code = FAULTS[name]

    with pytest.raises(Unverified) as caught:
        replay(log, register(log))

    assert caught.value.code == code


@pytest.mark.parametrize("log", [LOG[:-1], LOG[1:], [LOG[1], LOG[0], *LOG[2:]], [*LOG, event("more")]])
def test_other_events(log: list[Event]) -> None:
    """A log with one event less, more or elsewhere does not lead to the register."""
    with pytest.raises(Unverified) as caught:
        replay(log, register(LOG))

    assert caught.value.code == "events.register"


def test_limits_are_met() -> None:
    """As many, as long and as large as may be is still read."""
    log = [event("n" * NAME_BYTES_MAX, bytes(PAYLOAD_BYTES_MAX)), READY, *[event("n")] * (EVENTS_MAX - 2)]

    assert len(replay(log, register(log))) == 2


@given(st.lists(st.builds(Event, st.text(max_size=8), st.binary(max_size=8), st.binary(max_size=48)), max_size=5))
def test_any_log(log: list[Event]) -> None:
    """Whatever a log says, it is refused, and no error."""
    with pytest.raises(Unverified):
        replay(log, bytes(48))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded evidence is not here")
def test_recorded() -> None:
    """A real machine's log leads to its real quote's register, and says what it composed."""
    data = (RECORDED / "dstack_guest_agent_attestation.bin").read_bytes()
    quote = tdx.read(data[4 : 4 + tdx.size_of(data[4:])])
    head = bytes.fromhex("0300000001000008")
    log = []
    at = data.index(head)
    while data[at : at + 8] == head:
        parts = []
        at += 8
        for _ in range(3):
            # A compact length: one byte for what is shorter than 64, two for what is longer.
            wide = data[at] & 3
            size = int.from_bytes(data[at : at + 1 + wide], "little") >> 2
            at += 1 + wide
            parts.append(data[at : at + size])
            at += size
        log.append(Event(parts[1].decode(), parts[2], parts[0]))

    found = replay(log, quote.fields["rtmr3"])

    assert len(log) == len(found) == 9
    assert found["compose-hash"].hex().startswith("c143116fef3940e7")
