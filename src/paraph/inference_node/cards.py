"""The door where an exact model's card is fetched: how numbers become its integers, and what its integers mean.

Nobody signs for it, and it needs no belief: the manifest beside it is the registered one, or the asker sees that it is
not.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import ModelId, digest_from_hex
from paraph.flows.exact import CARD_PATH
from paraph.inference_node.doors import error_response, json_response
from paraph.inference_node.models import Served, folder_of
from paraph.proofs.manifest import CARD


def routes(models: Mapping[ModelId, Served], work: Path) -> list[Route]:
    """`/v1/cards/{model}`.

    Args:
        models: those served.
        work: where their files are laid out.
    """

    async def card(request: HttpRequest) -> Response:
        try:
            model_id = ModelId(digest_from_hex(request.path_params["model"], "the model id"))
            served = models.get(model_id)
            if served is None or not served.manifest.exact:
                raise Rejected("models.not_served", "this node serves no exact model of that id")
            data = await run_in_threadpool(_read, folder_of(work, model_id) / CARD)
        except ParaphError as error:
            return error_response(error)
        return json_response({"manifest": served.manifest.as_json(), "card": base64.b64encode(data).decode()})

    return [Route(f"{CARD_PATH}/{{model}}", card, methods=["GET"])]


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as error:
        raise Unavailable("models.card", f"the card cannot be read: {error.strerror}") from error
