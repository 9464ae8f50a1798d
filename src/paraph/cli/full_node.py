"""`paraph full-node`: the ledger's node, run from its folder."""

import os
import sys
from pathlib import Path

import click

from paraph.cli.places import needs


@click.group()
def full_node() -> None:
    """The ledger's node: blocks, state with proofs, and Ethereum's JSON-RPC."""


@full_node.command()
@click.option(
    "--home",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder with genesis.json, producer.key.json and producer.password.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8_545, show_default=True, help="0 takes a free one.")
@click.option(
    "--interval",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="Seconds between blocks; 0: when something waits.",
)
def run(folder: Path, host: str, port: int, interval: float) -> None:
    """Run the full node of a folder, in this process. It stops gracefully at Ctrl-C and SIGTERM."""
    with needs("full-node"):
        import paraph.full_node.__main__  # noqa: F401  says now what is missing, not after the exec
    options = ["--home", str(folder), "--host", host, "--port", str(port), "--interval", str(interval)]
    os.execv(sys.executable, [sys.executable, "-m", "paraph.full_node", *options])  # noqa: S606
