"""What all doors of the node share: reading the signed request, the shape of errors, and following a job."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from paraph.adapters.http.openai import error_json
from paraph.adapters.http.server import read_body, unless_gone
from paraph.core.encode import Json, JsonObject, as_object, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import to_hex
from paraph.core.limits import JSON_BYTES_MAX
from paraph.inference_node.busy import Busy
from paraph.inference_node.jobs import Job
from paraph.inference_node.outbox import Entry
from paraph.proofs.receipt import stream_next, stream_start
from paraph.proofs.request import SignedRequest, request_from_json

HEADER: Final = "paraph-request"
SIGNED_BYTES_MAX: Final = 4096

T = TypeVar("T")

STATUS: Final = {
    "request.unpaid": 402,
    "request.cap": 402,
    "escrow.empty": 402,
    "request.signature": 402,
    "request.key_reused": 409,
    "models.not_served": 404,
    "models.unknown": 404,
    "http.size": 413,
    "engine.no_embeddings": 501,
    "proof.unknown": 404,
}
"""HTTP status by error code, where the branch alone does not tell."""


def status_of(error: ParaphError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, Busy):
        return 429
    return STATUS.get(error.code, 503 if isinstance(error, Unavailable) else 400)


def error_response(error: ParaphError, **more: Json) -> Response:
    """The HTTP answer for an error."""
    headers = {"retry-after": str(error.retry_after_s)} if isinstance(error, Busy) else {}
    return json_response({"error": error_json(error), **more}, status_of(error), headers)


def json_response(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, ensure_ascii=False), status, headers, media_type="application/json")


async def read_json(request: HttpRequest) -> JsonObject:
    """The request's body as a JSON object. Raises `Malformed` (`http.size`, `http.body`, `json.…`)."""
    try:
        data = await read_body(request, JSON_BYTES_MAX)
    except HTTPException as error:
        raise Malformed("http.size" if error.status_code == 413 else "http.body", error.detail) from error
    return as_object(decode(data), "the body")


def signed_header(request: HttpRequest) -> SignedRequest | None:
    """The signed request in the PARAPH-REQUEST header; None without one. Raises `Malformed` (`request.header`)."""
    text = request.headers.get(HEADER)
    if text is None:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("request.header", "the PARAPH-REQUEST header must be base64 of a JSON object") from error
    return request_from_json(decode(data, bytes_max=SIGNED_BYTES_MAX))


UNPAID: Final = Rejected(
    "request.unpaid",
    "payment is needed: sign the quoted request and send it in the PARAPH-REQUEST header",
)


async def entry_of(request: HttpRequest, job: Job) -> Entry:
    """The job's answer; when the client goes away meanwhile, the job is told so. Raises what the job failed with."""
    return await unless_gone(request, job.result())


async def open_stream(
    request: HttpRequest,
    job: Job,
    chunk: Callable[[JsonObject, str], Json],
    end: Callable[[Entry], list[Json]],
    last: bytes = b"",
) -> Response:
    """Server-sent events for a job: each chunk with its running digest, then what `end` makes of the answer.

    Args:
        request: whose client may go away before the first chunk.
        job: what is followed.
        chunk: renders a chunk, given its digest as hex.
        end: renders the end.
        last: bytes after the last event.

    Raises:
        What the job fails with before its first chunk: then an error status can still be sent.
    """
    chunks = job.follow()
    first = await unless_gone(request, _next(chunks))

    async def events() -> AsyncIterator[bytes]:
        link = stream_start(job.request.request.hash())
        try:
            current = first
            while current is not None:
                link = stream_next(link, current)
                yield _event(chunk(current, to_hex(link)))
                current = await anext(chunks, None)
            if job.entry is not None:
                for rendered in end(job.entry):
                    yield _event(rendered)
                yield last
        except ParaphError as error:
            yield _event({"error": error_json(error)})
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]

    return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _next(chunks: AsyncIterator[JsonObject]) -> JsonObject | None:
    return await anext(chunks, None)


def _event(value: Json) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
