"""Replicas of one ledger through loss, delay, doubling, crashes, hostile proposers and newcomers: always one state.

`make sim` runs many seeds (PARAPH_SEEDS=2000); a failing seed is printed, and is enough to run it again.
"""

import os
import random
from pathlib import Path

import pytest
from tests.sim.replicas import Network

STEPS = 80
SEEDS = int(os.environ.get("PARAPH_SEEDS", "12"))


@pytest.mark.parametrize("number", range(SEEDS))
def test_one_state(number: int, tmp_path: Path) -> None:
    """Whatever happens, every replica reaches the decided roots, all truths hold, and in the end all are alike."""
    seed = int(os.environ.get("PARAPH_SEED", "0")) or random.randrange(2**32) + number
    print(f"seed {seed}: PARAPH_SEEDS=1 PARAPH_SEED={seed} repeats it")
    network = Network(seed, tmp_path)

    for _ in range(STEPS):
        network.step()

    network.settle_down()
    assert network.history
