"""Proofs of exact models, made fast: weights committed once, then a proof for each batch of requests.

Proofs are checked by `paraph.proofs.zk.verify`. Specified in docs/spec/zk.md.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.kernels import montgomery
from paraph.adapters.provers.layers_prover import Layers
from paraph.adapters.provers.lookup_prover import leaves, prove_lookups
from paraph.adapters.provers.opening_prover import open_columns
from paraph.adapters.provers.rows_committed import commit
from paraph.adapters.provers.speech import Speech
from paraph.adapters.provers.weights import CommittedWeights, commit_weights
from paraph.adapters.provers.witness import Witness, run
from paraph.core.errors import Malformed, must
from paraph.proofs.zk.plan import Plan, plan
from paraph.proofs.zk.statement import Mode, Statement

__all__ = ["CommittedWeights", "commit_weights", "outputs", "prove", "prove_witness"]

SEED_BYTES = 32


def outputs(weights: CommittedWeights, inputs: NDArray[np.int8]) -> NDArray[np.int32]:
    """What the model gives, (count, outputs).

    Args:
        weights: the model's.
        inputs: (count, n): int8, in the order channels, rows, columns.

    Raises:
        Malformed: `zk.input`, `zk.count`, `zk.size`. Rejected: `zk.bounds`.
    """
    layout = plan(weights.graph, len(inputs), Mode.SUCCINCT)
    return run(layout, weights, inputs).outputs(layout)


def prove(
    statement: Statement, weights: CommittedWeights, inputs: NDArray[np.int8], seeds: Sequence[bytes] | None
) -> bytes:
    """Run the model for a batch of requests and prove it.

    Args:
        statement: what is claimed. That its commitments are to these inputs, and to what comes out, is for the caller
            to see to: a proof says nothing of it.
        weights: the model's.
        inputs: (count, n): int8, in the order channels, rows, columns.
        seeds: of the requests, 32 bytes each, in mode 2; None in mode 1.

    Raises:
        Malformed: `zk.input`: inputs of another type or shape; `zk.seeds`: not one for each request, or some in mode 1;
            `zk.weights`: the statement is about another model; `zk.size`: a batch beyond the limits. Rejected:
            `zk.bounds`: an input makes a value that the model's author said cannot be.
    """
    layout = _layout(statement, weights)
    return prove_witness(statement, weights, run(layout, weights, inputs), seeds)


def prove_witness(
    statement: Statement, weights: CommittedWeights, witness: Witness, seeds: Sequence[bytes] | None
) -> bytes:
    """A proof from what a run left, whether it is true or not: a proof of what is not true is not accepted.

    Args:
        statement: what is claimed.
        weights: the model's.
        witness: what is committed.
        seeds: as `prove` takes them.

    Raises:
        Malformed: `zk.seeds`, `zk.weights`, `zk.size`, as `prove` does.
    """
    layout = _layout(statement, weights)
    wanted = layout.count if layout.mode is Mode.HIDING else 0
    given = [] if seeds is None else seeds
    if len(given) != wanted or any(len(seed) != SEED_BYTES for seed in given):
        raise Malformed("zk.seeds", f"mode {layout.mode} takes {wanted} seeds of {SEED_BYTES} bytes")
    values = witness.vector(layout)
    rows = commit(layout, values, seeds)
    speech = Speech(layout, statement.transcript(), rows.pads)
    if rows.nonce:
        speech.put_all(b"nonce", rows.nonce)
    speech.put_all(b"witness", rows.committed.root)
    gamma, alpha = speech.hear(b"gamma"), speech.hear(b"alpha")
    vector = montgomery(values)
    looked = prove_lookups(speech, leaves(layout, witness, vector, weights.gathers.tables, gamma, alpha))
    reduced = Layers(speech, weights, witness, vector).run(looked, gamma)
    must(speech.ended, "all messages of the plan were said")
    open_columns(speech, weights, rows, reduced)
    return bytes(speech.data)


def _layout(statement: Statement, weights: CommittedWeights) -> Plan:
    exact = statement.exact
    if exact.weight_root != weights.root or exact.graph.digest != weights.graph.digest:
        raise Malformed("zk.weights", "the statement is about another model than the weights are of")
    return plan(weights.graph, len(statement.entries), statement.mode)
