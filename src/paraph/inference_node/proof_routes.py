"""The door where a promised proof is looked after, and fetched once the ledger has taken it.

Nobody signs for it: a hiding proof reveals nothing of what it is about, and whoever asks must know payer and key. In
the succinct mode parts of an input can be learnt from a proof: the ledger, where it is published, tells them too.
"""

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from paraph.core.encode import Json
from paraph.core.errors import ParaphError, Rejected
from paraph.core.ident import RequestKey, address_from_hex, digest_from_hex
from paraph.inference_node.doors import error_response, json_response
from paraph.inference_node.outbox import place_of
from paraph.inference_node.promises import Proven
from paraph.inference_node.prover import Prover
from paraph.proofs.proven import BatchProof


def routes(prover: Prover) -> list[Route]:
    """`/v1/proofs` and `/v1/proofs/{payer}/{key}`."""

    async def proof(request: HttpRequest) -> Response:
        try:
            payer = address_from_hex(request.path_params["payer"], "payer")
            key = RequestKey(digest_from_hex(request.path_params["key"], "key"))
            proven = prover.promises.proven(place_of(payer, key))
            if proven is not None:
                return json_response({"state": "proven", "height": proven.height, "proof": _shown(proven)})
            progress = prover.progress(payer, key)
            if progress is None:
                raise Rejected("proof.unknown", "this node has promised no proof under this key")
        except ParaphError as error:
            return error_response(error)
        return json_response({**progress, "proof": None})

    async def counts(_: HttpRequest) -> Response:
        return json_response({"mode": int(prover.mode), **prover.promises.counts()})

    return [
        Route("/v1/proofs", counts, methods=["GET"]),
        Route("/v1/proofs/{payer}/{key}", proof, methods=["GET"]),
    ]


def _shown(proven: Proven) -> Json:
    batch = proven.batch
    return BatchProof(batch.mode, batch.beacon, batch.entries, proven.index, proven.proof).as_json()
