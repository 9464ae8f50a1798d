"""What a bundle of the layer zkml claims: each claim holds of a true one, and fails for exactly one fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import exact
from tests.support.build import HEIGHT, STRANGER, Case, build_attested, response_of, valid
from tests.support.exact import BEACON, DUE, ENTRIES, EXACT, GRAPH, KEY, RUN, Told, build_exact, proof, valid_exact
from tests.support.mutate import Path, leaves, reshaped, respellings

from paraph.adapters.provers import check
from paraph.core.digest import sha256
from paraph.core.encode import JsonObject, canonical
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.core.smt import EMPTY
from paraph.core.tensor import Tensor
from paraph.proofs import exactness
from paraph.proofs.bundle import Bundle, Exactly, Proved, decode_bundle
from paraph.proofs.check import given_of, judge, verify
from paraph.proofs.promised import Promise
from paraph.proofs.proven import BatchProof, ExactPart
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.verdict import Outcome, Verdict, render
from paraph.proofs.zk.graph import Gemm, Graph
from paraph.proofs.zk.statement import Mode, Statement
from paraph.proofs.zk.verify import Opened
from paraph.proofs.zk.verify import verify as by_reference

FAIL, PASS, SKIP = Outcome.FAIL, Outcome.PASS, Outcome.SKIP
OTHER_GRAPH: Final = Graph((3,), (Gemm(0, 2),))


def judged(case: Case) -> Verdict:
    """The verdict on a case."""
    return judge(case.bundle, case.trust)


def outcomes(case: Case) -> dict[str, Outcome]:
    """How each claim came out."""
    return {claim.code: claim.outcome for claim in judged(case).claims}


def failed(case: Case) -> set[str]:
    """The claims that failed."""
    return {code for code, outcome in outcomes(case).items() if outcome is FAIL}


def changed(case: Case, change: Callable[[Bundle], Bundle]) -> Case:
    """The case with another bundle."""
    return replace(case, bundle=change(case.bundle))


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


# --- what is true --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
def test_a_proven_answer(mode: Mode) -> None:
    """Every claim holds, all four questions are answered, and what nobody audited is said to be so."""
    verdict = judged(valid_exact(Told(mode)))
    questions = [each.outcome for each in verdict.questions]
    lines = "\n".join(render(verdict))

    assert {claim.outcome for claim in verdict.claims} == {PASS}
    assert questions == [PASS, PASS, PASS, PASS]
    assert lines.count(exactness.WORDS[mode]) == 2
    assert "unaudited" in lines
    assert "zero-knowledge" not in lines
    assert ("parts of it can be learnt" in lines) == (mode is Mode.SUCCINCT)


def test_a_promised_answer() -> None:
    """Before there is a proof the answer verifies, and what only a proof shows is not shown."""
    verdict = judged(valid_exact(None))
    found = {claim.code: claim.outcome for claim in verdict.claims}

    assert verdict.verified
    assert {code for code, outcome in found.items() if outcome is SKIP} == {"proof.verified", "proof.recorded"}
    assert [each.outcome for each in verdict.questions] == [PASS, SKIP, SKIP, PASS]
    assert any(f"promised by block {DUE}" in each for each in verdict.not_checked)


def test_a_proof_that_nobody_took() -> None:
    """A proof holds by itself: that the network has not taken it is another claim, and is left open."""
    found = outcomes(build_exact(proven=None))

    assert (found["proof.verified"], found["proof.recorded"]) == (PASS, SKIP)


def test_taken_and_not_shown() -> None:
    """Where the network took a proof that the file does not show, the ledger's word alone is told."""
    found = build_exact()
    part = ExactPart(GRAPH, None)
    verdict = judged(changed(found, lambda bundle: replace(bundle, exact=part)))
    shown = {claim.code: claim.outcome for claim in verdict.claims}

    assert (shown["proof.verified"], shown["proof.recorded"]) == (SKIP, PASS)
    assert [each.outcome for each in verdict.questions] == [PASS, SKIP, SKIP, PASS]


def test_one_request_alone() -> None:
    """How many requests a proof is about is told."""
    two = next(claim.sentence for claim in judged(valid_exact()).claims if claim.code == "proof.verified")

    assert two.endswith("2 requests, this one among them")
    assert exactness._proved(replace(proof(), entries=ENTRIES[1:], index=0)).endswith("this request alone")


# --- one fault each ------------------------------------------------------------------------------------------------

OTHER_RUN: Final = replace(RUN, outputs=RUN.outputs[:-1] + b"\x01")

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
        lambda: build_exact(None, promise=Promise(RUN.commitment, HEIGHT - 2)),
        "evidence.layer",
    ),
    "no promise": (lambda: build_exact(None, evidence={"layer": "signature"}), "evidence.layer"),
    "salt not echoed": (
        lambda: build_exact(None, response=exact.response(salt=to_hex(bytes(32)))),
        "evidence.layer",
    ),
    "no salt": (
        lambda: build_exact(None, body={k: v for k, v in exact.body().items() if k != "salt"}),
        "evidence.layer",
    ),
    "two rows": (lambda: build_exact(None, body=rows()), "evidence.layer"),
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
    "one bit": (lambda: build_exact(shown=flipped()), "proof.verified"),
    "cut off": (lambda: build_exact(shown=replace(proof(), data=proof().data[:-1])), "proof.verified"),
    "one byte more": (lambda: build_exact(shown=replace(proof(), data=proof().data + b"\0")), "proof.verified"),
    "none": (lambda: build_exact(shown=replace(proof(), data=b"")), "proof.verified"),
    "another output, promised so": (lambda: build_exact(run=OTHER_RUN), "proof.verified"),
    # the record of the proof
    "of another mode": (lambda: build_exact(proven={"mode": 1}), "proof.recorded"),
    "of no mode": (lambda: build_exact(proven={"mode": 3}), "proof.recorded"),
    "of another model": (lambda: build_exact(proven={"exact": sha256(b"x")}), "proof.recorded"),
    "of other requests": (lambda: build_exact(proven={"batch": sha256(b"x")}), "proof.recorded"),
    "of more requests": (lambda: build_exact(proven={"size": 3}), "proof.recorded"),
    "of another beacon": (lambda: build_exact(proven={"beacon": sha256(b"x")}), "proof.recorded"),
    "after its last block": (lambda: build_exact(proven={"height": DUE + 1}), "proof.recorded"),
    "after the state": (lambda: build_exact(proven={"height": HEIGHT + 1}), "proof.recorded"),
    "that is not proved": (lambda: changed(build_exact(), unproven_proof), "proof.recorded"),
    "that is no record": (lambda: build_exact(proven={"batch": b"short"}), "proof.recorded"),
}


def rows() -> JsonObject:
    """A request with two rows."""
    return exact.body(inputs=[Tensor("input", "INT8", (2, 3), bytes(6)).as_json()])


def flipped() -> BatchProof:
    """The proof with one bit turned in its middle."""
    data = bytearray(proof().data)
    data[len(data) // 2] ^= 4
    return replace(proof(), data=bytes(data))


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A bundle with one fault fails the claim that is about it, and no other."""
    make, code = FAULTS[name]

    assert failed(make()) == {code}
    with pytest.raises(Unverified):
        verify(make().bundle, make().trust)


def test_no_proof_is_looked_at_in_vain() -> None:
    """Where another claim failed, the costly one is left alone, and says so."""
    looked: list[Statement] = []

    def look(statement: Statement, data: bytes) -> Opened:
        looked.append(statement)
        return by_reference(statement, data)

    bad = build_exact(receipt={"price": 1})
    verdict = judge(bad.bundle, bad.trust, checks=Checks(zk=look))
    found = {claim.code: claim.outcome for claim in verdict.claims}

    assert found["proof.verified"] is SKIP
    assert "proof.recorded" not in found
    assert looked == []
    good = valid_exact()
    assert judge(good.bundle, good.trust, checks=Checks(zk=look)).verified
    assert [each.beacon for each in looked] == [BEACON]


# --- parts in the wrong place --------------------------------------------------------------------------------------


def with_parts(case: Case) -> list[Case]:
    """A case with each part that belongs to the layer zkml alone."""
    part, told = valid_exact().bundle.exact, valid_exact().bundle.chain.exact
    return [
        changed(case, lambda bundle: replace(bundle, exact=part)),
        changed(case, lambda bundle: replace(bundle, chain=replace(bundle.chain, exact=told))),
    ]


@pytest.mark.parametrize("case", [valid(), build_attested()], ids=["signature", "tee"])
def test_parts_beside_other_layers(case: Case) -> None:
    """What belongs to the layer zkml stands beside no answer of another layer."""
    for each in with_parts(case):
        claims = judge(each.bundle, each.trust, TrustClass.SIMULATED).claims
        assert {claim.code for claim in claims if claim.outcome is FAIL} == {"evidence.layer"}


def test_without_its_parts() -> None:
    """An answer of the layer zkml without graph or record shows nothing, and says what is missing."""
    whole = valid_exact()
    for case in (
        changed(whole, lambda bundle: replace(bundle, exact=None)),
        changed(whole, lambda bundle: replace(bundle, chain=replace(bundle.chain, exact=None))),
    ):
        verdict = judged(case)
        codes = {claim.code for claim in verdict.claims if claim.outcome is FAIL}
        assert codes == {"evidence.layer", "registry.exact"}
        assert all("exact" not in each for each in verdict.not_checked)


def test_a_release_beside_it() -> None:
    """The code of an enclave stands beside no answer of the layer zkml."""
    whole = valid_exact(None)
    found = changed(whole, lambda bundle: replace(bundle, chain=replace(bundle.chain, release=bundle.chain.key)))

    assert "evidence.layer" in failed(found)


def test_a_record_that_cannot_be_read() -> None:
    """A record of an exact model that is none is malformed, as every record is."""
    whole = valid_exact(None)

    def spoil(bundle: Bundle) -> Bundle:
        assert bundle.chain.exact is not None
        shown = Exactly(Proved(b"\x80", bundle.chain.exact.record.proof), None)
        return replace(bundle, chain=replace(bundle.chain, exact=shown))

    assert "evidence.layer" in failed(changed(whole, spoil))


# --- salts and digests ---------------------------------------------------------------------------------------------


def test_digests_cover_the_salt() -> None:
    """What was given is covered with the salt where there is one, and as ever where there is none."""
    with_salt = given_of(exact.body(), None)
    plain = {name: each for name, each in exact.body().items() if name != "salt"}

    assert with_salt == {"inputs": exact.body()["inputs"], "salt": exact.body()["salt"]}
    assert given_of(plain, None) == plain["inputs"]
    assert given_of(exact.body(), "as it is") == "as it is"


def test_seeds_differ() -> None:
    """Two requests of one payer with one salt still have different seeds, and so have two salts."""
    found = {RUN.seed(KEY), RUN.seed(type(KEY)(bytes(32))), replace(RUN, salt=bytes(32)).seed(KEY)}

    assert len(found) == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 255))
def test_any_byte_changed(place: int, bits: int) -> None:
    """A bundle with one byte changed is refused when it is read, or does not verify; whatever it is."""
    data = bytearray(valid_exact(None).bundle.encode())
    data[place % len(data)] ^= bits
    try:
        found = decode_bundle(bytes(data))
    except Malformed:
        return
    assert found == valid_exact(None).bundle or not judge(found, valid_exact(None).trust).verified


def test_the_shown_exact_id() -> None:
    """The answer to the first question names model and exact model."""
    first = judged(valid_exact()).questions[0].sentence

    assert to_hex(EXACT.id) in first
    assert to_hex(exact.MODEL) in first


# --- no character unnoticed ----------------------------------------------------------------------------------------

PARTS: Final = (("exact",), ("evidence",), ("body",), ("response",), ("chain", "exact"))


def passes(data: bytes) -> bool:
    """True when the bytes verify. By the fast verifier: there are many, and it says what the reference one says."""
    try:
        verify(decode_bundle(data), valid_exact().trust, checks=Checks(zk=check.verify))
    except (Malformed, Unverified):
        return False
    return True


def mine(path: Path) -> bool:
    """Whether a place belongs to the layer zkml; the others are tried in test_every_character."""
    return any(path[: len(part)] == part for part in PARTS)


def test_every_leaf_matters() -> None:
    """No leaf of what belongs to the layer has a second spelling: changed in value or type, nothing verifies."""
    text, found = leaves(valid_exact().bundle.as_json())
    changes = [
        (leaf.path, (text[: leaf.start] + other + text[leaf.stop :]).encode())
        for leaf in found
        if mine(leaf.path)
        for other in respellings(leaf)
    ]

    assert passes(text.encode())
    assert len(changes) > 100
    assert [path for path, data in changes if passes(data)] == []


def test_every_member_matters() -> None:
    """A member or item removed, repeated, swapped with its neighbour or added: nothing verifies."""
    changes = [each for each in reshaped(valid_exact().bundle.as_json()) if mine(each[0])]

    assert len(changes) > 60
    assert [path for path, other in changes if passes(canonical(other))] == []
