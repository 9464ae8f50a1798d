"""The native door: a signed request with its effective body in, the answer with its receipt out."""

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from paraph.core.encode import Json, as_object, take
from paraph.core.errors import Malformed, ParaphError
from paraph.core.ident import RequestKey, address_from_hex, digest_from_hex, to_hex
from paraph.flows import effective
from paraph.inference_node.doors import entry_of, error_response, json_response, open_stream, read_json
from paraph.inference_node.service import Service
from paraph.proofs.request import request_from_json


def routes(service: Service) -> list[Route]:
    """`/paraph/v1/answer` and `/paraph/v1/outcome/{payer}/{key}`."""

    async def answer(request: HttpRequest) -> Response:
        try:
            signed_json, body_json, stream = take(await read_json(request), "the message", "request", "body", "stream")
            if not isinstance(stream, bool):
                raise Malformed("json.shape", "stream must be true or false")
            signed = request_from_json(signed_json)
            body = effective.effective(as_object(body_json, "body"), signed.request.model_id)
            job = service.start(signed, body)
            if stream:
                return await open_stream(
                    request,
                    job,
                    lambda chunk, digest: {"chunk": chunk, "digest": digest},
                    lambda entry: [{"answer": entry.answer.as_json()}],
                )
            return json_response((await entry_of(request, job)).answer.as_json())
        except ParaphError as error:
            return error_response(error)

    async def outcome(request: HttpRequest) -> Response:
        try:
            payer = address_from_hex(request.path_params["payer"], "payer")
            key = RequestKey(digest_from_hex(request.path_params["key"], "key"))
        except ParaphError as error:
            return error_response(error)
        kept = service.outbox.find(payer, key) is not None
        found: Json = service.outbox.outcome(payer, key) or ("pending" if kept else "unknown")
        return json_response({"payer": to_hex(payer), "key": to_hex(key), "outcome": found})

    return [
        Route("/paraph/v1/answer", answer, methods=["POST"]),
        Route("/paraph/v1/outcome/{payer}/{key}", outcome, methods=["GET"]),
    ]
