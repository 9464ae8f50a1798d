"""The fast verifier says what the reference says: of true proofs, of forgeries, and of noise."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.zk import Lies, make
from tests.unit.proofs.zk.models import MODELS, inputs_of, proven, weights_of
from vectors import exact

from paraph.adapters.provers import check, prove
from paraph.adapters.provers.weights import commit_weights
from paraph.adapters.provers.witness import run
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Address, Digest, from_hex
from paraph.proofs.zk import verify as reference
from paraph.proofs.zk.field import ONE, P, add
from paraph.proofs.zk.graph_json import graph_from_bytes
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement

VECTORS = Path(__file__).parents[4] / "vectors"
MODES = list(Mode)


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a vector file."""
    found: list[dict[str, Any]] = json.loads((VECTORS / name / "cases.json").read_text())
    return found


@cache
def told(name: str) -> tuple[Statement, bytes]:
    """A true proof of the vectors."""
    case = next(each for each in cases("zk") if each["name"] == name)
    entries = tuple(
        Entry(Digest(from_hex(each["key"], 32, "key")), Digest(from_hex(each["commitment"], 32, "commitment")))
        for each in case["requests"]
    )
    exact = Exact(graph_from_bytes(case["graph"].encode()), Digest(from_hex(case["weight_root"], 32, "root")))
    place = Address(from_hex(case["prover"], 20, "prover")), case["chain_id"]
    beacon = Digest(from_hex(case["beacon"], 32, "beacon"))
    proof = bytes.fromhex(case["proof"][2:])
    return Statement(Mode(case["mode"]), exact, *place, beacon, entries), proof


def code(verify: Any, statement: Statement, proof: bytes) -> str | None:
    """What a verifier refuses a proof with; None when it believes it."""
    try:
        verify(statement, proof)
    except (Malformed, Unverified) as error:
        return error.code
    return None


def both(statement: Statement, proof: bytes) -> tuple[str | None, str | None]:
    """What the fast verifier says, and the reference."""
    return code(check.verify, statement, proof), code(reference.verify, statement, proof)


@pytest.mark.parametrize("name", [case["name"] for case in cases("zk")])
def test_true_proofs_hold(name: str) -> None:
    """All that the reference opens is opened, and a request finds itself in it."""
    statement, proof = told(name)
    case = next(each for each in cases("zk") if each["name"] == name)

    found = check.verify(statement, proof)

    assert found == reference.verify(statement, proof)
    for index, each in enumerate(case["requests"]):
        seed = None if each["seed"] is None else from_hex(each["seed"], 32, "seed")
        found.need_request(index, each["inputs"], each["outputs"], seed)


@pytest.mark.parametrize("case", cases("zk-forged"), ids=lambda case: case["name"])
def test_forgeries_are_refused(case: dict[str, Any]) -> None:
    """Each with the code of the reference."""
    statement, proof = told(case["of"])
    said, forged = exact.edited(statement, proof, case["edits"])

    assert code(check.verify, said, forged) == case["refused"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["dense", "dense, hiding"]), st.integers(0, 2**20), st.integers(1, 255))
def test_a_flipped_bit_is_refused(name: str, place: int, by: int) -> None:
    """Anywhere in a proof, whatever is changed is found, and by the same check."""
    statement, proof = told(name)
    forged = bytearray(proof)
    forged[place % len(proof)] ^= by

    fast, slow = both(statement, bytes(forged))

    assert fast == slow
    assert fast is not None


@pytest.mark.parametrize("name", ["dense", "dense, hiding"])
@pytest.mark.parametrize("cut", [1, 3, 4, 16, 32, 1000, 10_000])
def test_a_proof_of_another_length_is_refused(name: str, cut: int) -> None:
    """Shorter, and longer."""
    statement, proof = told(name)

    assert both(statement, proof[:-cut]) == ("zk.length", "zk.length")
    assert both(statement, proof + bytes(cut)) == ("zk.length", "zk.length")


def test_a_proof_far_too_long_is_not_read() -> None:
    """Longer than any proof of the model can be."""
    statement, proof = told("dense")

    assert both(statement, proof + bytes(2**20)) == ("zk.length", "zk.length")


@pytest.mark.parametrize("name", ["dense", "dense, hiding"])
def test_a_wrong_sum_is_refused(name: str) -> None:
    """The linear test's first coefficient, which comes into its sum."""
    statement, proof = told(name)
    layout = plan(statement.exact.graph, len(statement.entries), statement.mode)
    said = layout.messages + 2 * len(layout.matrices) + (layout.products + 1 if layout.products else 0)
    forged = bytearray(proof)
    forged[32 * statement.mode + 16 * (said + layout.degree)] ^= 1

    assert both(statement, bytes(forged)) == ("zk.sum", "zk.sum")


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=4000), st.sampled_from(["dense", "dense, hiding"]))
def test_noise_is_refused(noise: bytes, name: str) -> None:
    """Any bytes at all are refused with a code, as the reference does."""
    statement, proof = told(name)

    for forged in (noise, proof[:64] + noise + proof[64 + len(noise) :]):
        fast, slow = both(statement, forged)
        assert fast == slow
        assert fast is not None or forged == proof


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", list(MODELS))
def test_models_are_checked(name: str, count: int, mode: Mode) -> None:
    """True proofs of every kind of layer hold, and a run that was changed anywhere is refused."""
    graph = MODELS[name]
    weights = commit_weights(graph, weights_of(graph))
    layout = plan(graph, count, mode)
    inputs = np.array(inputs_of(graph, count), np.int8)
    entries = tuple(Entry(Digest(bytes([b]) * 32), Digest(bytes(32))) for b in range(count))
    statement = Statement(mode, Exact(graph, weights.root), Address(bytes(20)), 1, Digest(bytes(32)), entries)
    seeds = [bytes([b]) * 32 for b in range(count)] if mode is Mode.HIDING else None
    witness = run(layout, weights, inputs)

    assert code(check.verify, statement, prove.prove_witness(statement, weights, witness, seeds)) is None
    parts = [witness.blocks, *witness.values, *witness.quotients, *witness.multiplicities]
    for part in [*parts, *(each for each in witness.remainders if each is not None)]:
        at = (0,) * part.ndim
        part[at] += 1
        proof = prove.prove_witness(statement, weights, witness, seeds)
        assert code(check.verify, statement, proof) is not None
        part[at] -= 1


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_message_is_refused_where_the_reference_does(mode: Mode) -> None:
    """Messages from beginning to end are lies, by a prover that is honest in all that follows from it."""
    graph, inputs = MODELS["residual"], inputs_of(MODELS["residual"], 1)
    layout = plan(graph, 1, mode)
    file = weights_of(graph)

    for wrong in range(mode, layout.messages + 2 * len(layout.matrices), 19):
        lies = Lies(message=lambda number, _, value, wrong=wrong: add(value, ONE) if number == wrong else value)  # type: ignore[misc]
        made = make(graph, file, inputs, mode, lies)

        fast, slow = both(made.statement, made.proof)

        assert fast == slow
        assert fast is not None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", [0, -1, -5, -9])
def test_a_wrong_row_is_refused(row: int, mode: Mode) -> None:
    """A codeword that is none, of the witness or of a mask."""
    graph = MODELS["dense"]

    def bend(matrix: list[list[int]], _: object) -> None:
        matrix[row] = [(each + at) % P for at, each in enumerate(matrix[row])]

    made = make(graph, weights_of(graph), inputs_of(graph, 1), mode, Lies(matrix=bend))

    fast, slow = both(made.statement, made.proof)

    assert fast == slow
    assert fast in {"zk.proximity", "zk.test"}


SIGNATURES = """
from tests.unit.adapters.provers import test_prove
from paraph.adapters.provers import check, kernels, prove
from paraph.proofs.zk.statement import Mode
import numpy as np

for name in ("residual", "spatial"):
    weights = test_prove.committed(name)
    for mode in Mode:
        for count in (1, 3):
            inputs = np.array(test_prove.inputs_of(weights.graph, count), np.int8)
            statement = test_prove.about(weights.graph, weights, inputs, mode)
            check.verify(statement, prove.prove(statement, weights, inputs, test_prove.seeds_of(count, mode)))
found = {name: len(each.signatures) for name, each in vars(kernels).items() if hasattr(each, "signatures")}
print(sorted({name for name, count in found.items() if count != 1 and not name.startswith("_")}))
"""


def test_every_kernel_is_compiled_for_one_kind_of_array() -> None:
    """Whatever is proven: two forms of a kernel, kept by two processes at once, could be taken for each other."""
    folder = Path(__file__).parents[4]
    run_by = [sys.executable, "-c", SIGNATURES]

    found = subprocess.run(run_by, cwd=folder, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_a_slow_proof_is_a_proof() -> None:
    """What the tests' prover makes, the fast verifier reads."""
    for mode in MODES:
        made = proven("spatial", mode)

        assert code(check.verify, made.statement, made.proof) is None
