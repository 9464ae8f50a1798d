"""The light client's door: JSON-RPC by POST on the loopback address, for wallets of this machine.

It answers to the names of this machine alone, and takes JSON alone: another site's page in a browser can neither reach
it under a name of its own nor send it anything without the browser asking first, which is refused.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paraph.adapters.http.server import read_body
from paraph.sdk.light.light import Light
from paraph.sdk.light.methods import Table, why_not
from paraph.sdk.light.rpc import BODY_BYTES_MAX, answer

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def app(light: Light) -> Starlette:
    """The application: `/` takes calls, `/health` says how far the chain is followed."""
    methods = Table(light).methods()

    async def calls(request: Request) -> Response:
        wrong = _stranger(request)
        if wrong:
            return JSONResponse({"error": wrong}, 403)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return JSONResponse({"error": "send application/json"}, 415)
        found = await answer(methods, why_not, await read_body(request, BODY_BYTES_MAX))
        return Response(found, 200 if found else 204, media_type="application/json")

    async def health(request: Request) -> Response:
        wrong = _stranger(request)
        status, told = light.health()
        return JSONResponse({"error": wrong}, 403) if wrong else JSONResponse(told, status)

    return Starlette(routes=[Route("/", calls, methods=["POST"]), Route("/health", health, methods=["GET"])])


def _stranger(request: Request) -> str:
    """Why a request is not answered: another machine's name (DNS rebinding) or another site's page; else nothing."""
    origin = request.headers.get("origin", "")
    if _name(f"//{request.headers.get('host', '')}") not in LOOPBACK:
        return "this answers to localhost only"
    # A wallet that is an extension says so in its origin; a page says whose it is.
    if origin.startswith(("http:", "https:")) and _name(origin) not in LOOPBACK:
        return "this answers no web page of another site: set it as the network of your wallet"
    return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
