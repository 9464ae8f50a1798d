"""`paraph proxy`: a local OpenAI API that signs, pays and verifies."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraph.cli.bought import Terms, options_of
from paraph.cli.places import find_key, json_option, key_options, needs, network_option, open_network
from paraph.cli.terminal import emit, note, say
from paraph.cli.trust import min_trust_option

if TYPE_CHECKING:
    from paraph.sdk.proxy import Proxy

PORT = 11_435


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--buffer", is_flag=True, help="Verify streamed answers before their first byte.")
@click.option("--save-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep every verified answer here.")
@click.option(
    "--map",
    "aliases",
    multiple=True,
    metavar="NAME=MODEL",
    help="Serve MODEL under the name that a client insists on; may be given several times.",
)
@click.option("--max-price", metavar="OPG", help="Pay no more than this for one answer.")
@click.option("--layer", type=click.Choice(("signature", "tee")), default="signature", show_default=True)
@min_trust_option
@click.option("--private", is_flag=True, help="Layer tee: seal requests and answers to the enclave's own key.")
@click.option("--relay", default="", metavar="URL", help="Layer tee: let this relay carry them, sealed.")
@click.option("--node", metavar="ADDRESS", help="Ask this node only.")
@click.option(
    "--dangerous-listen-anywhere",
    is_flag=True,
    help="Listen on every address: whoever reaches it spends your escrow.",
)
@network_option
@key_options
@json_option
def proxy(
    port: int,
    buffer: bool,
    save_dir: Path | None,
    aliases: tuple[str, ...],
    max_price: str | None,
    layer: str,
    min_trust: str,
    private: bool,
    relay: str,
    node: str | None,
    dangerous_listen_anywhere: bool,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """A local OpenAI API: any stock client asks it, and it signs, pays and verifies.

    A whole answer that does not verify is an error, never text. A streamed one passes as it comes and ends in an error
    if it does not verify; --buffer verifies before the first byte. Stop it with Ctrl-C.
    """
    with needs("http"):
        from paraph.adapters.http.logs import configure_logs
        from paraph.adapters.http.server import run
        from paraph.sdk.proxy import Proxy, Settings
    terms: Terms = {
        "max_price": max_price,
        "layer": layer,
        "node": node,
        "min_trust": min_trust,
        "private": private,
        "relay": relay,
        "save": None,
        "wait": False,
    }
    if save_dir is not None:
        save_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(options_of(terms), read_aliases(aliases), buffer, save_dir, not dangerous_listen_anywhere)
    network = open_network(network_file)
    key = find_key(wallet_file, password_file, devnet_key)
    configure_logs()
    run(_serve(Proxy(network, key, settings), "0.0.0.0" if dangerous_listen_anywhere else "127.0.0.1", port, as_json))  # noqa: S104  asked for by its long name


def read_aliases(given: tuple[str, ...]) -> dict[str, str]:
    """The names that clients use, and the models meant. Raises `click.UsageError`."""
    found = {}
    for text in given:
        name, equals, model = text.partition("=")
        if not (name and equals and model):
            raise click.UsageError(f"{text[:60]!r}: write --map NAME=MODEL")
        found[name] = model
    return found


async def _serve(proxy: "Proxy", host: str, port: int, as_json: bool) -> None:
    from paraph.adapters.http.server import HttpServer

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = HttpServer(proxy.app, host, port)
    try:
        url = f"{await server.start()}/v1"
        if as_json:
            emit({"base_url": url})
        else:
            say(url)
            note(f'OpenAI(base_url="{url}", api_key="none"); Ctrl-C stops')
        await stopping.wait()
    finally:
        await server.stop()
        await proxy.close()
