"""The full node as a program: `python -m paraph.full_node --home DIR --port N`.

It prints one line of JSON with its URL when it is ready, logs to standard error, and stops gracefully at SIGTERM.
"""

import argparse
import sys
from pathlib import Path

from paraph.adapters.http.logs import configure_logs
from paraph.adapters.http.server import run, serve
from paraph.adapters.keys.keystore import load_key
from paraph.core.errors import Malformed, ParaphError
from paraph.full_node.node import FullNode
from paraph.ledger.genesis import decode_genesis

GENESIS, KEY, PASSWORD = "genesis.json", "producer.key.json", "producer.password"


def main() -> int:
    """Run until told to stop. Returns the exit code: 0 stopped, 1 cannot run."""
    parser = argparse.ArgumentParser(prog="python -m paraph.full_node", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help=f"folder with {GENESIS}, {KEY} and {PASSWORD}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8545, help="0 lets the system choose")
    parser.add_argument("--interval", type=float, default=0, help="seconds between blocks; 0: when something waits")
    options = parser.parse_args()
    configure_logs()
    try:
        run(_serve(options.home, options.host, options.port, options.interval))
    except (ParaphError, OSError) as error:
        sys.stderr.write(f"paraph full node: {error}\n")
        return 1
    return 0


async def _serve(home: Path, host: str, port: int, interval_s: float) -> None:
    genesis = decode_genesis((home / GENESIS).read_bytes())
    producer = load_key(home / KEY, _password(home / PASSWORD))
    node = FullNode(home, genesis, producer, host, port, interval_s)
    await serve(node)


def _password(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        raise Malformed("node.password", f"{path} can be read by others: chmod 600 it", path=path)
    return path.read_text().rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
