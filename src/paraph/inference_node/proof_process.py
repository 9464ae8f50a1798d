"""The node's end of the process that proves: started once, killed at its limits, started again at the next proof."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from paraph.adapters.engines.sandbox import Sandbox
from paraph.core.encode import Json, as_integer, as_list
from paraph.core.errors import Unavailable
from paraph.core.ident import Digest, ModelId, digest_from_hex, to_hex
from paraph.flows.serve import Hidden
from paraph.proofs.zk.statement import Mode, Statement

START_S_MAX: Final = 600.0
"""Until it can prove: its kernels are compiled once on a machine, and the weights of the largest models committed."""
MODULE: Final = "paraph.inference_node.proof_worker"


class ProofProcess:
    """A process that proves runs of some exact models.

    Args:
        folders: where the files of each model are.
        mode: what its proofs give away.
        memory_mb: limit of its address space.
        time_s_max: how long one proof may take.
    """

    def __init__(self, folders: Mapping[ModelId, Path], mode: Mode, memory_mb: int, time_s_max: float) -> None:
        self._models = list(folders)
        self._time_s_max = time_s_max
        hello: dict[str, Json] = {"folders": [str(each) for each in folders.values()], "mode": int(mode)}
        self._sandbox = Sandbox(MODULE, memory_bytes=memory_mb << 20, hello=hello, start_deadline_s=START_S_MAX)

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._sandbox.pid

    async def roots(self) -> dict[ModelId, Digest]:
        """The weight root of each model, computed from its files; starts the process.

        Raises:
            Unavailable: `prover.missing`: what proves is not installed; `engine.died`. Rejected: `engine.…`: it ran
                into a limit. Malformed: the files are no exact model.
        """
        told = as_list((await self._sandbox.started()).get("roots"), "roots", items_max=len(self._models))
        return dict(zip(self._models, (digest_from_hex(each, "a weight root") for each in told), strict=True))

    async def paces(self) -> dict[ModelId, float]:
        """How many seconds a proof of one run of each model took when the process began. Raises as `roots`."""
        told = as_list((await self._sandbox.started()).get("times_us"), "times_us", items_max=len(self._models))
        times = (None if each is None else as_integer(each, "times_us") for each in told)
        return {
            model_id: took / 1_000_000 for model_id, took in zip(self._models, times, strict=True) if took is not None
        }

    async def prove(
        self, statement: Statement, model_id: ModelId, requests: Sequence[Hidden], seeds: Sequence[bytes]
    ) -> bytes:
        """A proof that the verifier accepts.

        Args:
            statement: what is proven.
            model_id: the model.
            requests: the input and the salt of each, in the statement's order.
            seeds: of each likewise; mode 1 does not use them.

        Raises:
            As `roots`, and what the prover refuses.
        """
        header: dict[str, Json] = {
            "model": self._models.index(model_id),
            "mode": int(statement.mode),
            "prover": to_hex(statement.prover),
            "chain_id": statement.chain_id,
            "beacon": to_hex(statement.beacon),
            "entries": [[to_hex(entry.key), to_hex(entry.commitment)] for entry in statement.entries],
        }
        salts = (each.salt for each in requests)
        blobs = b"".join(each.inputs for each in requests), b"".join(salts), b"".join(seeds)
        _, found = await self._sandbox.call(header, blobs, deadline_s=self._time_s_max)
        if len(found) != 1:
            raise Unavailable("engine.message", f"the process that proves gave {len(found)} proofs; one was asked for")
        return found[0]

    async def close(self) -> None:
        """End the process."""
        await self._sandbox.close()
