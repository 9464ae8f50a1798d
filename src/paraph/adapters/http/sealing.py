"""The client's end of a sealed request: JSON in, what to post out; the sealed answer in, its content out."""

import json
from typing import Final

import httpx

from paraph.core import bhttp
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed
from paraph.core.ohttp import SEALED_PATH, ResponseOpener, seal_request
from paraph.flows.effect import Sealing

OK: Final = 200


class Opening:
    """An answer that is opened as it comes. It is whole only when `finish` returned."""

    def __init__(self, opener: ResponseOpener) -> None:
        self._opener = opener
        self._reader = bhttp.ResponseReader()

    @property
    def status(self) -> int:
        """The node's HTTP status; 0 before it is known."""
        return self._reader.status

    def feed(self, data: bytes) -> bytes:
        """Take more of the sealed bytes; the content that they completed. Raises `Malformed` (`seal.…`, `bhttp.…`)."""
        return b"".join(self._reader.feed(each) for each in self._opener.feed(data))

    def finish(self) -> bytes:
        """Say that no more comes; the last content. Raises `Malformed`: the answer is not whole."""
        content = self._reader.feed(self._opener.finish())
        self._reader.finish()
        return content


def seal(
    url: str, body: JsonObject, headers: dict[str, str], sealing: Sealing, now_s: int, ephemeral: bytes
) -> tuple[str, bytes, Opening]:
    """Seal a request.

    Args:
        url: where it is for.
        body: what it says.
        headers: which the node sees, inside.
        sealing: to whom, and by which relay.
        now_s: Unix seconds.
        ephemeral: 32 random bytes.

    Returns:
        Where to post, what, and what opens the answer.

    Raises:
        Malformed: `seal.url`: no URL of a node; `hpke.key`; `bhttp.…`.
    """
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Malformed("seal.url", f"{url[:200]!a} is no URL") from error
    authority = target.netloc.decode()
    request = bhttp.Request(
        "POST", target.scheme, authority, target.raw_path.decode(), tuple(headers.items()), json.dumps(body).encode()
    )
    data, opener = seal_request(sealing.key, sealing.binding, sealing.model_id, now_s, request, ephemeral)
    if sealing.relay:
        return f"{sealing.relay.rstrip('/')}/{authority}", data, Opening(opener)
    return str(target.copy_with(path=SEALED_PATH, query=None)), data, Opening(opener)
