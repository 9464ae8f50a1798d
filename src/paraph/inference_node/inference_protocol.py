"""The Open Inference Protocol v2 door (the REST part that KServe, Triton and MLServer clients speak), in JSON."""

from math import isfinite

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from paraph import __version__
from paraph.adapters.tensors import pack, unpack
from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text
from paraph.core.errors import ParaphError, Rejected
from paraph.core.ident import to_hex
from paraph.core.limits import NAME_BYTES_MAX, TENSOR_RANK_MAX, TENSORS_MAX
from paraph.core.tensor import Tensor, tensor_from_json
from paraph.flows import effective
from paraph.flows.ports import TensorSpec
from paraph.inference_node.doors import UNPAID, entry_of, error_response, json_response, read_json, signed_header
from paraph.inference_node.service import Service


def routes(service: Service) -> list[Route]:
    """`/v2`, `/v2/health/{live,ready}`, `/v2/models/{m}`, `/v2/models/{m}/ready`, `/v2/models/{m}/infer`."""

    async def server(_: HttpRequest) -> Response:
        return json_response({"name": "paraph", "version": __version__, "extensions": ["paraph_receipt"]})

    async def live(_: HttpRequest) -> Response:
        return json_response({"live": True})

    async def ready(_: HttpRequest) -> Response:
        ok = service.outbox.failure is None
        return json_response({"ready": ok}, 200 if ok else 503)

    async def model(request: HttpRequest) -> Response:
        try:
            served = service.model(request.path_params["model"])
            engine = served.tensor
        except ParaphError as error:
            return error_response(error)
        return json_response(
            {
                "name": served.manifest.name,
                "versions": [to_hex(served.model_id)],
                "platform": f"{engine.profile.engine}_{engine.profile.engine_version}",
                "inputs": [_spec(each) for each in engine.inputs],
                "outputs": [_spec(each) for each in engine.outputs],
            }
        )

    async def model_ready(request: HttpRequest) -> Response:
        try:
            service.model(request.path_params["model"])
        except ParaphError as error:
            return error_response(error)
        return json_response({"ready": True})

    async def infer(request: HttpRequest) -> Response:
        try:
            served = service.model(request.path_params["model"])
            served.tensor  # noqa: B018  a language model is refused before anything is quoted
            asked = await read_json(request)
            body = effective.infer(_inputs(asked), _outputs(asked), served.model_id)
            names: dict[str, Json] = {"id": as_text(asked["id"], "id", bytes_max=256)} if "id" in asked else {}
            signed = signed_header(request)
            if signed is None:
                return error_response(UNPAID, paraph=await service.quote(body))
            answer = (await entry_of(request, service.start(signed, body))).answer
            outputs = as_list(answer.response["outputs"], "outputs", items_max=TENSORS_MAX)
            shown: dict[str, Json] = {
                "model_name": served.manifest.name,
                "model_version": to_hex(served.model_id),
                "outputs": [_shown(tensor_from_json(each, "outputs")) for each in outputs],
                "paraph": answer.as_json(),
            }
            return json_response(shown | names)
        except ParaphError as error:
            return error_response(error)

    return [
        Route("/v2", server, methods=["GET"]),
        Route("/v2/health/live", live, methods=["GET"]),
        Route("/v2/health/ready", ready, methods=["GET"]),
        Route("/v2/models/{model:path}/ready", model_ready, methods=["GET"]),
        Route("/v2/models/{model:path}/infer", infer, methods=["POST"]),
        Route("/v2/models/{model:path}", model, methods=["GET"]),
    ]


def _spec(spec: TensorSpec) -> dict[str, Json]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _inputs(asked: JsonObject) -> tuple[Tensor, ...]:
    _only(asked, "id", "inputs", "outputs")
    return tuple(_input(each) for each in as_list(asked.get("inputs"), "inputs", items_max=TENSORS_MAX))


def _input(value: Json) -> Tensor:
    found = _only(as_object(value, "an input"), "name", "datatype", "shape", "data")
    shape = as_list(found.get("shape"), "shape", items_max=TENSOR_RANK_MAX)
    return pack(
        as_text(found.get("name"), "name", bytes_max=NAME_BYTES_MAX),
        as_text(found.get("datatype"), "datatype", bytes_max=16),
        [as_integer(side, "shape") for side in shape],
        found.get("data"),
    )


def _outputs(asked: JsonObject) -> tuple[str, ...]:
    listed = as_list(asked.get("outputs", ()), "outputs", items_max=TENSORS_MAX)
    found = (_only(as_object(each, "an output"), "name") for each in listed)
    return tuple(as_text(each.get("name"), "name", bytes_max=NAME_BYTES_MAX) for each in found)


def _only(found: JsonObject, *names: str) -> JsonObject:
    """What holds no other members. Raises `Rejected` (`request.unknown_parameter`) naming those it holds."""
    unknown = ", ".join(sorted(found.keys() - set(names)))
    if unknown:
        sentence = f"unknown parameters: {unknown[:200]}; here stand {', '.join(names)}"
        raise Rejected("request.unknown_parameter", sentence, parameters=unknown)
    return found


def _shown(tensor: Tensor) -> dict[str, Json]:
    """A tensor in the protocol's JSON. What JSON cannot say (NaN, bytes that are no text) stands in `paraph` only."""
    shown: dict[str, Json] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    values = unpack(tensor)
    try:
        plain = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError:
        plain = None
    if plain is None or any(isinstance(value, float) and not isfinite(value) for value in plain):
        return shown | {"data": None, "parameters": {"binary_in": "paraph.response.outputs"}}
    return shown | {"data": plain}
