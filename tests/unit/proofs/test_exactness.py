"""What a bundle of the layer zkml claims: what holds of a true one, what is left to trust, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import exact
from tests.support.build import PAYER, STRANGER, Case, build_attested, valid
from tests.support.exact import (
    BEACON,
    DUE,
    ENTRIES,
    EXACT,
    FAST,
    GRAPH,
    KEY,
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
from tests.support.mutate import Path, leaves, reshaped, respellings, swapped
from tests.support.strategies import json_values

from paraph.core.encode import Json, JsonObject, canonical
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import to_hex
from paraph.proofs import exactness
from paraph.proofs.bundle import Bundle, Exactly, Proved, decode_bundle
from paraph.proofs.check import given_of, judge, verify
from paraph.proofs.promised import Promise
from paraph.proofs.proven import ExactPart, batch_proof_from_json
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.records import exact_key, proven_key
from paraph.proofs.verdict import Outcome, Verdict, render
from paraph.proofs.zk.statement import Mode, Statement
from paraph.proofs.zk.verify import Opened
from paraph.proofs.zk.verify import verify as by_reference

FAIL, PASS, SKIP = Outcome.FAIL, Outcome.PASS, Outcome.SKIP


def judged(case: Case) -> Verdict:
    """The verdict on a case."""
    return judge(case.bundle, case.trust)


def outcomes(case: Case) -> dict[str, Outcome]:
    """How each claim came out."""
    return {claim.code: claim.outcome for claim in judged(case).claims}


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
    verdict = judged(unshown(valid_exact()))
    shown = {claim.code: claim.outcome for claim in verdict.claims}

    assert (shown["proof.verified"], shown["proof.recorded"]) == (SKIP, PASS)
    assert [each.outcome for each in verdict.questions] == [PASS, SKIP, SKIP, PASS]


ALWAYS: Final = (
    "that the weights committed to are the published ones: `paraph model recheck` commits to them anew",
    "that the exact model is as good as the one it was made from: its card holds a certificate of how close it is",
    "when it ran, and how long it took: times are the node's own word",
)
SHOWN: Final = (
    "that the proof system is sound, and hides what it should: nobody has audited it",
    "that the block in the proof's statement came after the request: only the ledger looks at that",
)
PUBLIC: Final = "who can learn of the input: parts of it can be learnt from a succinct proof, which is public"
PROMISED: Final = f"that the node's machine ran this model: the proof is promised by block {DUE}, and not in this file"


SUCCINCT: Final = Told(Mode.SUCCINCT)


@pytest.mark.parametrize(
    ("make", "lines"),
    [
        (lambda: valid_exact(None), (PROMISED, *ALWAYS)),
        (lambda: unshown(valid_exact()), (PROMISED, *ALWAYS)),
        (lambda: build_exact(proven=None), (*SHOWN, *ALWAYS)),
        (valid_exact, (*SHOWN, *ALWAYS)),
        (lambda: build_exact(SUCCINCT, proven=None), (*SHOWN, PUBLIC, *ALWAYS)),
        (lambda: valid_exact(SUCCINCT), (*SHOWN, PUBLIC, *ALWAYS)),
    ],
    ids=["promised", "taken and not shown", "hiding", "hiding and taken", "succinct", "succinct and taken"],
)
def test_what_is_left_to_trust(make: Callable[[], Case], lines: tuple[str, ...]) -> None:
    """In each state the file says what it does not show, neither more nor less."""
    case = make()

    assert tuple(exactness.not_checked(case.bundle)) == lines
    assert judged(case).not_checked[: len(lines)] == lines


def test_questions_of_a_false_answer() -> None:
    """Where a claim failed no question is answered, and each names the claim."""
    verdict = judged(build_exact(Told(prover=STRANGER.address)))

    assert [each.outcome for each in verdict.questions] == [FAIL] * 4
    assert all(each.sentence.endswith("Not shown: proof.verified") for each in verdict.questions)


def test_one_request_alone() -> None:
    """How many requests a proof is about is told."""
    two = next(claim.sentence for claim in judged(valid_exact()).claims if claim.code == "proof.verified")

    assert two.endswith("2 requests, this one among them")
    assert exactness._proved(replace(proof(), entries=ENTRIES[1:], index=0)).endswith("this request alone")


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

    assert failed(found) == {"evidence.layer"}


def test_a_record_that_cannot_be_read() -> None:
    """A record of an exact model that is none is told as such, as every record is."""
    whole = valid_exact(None)

    def spoil(bundle: Bundle) -> Bundle:
        assert bundle.chain.exact is not None
        shown = Exactly(Proved(b"\x80", bundle.chain.exact.record.proof), None)
        return replace(bundle, chain=replace(bundle.chain, exact=shown))

    assert failed(changed(whole, spoil)) == {"evidence.layer", "registry.records"}


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


VALUES: Final = json_values | st.sampled_from([*exact.body().values(), *exact.response().values()])


def with_others(whole: JsonObject) -> st.SearchStrategy[JsonObject]:
    """An object with some of its members replaced by anything, or left out."""
    others = st.dictionaries(st.sampled_from([*whole, "more"]), VALUES, max_size=2)
    return st.builds(
        lambda change, lacking: {name: each for name, each in {**whole, **change}.items() if name not in lacking},
        others,
        st.sets(st.sampled_from([*whole]), max_size=1),
    )


TRUE: Final = Promise(RUN.commitment, DUE).as_json()


@settings(max_examples=120, deadline=None)
@given(
    with_others(exact.body()),
    with_others(exact.response()),
    with_others(TRUE),
    st.sampled_from([RECORD.encode(), b""]) | st.binary(max_size=100),
    st.sampled_from([record_of().encode(), b""]) | st.binary(max_size=100),
)
def test_whatever_a_liar_signs(
    body: JsonObject, response: JsonObject, evidence: JsonObject, record: bytes, proven: bytes
) -> None:
    """Bodies, responses, promises and records of any form, signed and proved: a verdict, and none too kind."""
    proofs = {exact_key(exact.MODEL): record, proven_key(PAYER.address, KEY): proven}
    case = build_exact(body=body, response=response, evidence=evidence, proofs=proofs)
    verdict = judge(case.bundle, case.trust, checks=FAST)

    assert len(verdict.questions) == 4
    if canonical(evidence) != canonical(TRUE) or record != RECORD.encode() or proven != record_of().encode():
        assert not verdict.verified


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*proof().as_json()]), VALUES | st.sampled_from([*proof(Told(Mode.SUCCINCT)).as_json().values()])
)
def test_whatever_a_proof_is_said_to_be(member: str, value: Json) -> None:
    """A proof with one member that is anything is refused when it is read, or does not hold."""
    shown = {**proof().as_json(), member: value}
    try:
        found = batch_proof_from_json(shown)
    except Malformed:
        return
    case = changed(valid_exact(), lambda bundle: replace(bundle, exact=ExactPart(GRAPH, found)))
    assert judge(case.bundle, case.trust, checks=FAST).verified == (found == proof())


def test_the_shown_exact_id() -> None:
    """The answer to the first question names model and exact model."""
    first = judged(valid_exact()).questions[0].sentence

    assert to_hex(EXACT.id) in first
    assert to_hex(exact.MODEL) in first


# --- no character unnoticed ----------------------------------------------------------------------------------------

PARTS: Final = (("exact",), ("evidence",), ("body",), ("response",), ("chain", "exact"))


def passes(data: bytes) -> bool:
    """True when the bytes verify."""
    try:
        verify(decode_bundle(data), valid_exact().trust, checks=FAST)
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


def test_hashes_have_one_place() -> None:
    """Two hashes, keys, commitments or salts of the layer's parts in each other's place: nothing verifies."""
    text, found = leaves(valid_exact().bundle.as_json())
    pairs = [each for each in swapped(text, found, 66) if mine(each[0]) and mine(each[1])]

    assert len(pairs) > 100
    assert [(one, other) for one, other, data in pairs if passes(data.encode())] == []
