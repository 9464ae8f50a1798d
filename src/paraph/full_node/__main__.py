"""The full node as a program: `python -m paraph.full_node --home DIR`.

It prints one line of JSON with its URL when it is ready, logs to standard error, and stops gracefully at SIGTERM.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from paraph.adapters.http.logs import configure_logs
from paraph.adapters.http.server import run, serve
from paraph.adapters.keys.keystore import load_key
from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.core.keys import PrivateKey
from paraph.full_node.config import FILE, Config, load_config, with_settings
from paraph.full_node.node import FullNode
from paraph.ledger.genesis import Genesis, decode_genesis
from paraph.proofs.quotes.tdx import check_library

SWITCH_S: Final = 0.0002
"""How long a thread may keep the others waiting. While a block is worked out, who asks waits so long at each step of an
answer; Python's own 5 ms would add up to a tenth of a second."""
GENESIS, KEY, PASSWORD = "genesis.json", "producer.key.json", "producer.password"


def main() -> int:
    """Run until told to stop. Returns the exit code: 0 stopped, 1 cannot run."""
    parser = argparse.ArgumentParser(prog="python -m paraph.full_node", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help=f"folder with {GENESIS}; its settings are in {FILE}")
    parser.add_argument("--host", help="address to listen on, in place of rpc.listen")
    parser.add_argument("--port", type=int, help="port to listen on, in place of rpc.listen; 0 lets the system choose")
    parser.add_argument("--interval", type=float, help="solo: seconds between blocks; 0: when something waits")
    parser.add_argument("--set", action="append", default=[], metavar="S", help="section.name=value, as in the file")
    options = parser.parse_args()
    configure_logs()
    sys.setswitchinterval(SWITCH_S)
    try:
        check_library()
        config = _with(with_settings(load_config(options.home), options.set), options)
        run(_serve(options.home, config))
    except (ParaphError, OSError) as error:
        sys.stderr.write(f"paraph full node: {error}\n")
        return 1
    return 0


def _with(config: Config, options: argparse.Namespace) -> Config:
    """The configuration, with what the command line says in its place."""
    host, _, port = config.rpc.listen.rpartition(":")
    listen = f"{options.host or host}:{port if options.port is None else options.port}"
    consensus = config.consensus
    if options.interval is not None:
        consensus = replace(consensus, interval_ms=int(options.interval * 1000))
    return replace(config, rpc=replace(config.rpc, listen=listen), consensus=consensus)


async def _serve(home: Path, config: Config) -> None:
    genesis = load_genesis(home)
    await serve(FullNode(home, genesis, load_producer(home) if genesis.producers else None, config))


def load_genesis(home: Path) -> Genesis:
    """The genesis of a home. Raises `Unavailable` (`node.genesis`), or as `decode_genesis`."""
    try:
        return decode_genesis((home / GENESIS).read_bytes())
    except OSError as error:
        raise Unavailable("node.genesis", f"{home / GENESIS} cannot be read: {error.strerror}") from error


def load_producer(home: Path) -> PrivateKey:
    """The key that signs a solo network's blocks. Raises as `load_key`; `Malformed` (`node.password`)."""
    return load_key(home / KEY, _password(home / PASSWORD))


def _password(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise Malformed("node.password", f"{path} can be read by others: chmod 600 it", path=path)
        return path.read_text().rstrip("\n")
    except OSError as error:
        raise Unavailable("node.password", f"{path} cannot be read: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
