"""The confined process that proves: it holds the node's exact models, and makes one proof at a time.

It has the limits of every worker of the node, gives way to what answers requests, and hands out no proof that the
verifier refuses.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paraph.adapters.engines.worker import Answer, confine, serve
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Unavailable
from paraph.core.ident import to_hex
from paraph.proofs.zk.statement import Mode

if TYPE_CHECKING:
    from paraph.inference_node.proof_bench import Bench

NICE: Final = 10


def opened(header: JsonObject) -> "tuple[Bench, list[float | None]]":
    """The bench with the models that the first message names, warmed, and how long a proof of each takes, in seconds.

    Raises:
        Unavailable: `prover.missing`.
    """
    try:
        from paraph.inference_node.proof_bench import Bench  # noqa: PLC0415  loaded after the limits are on
    except ImportError as error:
        said = f"proofs need the extra `zk` (pip install 'paraph[zk]'): {error}"
        raise Unavailable("prover.missing", said) from error
    asked: Any = header
    bench = Bench([Path(each) for each in asked["folders"]])
    return bench, bench.warm(Mode(asked["mode"]))


def main() -> None:
    """Prove until the parent hangs up."""
    os.nice(NICE)
    channel = confine()
    bench: Bench | None = None

    def answer(header: JsonObject, blobs: tuple[bytes, ...]) -> Answer:
        nonlocal bench
        if bench is None:
            bench, paces = opened(header)
            times: list[Json] = [None if each is None else int(1_000_000 * each) for each in paces]
            return {"roots": [to_hex(each) for each in bench.roots], "times_us": times}, ()
        return {}, (bench.prove(header, blobs),)

    serve(channel, answer)


if __name__ == "__main__":
    main()
