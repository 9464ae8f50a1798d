"""What comes back over HTTP: bounded in size, split into events, and errors made into ours."""

import json
from dataclasses import dataclass, field
from typing import Final

import httpx

from paraph.core.encode import Json, as_object, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.limits import JSON_BYTES_MAX

ERROR_TEXT_MAX: Final = 1_000
"""Characters of a server's sentence that are passed on."""


@dataclass(slots=True)
class Lines:
    """Splits a byte stream into server-sent events, each bounded."""

    rest: bytearray = field(default_factory=bytearray)
    events: list[Json] = field(default_factory=list)

    def feed(self, data: bytes) -> None:
        """Take more bytes. Raises `Malformed` (`http.event`, `json.…`)."""
        # Only new bytes are searched: a long event in many small parts must not cost the square of its length.
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._line(bytes(self.rest + part))
            self.rest.clear()
        self.rest += rest
        if len(self.rest) > JSON_BYTES_MAX:
            raise Malformed("http.event", f"an event is longer than {JSON_BYTES_MAX} bytes")

    def _line(self, line: bytes) -> None:
        text = line.strip()
        if text.startswith(b"data:") and text != b"data: [DONE]":
            self.events.append(decode(text[5:].strip()))


def bounded(data: bytearray) -> None:
    """Check that a reply is not longer than any true one. Raises `Malformed` (`http.size`)."""
    if len(data) > JSON_BYTES_MAX:
        raise Malformed("http.size", f"the reply is longer than {JSON_BYTES_MAX} bytes")


def error_of(status: int, data: bytes) -> ParaphError:
    """The error a node answered with, typed: ours when it is in our form, else by its HTTP status."""
    try:
        said = as_object(as_object(decode(data), "the reply").get("error"), "error")
    except Malformed:
        said = {}
    code = str(said.get("code") or f"http.{status}")[:ERROR_TEXT_MAX]
    message = str(said.get("message") or f"HTTP {status}")[:ERROR_TEXT_MAX]
    kinds: dict[str, type[ParaphError]] = {"malformed": Malformed, "rejected": Rejected, "unavailable": Unavailable}
    by_status = Unavailable if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500 else Rejected
    return kinds.get(str(said.get("type")), by_status)(code, message, status=status)


def event_of(event: Json) -> Json:
    """An event of a stream. Raises the error that it is, where it is one."""
    said = as_object(event, "an event").get("error")
    if said is not None:
        raise error_of(500, json.dumps({"error": said}).encode())
    return event


def unsealed(error: ParaphError) -> ParaphError:
    """An error in the clear to what was sealed: whoever carries it may say that it did not open, and nothing else."""
    if error.code.startswith(("seal.", "relay.", "http.")):
        return error
    return Unavailable("seal.plain", f"whoever carries the sealed request answered {error.code} in the clear")


def in_the_clear() -> Malformed:
    """Of what was sealed, only an error may come back unsealed: whoever carries it may have made the rest."""
    return Malformed("seal.plain", "what was sealed was answered in the clear")
