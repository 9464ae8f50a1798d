"""The inference node as a program: `python -m paraph.inference_node --home DIR`.

It prints one line of JSON with its URL when it is ready, logs to standard error, and stops gracefully at SIGTERM.
"""

import argparse
import sys
from pathlib import Path

from paraph.adapters.http.logs import configure_logs
from paraph.adapters.http.server import run, serve
from paraph.adapters.keys.keystore import load_key
from paraph.core.errors import ParaphError
from paraph.inference_node.config import KEY, PASSWORD, read_config
from paraph.inference_node.node import InferenceNode


def main() -> int:
    """Run until told to stop. Returns the exit code: 0 stopped, 1 cannot run."""
    parser = argparse.ArgumentParser(prog="python -m paraph.inference_node", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help=f"folder with node.json, {KEY} and {PASSWORD}")
    options = parser.parse_args()
    configure_logs()
    try:
        run(_serve(options.home))
    except (ParaphError, OSError) as error:
        sys.stderr.write(f"paraph inference node: {error}\n")
        return 1
    return 0


async def _serve(home: Path) -> None:
    config = read_config(home)
    node = InferenceNode(config, load_key(home / KEY, (home / PASSWORD).read_text().strip()))
    await serve(node)


if __name__ == "__main__":
    sys.exit(main())
