"""Secret checks: an honest run passes, and a run with one sum or one output changed does not."""

import numpy as np
import pytest

from paraph.adapters.provers.execute import Exact
from paraph.adapters.provers.freivalds import SecretChecks, shown
from paraph.core.errors import Malformed, Unverified
from paraph.proofs.zk.graph import Add, Clip, Conv, Gemm, Graph, MaxPool, Requant

GRAPH = Graph(
    (4, 5, 5),
    (
        Conv(0, 6, (3, 3), (1, 1), (1, 1, 1, 1), 2),
        Requant(1, 1, 6, -600_000, 600_000, Clip(0, 127)),
        MaxPool(2, (2, 2), (2, 2)),
        Gemm(3, 5),
        Requant(4, 1, 7, -600_000, 600_000, Clip(-128, 127)),
        Add((5, 5), (3, -1)),
        Requant(6, 1, 1, -600, 600, Clip(-128, 127)),
        Gemm(7, 3),
    ),
)
RANDOM = np.random.default_rng(7)
WEIGHTS = b"".join(
    RANDOM.integers(-128, 128, block.outputs * block.inputs, np.int8).tobytes()
    + RANDOM.integers(-99, 99, block.outputs, "<i4").tobytes()
    for block in GRAPH.blocks
)
INPUTS = RANDOM.integers(-128, 128, (3, 100), np.int8)


def test_honest_run() -> None:
    """What the executor shows is the model's."""
    sums, outputs = shown(Exact(GRAPH, WEIGHTS), INPUTS)

    SecretChecks(GRAPH, WEIGHTS).need(INPUTS, sums, outputs)

    assert np.array_equal(outputs, Exact(GRAPH, WEIGHTS).run(INPUTS))


@pytest.mark.parametrize("matrix", range(3))
@pytest.mark.parametrize("change", [1, -1, 2**33])
def test_one_sum_changed(matrix: int, change: int) -> None:
    """One sum that is not the model's is found, also where it would not change the output."""
    sums, outputs = shown(Exact(GRAPH, WEIGHTS), INPUTS)
    sums[matrix][1, 2, 0, 0] += change

    with pytest.raises(Unverified, match="sums of node"):
        SecretChecks(GRAPH, WEIGHTS).need(INPUTS, sums, outputs)


def test_output_changed() -> None:
    """Outputs must follow from the sums."""
    sums, outputs = shown(Exact(GRAPH, WEIGHTS), INPUTS)
    outputs[2, 0] += 1

    with pytest.raises(Unverified, match="follow"):
        SecretChecks(GRAPH, WEIGHTS).need(INPUTS, sums, outputs)


def test_other_weights() -> None:
    """One weight more or less is another model."""
    changed = bytearray(WEIGHTS)
    changed[40] ^= 1
    sums, outputs = shown(Exact(GRAPH, bytes(changed)), INPUTS)

    with pytest.raises(Unverified):
        SecretChecks(GRAPH, WEIGHTS).need(INPUTS, sums, outputs)


def test_malformed() -> None:
    """Sums of another count or shape are refused before anything is multiplied."""
    sums, outputs = shown(Exact(GRAPH, WEIGHTS), INPUTS)
    checks = SecretChecks(GRAPH, WEIGHTS)

    with pytest.raises(Malformed):
        checks.need(INPUTS, sums[:2], outputs)
    with pytest.raises(Malformed):
        checks.need(INPUTS, [sums[0][:2], *sums[1:]], outputs)


def test_coins_are_secret() -> None:
    """Two checkers draw different coins."""
    one, other = SecretChecks(GRAPH, WEIGHTS), SecretChecks(GRAPH, WEIGHTS)

    assert not np.array_equal(one._coins[0], other._coins[0])
