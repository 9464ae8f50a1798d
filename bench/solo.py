"""A full node of a solo network for benchmarks, a process of its own: `python -m bench.solo HOME` prints its URL.

Its keys are fixed; nothing is counted at its door; its state is whatever `bench.filled` put there.
"""

import asyncio
import signal
import sys
from pathlib import Path

from bench.filled import START_S
from bench.networks import LOUD
from bench.wallets import PRODUCER, founding
from paraph.adapters.http.logs import configure_logs
from paraph.full_node.config import Config, Rpc, Store
from paraph.full_node.node import FullNode


async def main(home: Path) -> None:
    """Run until SIGTERM."""
    config = Config(rpc=Rpc(listen="127.0.0.1:0"), limits=LOUD, store=Store(check_at_start=False, index=""))
    node = FullNode(home, founding(START_S), PRODUCER, config)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(await node.start() + "\n")
    sys.stdout.flush()
    await ended.wait()
    await node.stop()


if __name__ == "__main__":
    configure_logs()
    asyncio.run(main(Path(sys.argv[1])))
