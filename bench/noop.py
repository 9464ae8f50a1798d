"""An application that does nothing, under the engine: what our ABCI server costs with no ledger behind it.

`python -m bench.noop HOME`: serves the engine whose home that is, and keeps it running, until told to end.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from paraph.adapters.comet.application import Checked, Executed, Finalized, Found, Kept, Power, Proposed, Snapshot
from paraph.adapters.comet.engine import Engine, find_binary
from paraph.adapters.comet.home import abci_socket
from paraph.adapters.comet.server import AbciServer
from paraph.core.digest import sha256

TAKEN = Checked(0, "", 0)
DONE = Executed(0, b"", "", 0, 0)


class Noop:
    """Takes every transaction, and keeps only the height (`adapters.comet.application.Application`)."""

    def __init__(self) -> None:
        self._height = self._next = 0

    def begin(self, genesis: bytes, powers: tuple[Power, ...]) -> bytes:
        """The root before the first block."""
        del genesis, powers
        return _root(0)

    def propose(self, block: Proposed, bytes_max: int) -> tuple[bytes, ...]:
        """What the engine's pool offers; it fits already."""
        del bytes_max
        return block.transactions

    def judge(self, block: Proposed) -> str:
        """Every block is good."""
        del block
        return ""

    def finalize(self, block: Proposed) -> Finalized:
        """Every transaction succeeds."""
        self._next = block.height
        return Finalized((DONE,) * len(block.transactions), (), _root(block.height), 1)

    def commit(self) -> int:
        """All blocks are kept by the engine."""
        self._height = self._next
        return 0

    def extend(self, height: int, block_hash: bytes) -> bytes:
        """Nothing is reported."""
        del height, block_hash
        return b""

    def judge_extension(self, height: int, validator: bytes, extension: bytes) -> str:
        """Every extension is good."""
        del height, validator, extension
        return ""

    def check(self, raw: bytes, again: bool) -> Checked:
        """Every transaction may wait."""
        del raw, again
        return TAKEN

    def insert(self, raw: bytes) -> Checked:
        """Every transaction may wait."""
        del raw
        return TAKEN

    async def reap(self, bytes_max: int, gas_max: int) -> tuple[bytes, ...]:
        """The engine's pool has them."""
        del bytes_max, gas_max
        return ()

    def kept(self) -> Kept:
        """The last block."""
        return Kept(self._height, _root(self._height) if self._height else b"", 1)

    def query(self, path: str, data: bytes, height: int, prove: bool) -> Found:
        """There is nothing to read."""
        del path, prove
        return Found(1, "this application keeps nothing", data, b"", height, ())

    def snapshots(self) -> tuple[Snapshot, ...]:
        """None."""
        return ()

    def load(self, height: int, kind: int, chunk: int) -> bytes:
        """None."""
        del height, kind, chunk
        return b""

    def offer(self, snapshot: Snapshot, root: bytes) -> str:
        """None is taken."""
        del snapshot, root
        return "reject"

    def apply(self, index: int, chunk: bytes, sender: str) -> str:
        """None is taken."""
        del index, chunk, sender
        return "abort"


def _root(height: int) -> bytes:
    return sha256(height.to_bytes(8, "big"))


async def main(home: Path) -> None:
    """Run until SIGTERM."""
    server, engine = AbciServer(Noop(), abci_socket(home)), Engine(find_binary(os.environ), home)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await server.start()
    await engine.start()
    await ended.wait()
    await engine.stop()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
