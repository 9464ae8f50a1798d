"""What a machine of TDX measured while it started, replayed against the register that its quote vouches for.

The register holds one digest of all events; a log beside the quote says what they were. Nothing in the log is believed
but what its own digest and the register bear out. Once the machine is ready, its applications may add events of any
name, so only those before count. The events are those of dstack, in their first form (event type 0x08000001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha384
from typing import Final

from paraph.proofs.quotes.claims import refuse

RUNTIME: Final = 0x08000001
READY: Final = "system-ready"
IDENTITY: Final = frozenset({
    "app-id", "boot-mr-done", "compose-hash", "gpu-attestation", "gpu-policy-hash", "instance-id", "key-provider",
    "os-image-hash", READY,
})  # fmt: skip
"""Events that say what runs: the machine's alone, however late an application tries."""
EVENTS_MAX: Final = 256
NAME_BYTES_MAX: Final = 128
PAYLOAD_BYTES_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """An event, as a log states it."""

    name: str
    payload: bytes
    digest: bytes


def event_digest(name: str, payload: bytes) -> bytes:
    """What an event adds to the register."""
    return sha384(RUNTIME.to_bytes(4, "little") + b":" + name.encode() + b":" + payload).digest()


def extend(register: bytes, digest: bytes) -> bytes:
    """The register after an event; it begins with zeros."""
    return sha384(register + digest).digest()


def replay(events: Sequence[Event], register: bytes) -> Mapping[str, bytes]:
    """What the machine was when it got ready: the payload of each event until then, by name.

    Which of them are needed, and what they must say, is the caller's to check.

    Args:
        events: the log, in its order.
        register: where it must end: `rtmr3` of a quote that verified.

    Raises:
        Unverified: `events.size`, `events.name`: another form; `events.digest`: an event's digest is not of what the
            log says of it; `events.register`: these are not the events that the machine measured; `events.ready`: it
            never got ready; `events.twice`: one name twice before that; `events.late`: what only the machine may say,
            said after it.
    """
    if len(events) > EVENTS_MAX:
        refuse("events.size", f"a log has at most {EVENTS_MAX} events, not {len(events)}")
    reached = bytes(48)
    for event in events:
        _check_event(event)
        reached = extend(reached, event.digest)
    if reached != register:
        refuse("events.register", "the log's events do not lead to the quote's register")
    names = [event.name for event in events]
    if READY not in names:
        refuse("events.ready", "the machine never got ready: what it was is not settled")
    ready = names.index(READY)
    found = {event.name: event.payload for event in events[: ready + 1]}
    if len(found) != ready + 1:
        refuse("events.twice", "an event before the machine was ready has the name of another")
    late = sorted(name for name in names[ready + 1 :] if name in IDENTITY or name in found)
    if late:
        refuse("events.late", f"{late[0]} was said after the machine was ready, when anybody may")
    return found


def _check_event(event: Event) -> None:
    if len(event.payload) > PAYLOAD_BYTES_MAX:
        refuse("events.size", f"an event has at most {PAYLOAD_BYTES_MAX} bytes, not {len(event.payload)}")
    # A colon ends the name in what is digested: with one inside, two events would have the same digest.
    name = event.name
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= NAME_BYTES_MAX) or ":" in name:
        refuse("events.name", f"{name[:40]!a} is no name of an event")
    if event.digest != event_digest(name, event.payload):
        refuse("events.digest", f"the digest of {name} is not of what the log says of it")
