"""The OpenAI door: models, chat, completions and embeddings, each with a receipt beside the familiar answer.

Stock clients talk to it through `paraph proxy`, which signs and verifies; whoever signs by himself sends the signed
request in a header. Without one the answer is 402 and says exactly what to sign.
"""

from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from paraph.adapters.http import openai
from paraph.core.encode import Json, JsonObject, as_text
from paraph.core.errors import Malformed, ParaphError
from paraph.core.ident import ModelId, to_hex
from paraph.flows import effective
from paraph.inference_node.doors import (
    UNPAID,
    entry_of,
    error_response,
    json_response,
    open_stream,
    read_json,
    signed_header,
)
from paraph.inference_node.jobs import Job
from paraph.inference_node.outbox import Entry
from paraph.inference_node.service import Service

Reader = Callable[[JsonObject, ModelId], dict[str, Json]]


def routes(service: Service) -> list[Route]:
    """`/v1/models`, `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`."""

    async def models(_: HttpRequest) -> Response:
        try:
            rows = [await _model(service, model_id) for model_id in service.models]
        except ParaphError as error:
            return error_response(error)
        return json_response({"object": "list", "data": list(rows)})

    async def model(request: HttpRequest) -> Response:
        try:
            return json_response(await _model(service, service.model(request.path_params["model"]).model_id))
        except ParaphError as error:
            return error_response(error)

    def door(read: Reader) -> Callable[[HttpRequest], object]:
        async def answer(request: HttpRequest) -> Response:
            try:
                asked = await read_json(request)
                served = service.model(as_text(asked.get("model"), "model", bytes_max=256))
                body = read(asked, served.model_id)
                stream, wants_usage = openai.travel(asked)
                if body["kind"] == "embeddings":
                    _embeddings_travel(asked, stream=stream)
                signed = signed_header(request)
                if signed is None:
                    return error_response(UNPAID, paraph=await service.quote(body))
                job = service.start(signed, body)
                name = served.manifest.name
                if stream:
                    return await _stream(request, job, name, body, wants_usage=wants_usage)
                entry = await entry_of(request, job)
                return json_response(_whole(name, body, asked, entry) | {"paraph": entry.answer.as_json()})
            except ParaphError as error:
                return error_response(error)

        return answer

    return [
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models/{model:path}", model, methods=["GET"]),
        Route("/v1/chat/completions", door(effective.chat), methods=["POST"]),
        Route("/v1/completions", door(effective.completion), methods=["POST"]),
        Route("/v1/embeddings", door(effective.embeddings), methods=["POST"]),
    ]


async def _model(service: Service, model_id: ModelId) -> dict[str, Json]:
    served, offer = service.models[model_id], await service.ledger.offer(model_id)
    price = offer.price
    return {
        "id": served.manifest.name,
        "object": "model",
        "created": 0,
        "owned_by": to_hex(offer.model.owner),
        "paraph": {
            "model_id": to_hex(model_id),
            "kind": served.manifest.kind,
            "layers": offer.model.layers,
            "price": {
                "version": offer.model.price_version,
                "base": str(price.base),
                "per_input_unit": str(price.per_input_unit),
                "per_output_unit": str(price.per_output_unit),
            },
        },
    }


def _whole(name: str, body: JsonObject, asked: JsonObject, entry: Entry) -> dict[str, Json]:
    response, receipt = entry.answer.response, entry.answer.receipt.receipt
    if body["kind"] == "embeddings":
        return openai.embeddings(name, response, str(asked.get("encoding_format", "float")))
    return openai.completion(_id(entry), name, body, response, receipt)


def _embeddings_travel(asked: JsonObject, *, stream: bool) -> None:
    if stream:
        raise Malformed("request.parameter", "embeddings are not streamed", parameter="stream")
    if asked.get("encoding_format", "float") not in ("float", "base64"):
        raise Malformed("request.parameter", "encoding_format must be float or base64", parameter="encoding_format")


async def _stream(request: HttpRequest, job: Job, name: str, body: JsonObject, *, wants_usage: bool) -> Response:
    answer_id = "paraph-" + job.request.request.key.hex()[:24]

    def chunk(delta: JsonObject, digest: str) -> Json:
        return openai.chunk(answer_id, name, body, 0, delta, None) | {"paraph": {"digest": digest, "chunk": delta}}

    def end(entry: Entry) -> list[Json]:
        response = entry.answer.response
        last: dict[str, Json] = openai.chunk(answer_id, name, body, 0, None, response["finish_reason"])
        events: list[Json] = [last | {"paraph": entry.answer.as_json()}]
        if wants_usage:
            events.append(openai.usage_chunk(answer_id, name, body, 0, response))
        return events

    return await open_stream(request, job, chunk, end, b"data: [DONE]\n\n")


def _id(entry: Entry) -> str:
    return "paraph-" + entry.request.request.key.hex()[:24]
