"""`paraph light`: a local Ethereum JSON-RPC for wallets that believes no node."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraph.cli.places import find_network, home, json_option, needs, network_option
from paraph.cli.terminal import emit, note, say

if TYPE_CHECKING:
    from paraph.sdk.light.light import Light

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:8550",
    show_default=True,
    metavar="HOST:PORT",
    help="A loopback address: what is verified here could be changed on its way elsewhere. Port 0 takes a free one.",
)
@network_option
@json_option
def light(listen: str, network_file: Path | None, as_json: bool) -> None:
    """A local Ethereum JSON-RPC for wallets that believes no node.

    Every answer is verified against what the network file pins, or refused with its reason. At a fork it shows nothing
    more, writes the evidence down and tells the network's nodes. Stop it with Ctrl-C.
    """
    host, port = read_listen(listen)
    with needs("http"):
        from paraph.adapters.http.client import AsyncDriver, Means
        from paraph.adapters.http.logs import configure_logs
        from paraph.adapters.http.server import run
        from paraph.adapters.system import SystemClock, random_bytes
        from paraph.sdk.light.anchors import Keeper
        from paraph.sdk.light.light import Light
        from paraph.sdk.network import load_network
    place = find_network(network_file)
    network = load_network(place)
    configure_logs()

    async def main() -> None:
        driver = AsyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes, witnesses=network.witnesses))
        client = Light(network.trust, driver, home() / "evidence", Keeper(place, network.trust).moved)
        try:
            await _serve(client, host, port, as_json)
        finally:
            await driver.close()

    run(main())


def read_listen(text: str) -> tuple[str, int]:
    """The loopback host and port. Raises `click.UsageError`."""
    host, _, port = text.rpartition(":")
    if host not in LOOPBACK or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise click.UsageError(f"--listen {text[:60]!r}: write {', '.join(LOOPBACK[:-1])} or {LOOPBACK[-1]}, and :PORT")
    return host.strip("[]"), int(port)


async def _serve(client: "Light", host: str, port: int, as_json: bool) -> None:
    from paraph.adapters.http.server import HttpServer
    from paraph.sdk.light.server import app

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = HttpServer(app(client), host, port)
    following = asyncio.create_task(client.follow())
    try:
        url = await server.start()
        if as_json:
            emit({"url": url, "network": client.follower.trust.network, "chain_id": client.follower.trust.chain_id})
        else:
            say(url)
            note(f"a network of your wallet: chain id {client.follower.trust.chain_id}, symbol OPG; Ctrl-C stops")
        await stopping.wait()
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await server.stop()
