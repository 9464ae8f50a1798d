"""An answer of the layer zkml with one fault fails the claim that is about it, and no other, for its own reason."""

from collections.abc import Callable
from dataclasses import replace
from struct import pack
from typing import Final

import pytest
from tests.support import exact
from tests.support.build import HEIGHT, PAYER, STRANGER, Case, response_of
from tests.support.exact import (
    DUE,
    ENTRIES,
    FAST,
    KEY,
    OTHER,
    RECORD,
    RUN,
    Told,
    build_exact,
    changed,
    failed,
    proof,
    record_of,
    unshown,
    valid_exact,
)

from paraph.core.digest import sha256
from paraph.core.encode import JsonObject
from paraph.core.errors import Unverified
from paraph.core.ident import ZERO_DIGEST, Digest, ModelId, RequestKey, to_hex
from paraph.core.smt import EMPTY
from paraph.core.tensor import Tensor
from paraph.proofs.bundle import Bundle, Exactly, Proved
from paraph.proofs.check import judge, verify
from paraph.proofs.exactness import Run
from paraph.proofs.promised import Promise
from paraph.proofs.proven import BatchProof
from paraph.proofs.records import exact_key, proven_key
from paraph.proofs.verdict import Outcome, render
from paraph.proofs.zk.field import P
from paraph.proofs.zk.graph import Gemm, Graph
from paraph.proofs.zk.statement import Entry, Mode

FAIL: Final = Outcome.FAIL
OTHER_GRAPH: Final = Graph((3,), (Gemm(0, 2),))


def unproven_record(bundle: Bundle) -> Bundle:
    """The record of the exact model with a proof that proves nothing."""
    found = bundle.chain.exact
    assert found is not None
    return replace(bundle, chain=replace(bundle.chain, exact=replace(found, record=spoilt(found.record))))


def unproven_proof(bundle: Bundle) -> Bundle:
    """The record of the proof with a proof that proves nothing."""
    found = bundle.chain.exact
    assert found is not None
    assert found.proven is not None
    return replace(bundle, chain=replace(bundle.chain, exact=replace(found, proven=spoilt(found.proven))))


def spoilt(proved: Proved) -> Proved:
    """A record with a proof of another state."""
    return Proved(proved.value, replace(proved.proof, siblings=(*proved.proof.siblings[1:], EMPTY)))


OTHER_RUN: Final = replace(RUN, outputs=RUN.outputs[:-1] + b"\x01")
OTHER_INPUT: Final = replace(RUN, inputs=bytes([RUN.inputs[0] ^ 1]) + RUN.inputs[1:])
CONGRUENT: Final = replace(RUN, outputs=pack("<2i", *(each + P for each in RUN.y)))
"""The same outputs modulo p, which is all that a proof knows of them."""


def said_of(run: Run, mode: Mode) -> Case:
    """A proof of what the model gives, whose statement and promise say that it is about another run."""
    return build_exact(Told(mode, entries=(OTHER, Entry(Digest(KEY), run.commitment))), run=run)


def due(by: int, **changed: object) -> Case:
    """A promise with that last block."""
    return build_exact(promise=Promise(RUN.commitment, by), **changed)  # type: ignore[arg-type]


def record_at(key: bytes) -> Case:
    """The record of the exact model as the ledger has it, but of another model."""
    case = build_exact(None, proofs={exact_key(exact.MODEL): RECORD.encode(), key: RECORD.encode()})
    told = Exactly(Proved(RECORD.encode(), case.tree.prove(key)), None)
    return changed(case, lambda bundle: replace(bundle, chain=replace(bundle.chain, exact=told)))


def proven_at(key: bytes) -> Case:
    """The record of the proof as the ledger has it, but of another request."""
    value = record_of().encode()
    case = build_exact(proofs={exact_key(exact.MODEL): RECORD.encode(), key: value})
    assert case.bundle.chain.exact is not None
    told = replace(case.bundle.chain.exact, proven=Proved(value, case.tree.prove(key)))
    return changed(case, lambda bundle: replace(bundle, chain=replace(bundle.chain, exact=told)))


FAULTS: Final[dict[str, tuple[Callable[[], Case], str]]] = {
    # the promise
    "promise of another output": (
        lambda: build_exact(None, promise=Promise(OTHER_RUN.commitment, DUE)),
        "evidence.layer",
    ),
    "promise of another input": (
        lambda: build_exact(None, promise=Promise(replace(RUN, inputs=b"\0\0\0").commitment, DUE)),
        "evidence.layer",
    ),
    "promise under another salt": (
        lambda: build_exact(None, promise=Promise(replace(RUN, salt=bytes(32)).commitment, DUE)),
        "evidence.layer",
    ),
    "due before it was made": (
        lambda: build_exact(None, promise=Promise(RUN.commitment, HEIGHT - 3)),
        "evidence.layer",
    ),
    "due in the block in which it was made": (lambda: due(HEIGHT - 2, proven=None), "evidence.layer"),
    "no promise": (lambda: build_exact(None, evidence={"layer": "signature"}), "evidence.layer"),
    "salt not echoed": (
        lambda: build_exact(None, response=exact.response(salt=to_hex(bytes(32)))),
        "evidence.layer",
    ),
    "no salt": (
        lambda: build_exact(None, body={k: v for k, v in exact.body().items() if k != "salt"}),
        "evidence.layer",
    ),
    "as many rows as there are inputs": (lambda: build_exact(None, body=inputs((3, 1))), "evidence.layer"),
    "inputs that are no row": (lambda: build_exact(None, body=inputs((3,))), "evidence.layer"),
    "outputs that are two rows": (lambda: build_exact(None, response=outputs((2, 1))), "evidence.layer"),
    "inputs twice": (lambda: build_exact(None, body=inputs((1, 3), (1, 3))), "evidence.layer"),
    "outputs twice": (lambda: build_exact(None, response=outputs((1, 2), (1, 2))), "evidence.layer"),
    "an output of another kind": (
        lambda: build_exact(None, response={**response_of("tensor"), "salt": exact.body()["salt"]}),
        "evidence.layer",
    ),
    "input of another size": (lambda: build_exact(None, run=replace(RUN, inputs=b"\0" * 4)), "evidence.layer"),
    "output of another size": (lambda: build_exact(None, run=replace(RUN, outputs=b"\0" * 12)), "evidence.layer"),
    # what the ledger has of the model
    "graph of another model": (lambda: build_exact(None, graph=OTHER_GRAPH), "registry.exact"),
    "record of another graph": (lambda: build_exact(None, record={"graph": sha256(b"x")}), "registry.exact"),
    "another version of the proofs": (lambda: build_exact(None, record={"version": 2}), "registry.exact"),
    "record that is not proved": (lambda: changed(build_exact(None), unproven_record), "registry.exact"),
    "record of another model": (lambda: record_at(exact_key(ModelId(bytes(32)))), "registry.exact"),
    "a model that does not offer the layer": (lambda: build_exact(None, model={"layers": 0b011}), "registry.model"),
    "the key of another node": (lambda: build_exact(None, node_key={"node": STRANGER.address}), "registry.key"),
    # the proof
    "weights of another model": (lambda: build_exact(record={"weight_root": sha256(b"x")}), "proof.verified"),
    "proof by another node": (lambda: build_exact(Told(prover=STRANGER.address)), "proof.verified"),
    "proof on another network": (lambda: build_exact(Told(chain_id=1)), "proof.verified"),
    "another beacon": (lambda: build_exact(shown=replace(proof(), beacon=ZERO_DIGEST)), "proof.verified"),
    "another mode": (lambda: build_exact(shown=replace(proof(), mode=Mode.SUCCINCT)), "proof.verified"),
    "requests in another order": (
        lambda: build_exact(shown=replace(proof(), entries=ENTRIES[::-1], index=0)),
        "proof.verified",
    ),
    "the place of another request": (lambda: build_exact(shown=replace(proof(), index=0)), "proof.verified"),
    "a request left out": (
        lambda: build_exact(shown=replace(proof(), entries=ENTRIES[1:], index=0)),
        "proof.verified",
    ),
    "one bit": (lambda: build_exact(shown=flipped(Told())), "proof.verified"),
    "cut off": (lambda: build_exact(shown=replace(proof(), data=proof().data[:-1])), "proof.verified"),
    "one byte more": (lambda: build_exact(shown=replace(proof(), data=proof().data + b"\0")), "proof.verified"),
    "none": (lambda: build_exact(shown=replace(proof(), data=b"")), "proof.verified"),
    "another output, promised so": (lambda: build_exact(run=OTHER_RUN), "proof.verified"),
    "another output, in the statement too": (lambda: said_of(OTHER_RUN, Mode.HIDING), "proof.verified"),
    "another output, succinct": (lambda: said_of(OTHER_RUN, Mode.SUCCINCT), "proof.verified"),
    "another input, in the statement too": (lambda: said_of(OTHER_INPUT, Mode.HIDING), "proof.verified"),
    "another input, succinct": (lambda: said_of(OTHER_INPUT, Mode.SUCCINCT), "proof.verified"),
    "an output that wrapped": (lambda: said_of(CONGRUENT, Mode.HIDING), "proof.verified"),
    "an output that wrapped, succinct": (lambda: said_of(CONGRUENT, Mode.SUCCINCT), "proof.verified"),
    "rows of a seed that its asker cannot know": (
        lambda: build_exact(Told(seed=sha256(b"the node's own"))),
        "proof.verified",
    ),
    "in the rows of another request": (
        lambda: build_exact(Told(entries=ENTRIES[::-1]), shown=replace(proof(Told(entries=ENTRIES[::-1])), index=0)),
        "proof.verified",
    ),
    "of another commitment under this key": (
        lambda: build_exact(Told(entries=(OTHER, Entry(Digest(KEY), OTHER.commitment)))),
        "proof.verified",
    ),
    "of this commitment under another key": (
        lambda: build_exact(Told(entries=(OTHER, Entry(sha256(b"a third"), RUN.commitment)))),
        "proof.verified",
    ),
    "another's proof": (
        lambda: build_exact(Told(entries=(OTHER, Entry(sha256(b"a third"), OTHER.commitment)))),
        "proof.verified",
    ),
    "a request twice": (
        lambda: build_exact(shown=replace(proof(), entries=(ENTRIES[1], ENTRIES[1]))),
        "proof.verified",
    ),
    "a succinct proof that is called hiding": (
        lambda: build_exact(Told(Mode.SUCCINCT), shown=replace(proof(Told(Mode.SUCCINCT)), mode=Mode.HIDING)),
        "proof.verified",
    ),
    "one bit of a succinct proof": (
        lambda: build_exact(Told(Mode.SUCCINCT), shown=flipped(Told(Mode.SUCCINCT))),
        "proof.verified",
    ),
    # the record of the proof
    "of another mode": (lambda: build_exact(proven={"mode": 1}), "proof.recorded"),
    "of no mode": (lambda: build_exact(proven={"mode": 3}), "proof.recorded"),
    "of another model": (lambda: build_exact(proven={"exact": sha256(b"x")}), "proof.recorded"),
    "of other requests": (lambda: build_exact(proven={"batch": sha256(b"x")}), "proof.recorded"),
    "of more requests": (lambda: build_exact(proven={"size": 3}), "proof.recorded"),
    "of another beacon": (lambda: build_exact(proven={"beacon": sha256(b"x")}), "proof.recorded"),
    "after its last block": (lambda: due(HEIGHT - 1), "proof.recorded"),
    "after the state": (lambda: build_exact(proven={"height": HEIGHT + 1}), "proof.recorded"),
    "that is not proved": (lambda: changed(build_exact(), unproven_proof), "proof.recorded"),
    "of a batch that is no digest": (lambda: build_exact(proven={"batch": b"short"}), "proof.recorded"),
    "that is no record": (
        lambda: build_exact(proofs={exact_key(exact.MODEL): RECORD.encode(), proven_key(PAYER.address, KEY): b"\x80"}),
        "proof.recorded",
    ),
    "of another request": (lambda: proven_at(proven_key(PAYER.address, RequestKey(bytes(32)))), "proof.recorded"),
    "of another payer": (lambda: proven_at(proven_key(STRANGER.address, KEY)), "proof.recorded"),
    # the same where the file shows no proof
    "unshown, of no mode": (lambda: unshown(build_exact(proven={"mode": 3})), "proof.recorded"),
    "unshown, of another model": (lambda: unshown(build_exact(proven={"exact": sha256(b"x")})), "proof.recorded"),
    "unshown, after its last block": (lambda: unshown(due(HEIGHT - 1)), "proof.recorded"),
    "unshown, after the state": (lambda: unshown(build_exact(proven={"height": HEIGHT + 1})), "proof.recorded"),
    "unshown, that is not proved": (lambda: unshown(changed(build_exact(), unproven_proof)), "proof.recorded"),
}


def inputs(*shapes: tuple[int, ...]) -> JsonObject:
    """The request, its row in tensors of other shapes."""
    return exact.body(inputs=[Tensor(str(at), "INT8", each, RUN.inputs).as_json() for at, each in enumerate(shapes)])


def outputs(*shapes: tuple[int, ...]) -> JsonObject:
    """The response, its row in tensors of other shapes."""
    made = [Tensor(str(at), "INT32", each, RUN.outputs).as_json() for at, each in enumerate(shapes)]
    return exact.response(outputs=made)


def flipped(told: Told) -> BatchProof:
    """The proof with one bit turned in its middle."""
    data = bytearray(proof(told).data)
    data[len(data) // 2] ^= 4
    return replace(proof(told), data=bytes(data))


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A bundle with one fault fails the claim that is about it, and no other."""
    make, code = FAULTS[name]
    case = make()

    with pytest.raises(Unverified) as caught:
        verify(case.bundle, case.trust)
    assert [reason for reason, _ in caught.value.reasons] == [code]


WHY: Final = {
    "weights of another model": "zk.",
    "proof by another node": "zk.",
    "proof on another network": "zk.",
    "another beacon": "zk.",
    "another mode": "zk.",
    "a request left out": "zk.",
    "a succinct proof that is called hiding": "zk.",
    "one bit of a succinct proof": "zk.",
    "a request twice": "zk.repeated",
    "requests in another order": "zk.",
    "the place of another request": "proof.entry",
    "another output, promised so": "proof.entry",
    "of another commitment under this key": "proof.entry",
    "of this commitment under another key": "proof.entry",
    "another's proof": "proof.entry",
    "another output, in the statement too": "zk.request",
    "another output, succinct": "zk.request",
    "another input, in the statement too": "zk.request",
    "another input, succinct": "zk.request",
    "an output that wrapped": "zk.request",
    "an output that wrapped, succinct": "zk.request",
    "rows of a seed that its asker cannot know": "zk.request",
    "in the rows of another request": "zk.request",
}


@pytest.mark.parametrize("name", WHY)
def test_a_proof_fails_for_its_fault(name: str) -> None:
    """A proof fails where its one fault is, and the claim names the code of it."""
    case = FAULTS[name][0]()
    claims = judge(case.bundle, case.trust, checks=FAST).claims
    sentence = next(each.sentence for each in claims if each.code == "proof.verified")

    assert f"[{WHY[name]}" in sentence


@pytest.mark.parametrize(
    "make",
    [lambda: due(HEIGHT - 1, proven=None), lambda: due(HEIGHT), lambda: build_exact(proven={"height": 0})],
    ids=["due a block after the receipt", "taken in its last block", "taken long ago"],
)
def test_the_last_blocks_that_hold(make: Callable[[], Case]) -> None:
    """A promise may be due one block after it was made, and a proof is in time in its very last block."""
    assert failed(make()) == set()


STATES: Final[dict[str, Callable[[], Case]]] = {
    "promised": lambda: valid_exact(None),
    "hiding and taken": valid_exact,
    "succinct and taken": lambda: valid_exact(Told(Mode.SUCCINCT)),
    "hiding": lambda: build_exact(proven=None),
    "taken": lambda: unshown(build_exact()),
    **{name: make for name, (make, code) in FAULTS.items() if code == "proof.recorded"},
}


@pytest.mark.parametrize("state", STATES)
def test_no_verdict_boasts(state: str) -> None:
    """Whatever a verdict says of a proof that holds or that was taken, it says with "unaudited", and never more."""
    case = STATES[state]()
    verdict = judge(case.bundle, case.trust, checks=FAST)
    said = [*(each.sentence for each in (*verdict.claims, *verdict.questions)), *render(verdict)]

    assert all("(unaudited)" in each for each in said if "proven, " in each or "took a proof of it" in each)
    assert not any("zero-knowledge" in each for each in said)
