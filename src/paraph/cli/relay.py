"""`paraph relay`: carries sealed requests to nodes, and reads none."""

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from paraph.cli.places import json_option, needs
from paraph.cli.terminal import emit, note, say
from paraph.core.ident import digest_from_hex
from paraph.core.ohttp import SEALED_PATH

if TYPE_CHECKING:
    from paraph.adapters.http.relay import Relay

PORT = 11_436
NO_KEY = "none"


@click.command()
@click.option(
    "--to", "urls", multiple=True, required=True, metavar="URL", help="A node, or its sealed door; repeat it."
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="0xHEX",
    help="SHA-256 of the public key of the node's TLS certificate, as the registry has it: one for each --to, or none. "
    f"`{NO_KEY}` leaves a node to certificate authorities.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="0 takes a free one.")
@json_option
def relay(urls: tuple[str, ...], keys: tuple[str, ...], host: str, port: int, as_json: bool) -> None:
    """Carry sealed requests to nodes: they do not learn who asks, and the relay not what.

    Only sealed bytes go on, to the nodes named and to nobody else. Nothing is written down. It needs no trust for the
    text, and all of it for who asks: run it where the node's operator does not, and behind TLS. Stop it with Ctrl-C.
    """
    if keys and len(keys) != len(urls):
        raise click.UsageError(f"--key: one for each --to, or none; there are {len(keys)} for {len(urls)}")
    with needs("http"):
        from paraph.adapters.http.relay import Relay, Target
        from paraph.adapters.http.server import run
    pins = [None if text == NO_KEY else digest_from_hex(text, "--key") for text in keys or [NO_KEY] * len(urls)]
    targets = [Target(_door(url), pin) for url, pin in zip(urls, pins, strict=True)]

    run(_serve(Relay(targets), host, port, as_json))


def _door(url: str) -> str:
    """A node's sealed door: where the URL names none, the one that every node has."""
    _, _, path = url.partition("://")
    return url if path.rstrip("/").count("/") else url.rstrip("/") + SEALED_PATH


async def _serve(relay: "Relay", host: str, port: int, as_json: bool) -> None:
    from paraph.adapters.http.server import HttpServer

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = HttpServer(relay.app, host, port)
    try:
        url = await server.start()
        if as_json:
            emit({"url": url, "paths": list(relay.paths)})
        else:
            for path in relay.paths:
                say(url + path)
            note("post sealed requests there; Ctrl-C stops")
        await stopping.wait()
    finally:
        await server.stop()
        await relay.close()
