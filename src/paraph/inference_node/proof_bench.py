"""Where proofs are made: the exact models of a node with their weights committed, inside the process that proves.

Importing it loads the prover and its compiler, so the process does so after its limits are on.
"""

import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.check import verify
from paraph.adapters.provers.engine import read_exact
from paraph.adapters.provers.prove import commit_weights, outputs, prove
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected, Unavailable, Unverified
from paraph.core.ident import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, digest_from_hex, from_hex, to_hex
from paraph.proofs.exactness import SALT_BYTES
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement, commitment

SEED_BYTES: Final = 32


class Bench:
    """The exact models of a node, ready to be proven.

    Args:
        folders: where each lies.

    Raises:
        Malformed, Unavailable: as `read_exact` does.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        found = [read_exact(folder) for folder in folders]
        self._weights = [commit_weights(graph, weights) for graph, weights in found]
        self._exact = [Exact(graph, made.root) for (graph, _), made in zip(found, self._weights, strict=True)]

    @property
    def roots(self) -> list[Digest]:
        """The weight root of each model."""
        return [exact.weight_root for exact in self._exact]

    def warm(self, mode: Mode) -> list[float | None]:
        """Prove something of each model twice: the first proof on a machine waits for its compiler.

        Returns:
            how many seconds the second took, by model; None where zeros are no input of it.
        """
        return [self._warmed(index, exact, mode) for index, exact in enumerate(self._exact)]

    def _warmed(self, index: int, exact: Exact, mode: Mode) -> float | None:
        statement = Statement(mode, exact, ZERO_ADDRESS, 0, ZERO_DIGEST, (Entry(ZERO_DIGEST, ZERO_DIGEST),))
        took_s = 0.0
        try:
            for _ in range(2):
                began_s = time.monotonic()
                self._made(index, statement, bytes(prod(exact.graph.input)), bytes(SEED_BYTES))
                took_s = time.monotonic() - began_s
        except Rejected:
            # A model may rule zeros out; then its first proof is a slower one.
            return None
        return took_s

    def prove(self, header: JsonObject, blobs: tuple[bytes, ...]) -> bytes:
        """A proof that the verifier accepts.

        Args:
            header: `model`, the number of the model, and the statement's parts.
            blobs: the inputs of all requests one after the other, their salts, and their seeds, which mode 1 does not
                use.

        Raises:
            Unavailable: `prover.wrong`: a commitment is not to what the model gives, or the proof that was made does
                not hold. Rejected: as the prover does.
        """
        asked: Any = header
        rows = [(digest_from_hex(key, "key"), digest_from_hex(made, "commitment")) for key, made in asked["entries"]]
        statement = Statement(
            Mode(asked["mode"]),
            self._exact[asked["model"]],
            Address(from_hex(asked["prover"], len(ZERO_ADDRESS), "prover")),
            asked["chain_id"],
            digest_from_hex(asked["beacon"], "beacon"),
            tuple(Entry(key, made) for key, made in rows),
        )
        inputs, salts, seeds = blobs
        self._need_commitments(asked["model"], statement, inputs, salts)
        proof = self._made(asked["model"], statement, inputs, seeds)
        try:
            verify(statement, proof)
        except Unverified as error:
            raise Unavailable("prover.wrong", f"the proof that was made does not hold: {error}") from error
        return proof

    def _need_commitments(self, model: int, statement: Statement, inputs: bytes, salts: bytes) -> None:
        """Refuse what is promised of another answer: the proof would hold, and nobody could show their part in it."""
        rows = self._rows(statement, inputs)
        given = outputs(self._weights[model], rows).astype("<i4")
        for index, entry in enumerate(statement.entries):
            salt = salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]
            if commitment(salt, rows[index].tobytes(), given[index].tobytes()) != entry.commitment:
                said = f"what was promised of request {to_hex(entry.key)} is not what the model answers to its input"
                raise Unavailable("prover.wrong", said)

    @staticmethod
    def _rows(statement: Statement, inputs: bytes) -> NDArray[np.int8]:
        return np.frombuffer(inputs, np.int8).reshape(len(statement.entries), prod(statement.exact.graph.input))

    def _made(self, model: int, statement: Statement, inputs: bytes, seeds: bytes) -> bytes:
        rows = self._rows(statement, inputs)
        listed = [seeds[at : at + SEED_BYTES] for at in range(0, len(rows) * SEED_BYTES, SEED_BYTES)]
        return prove(statement, self._weights[model], rows, listed if statement.mode is Mode.HIDING else None)
