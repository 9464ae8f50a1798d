"""The check: each numbered step fails alone when what it looks at is false and everything else is true and signed."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from tests.support.build import (
    BATCH,
    CHAIN_ID,
    HEIGHT,
    KINDS,
    NOW_S,
    OWNER,
    PRODUCER,
    SEALS,
    STRANGER,
    Case,
    Kind,
    SealKind,
    body_of,
    build,
    light_block,
    profile_of,
    resealed,
    response_of,
    valid,
)

from paraph.core.amount import Wei
from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import Malformed, Unverified
from paraph.core.tensor import Tensor
from paraph.proofs.bundle import Proved
from paraph.proofs.check import given_of, judge, units, verify
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Outcome

LIE = sha256(b"lie")
ROOT = valid().tree.root


def codes(case: Case) -> list[str]:
    """The claims that failed."""
    return [code for code, _ in judge(case.bundle, case.trust).reasons]


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("kind", KINDS)
def test_truth_passes(kind: Kind, seal: SealKind) -> None:
    """An honest settled answer passes every claim; unsettled, only the settlement is skipped."""
    settled, unsettled = (valid(kind, settled=each, seal=seal) for each in (True, False))

    assert verify(settled.bundle, settled.trust).thing is settled.bundle
    assert {claim.outcome for claim in judge(settled.bundle, settled.trust).claims} == {Outcome.PASS}
    skipped = [claim.code for claim in judge(unsettled.bundle, unsettled.trust).claims if claim.outcome is Outcome.SKIP]
    assert skipped == ["settlement.batch"]
    assert verify(unsettled.bundle, unsettled.trust).verdict.verified


def replaced(case: Case, part: str, **changes: object) -> Case:
    """The case with members of one part of its chain changed, unsigned and unproved."""
    chain = case.bundle.chain
    found = replace(chain, **{part: replace(getattr(chain, part), **changes)})
    return replace(case, bundle=replace(case.bundle, chain=found))


LIES: list[tuple[str, Callable[[], Case], list[str]]] = [
    # 1
    ("another key signs the request", lambda: build(payer=STRANGER), ["request.signature"]),
    ("another payer is named", lambda: build(request={"payer": STRANGER.address}), ["request.signature"]),
    # 2
    ("another body is signed", lambda: build(request={"body_digest": LIE}), ["request.body"]),
    # 3
    ("another request is named", lambda: build(receipt={"request_hash": LIE}), ["receipt.request"]),
    ("another key is named", lambda: build(receipt={"request_key": LIE}), ["receipt.request"]),
    ("above the cap", lambda: build(request={"max_price": Wei(1)}), ["receipt.request"]),
    ("begun too late", lambda: build(request={"deadline": NOW_S - 1}), ["receipt.request"]),
    ("ended before begun", lambda: build(receipt={"ended_ms": NOW_S * 1000 - 1}), ["receipt.request"]),
    ("another payer answered", lambda: build(receipt={"payer": STRANGER.address}), ["receipt.request"]),
    # 4
    ("another key signs the receipt", lambda: build(hot=STRANGER), ["receipt.signature"]),
    # 5
    ("another given", lambda: build(receipt={"given_digest": LIE}), ["receipt.digests"]),
    ("another response", lambda: build(receipt={"response_digest": LIE}), ["receipt.digests"]),
    ("another profile", lambda: build(receipt={"profile_digest": LIE}), ["receipt.digests"]),
    ("another evidence", lambda: build(receipt={"evidence_digest": LIE}), ["receipt.digests"]),
    ("outside data unseen", lambda: build(receipt={"sources_root": LIE}), ["receipt.digests"]),
    # 6
    ("evidence of no layer", lambda: build(evidence={}), ["evidence.layer"]),
    ("evidence of another layer", lambda: build(evidence={"layer": "tee"}), ["evidence.layer"]),
    ("evidence with more", lambda: build(evidence={"layer": "signature", "x": 1}), ["evidence.layer"]),
    (
        "tee without an enclave",
        lambda: build(request={"layer": Layer.TEE}, model={"layers": 7}),
        ["evidence.layer", "registry.records"],
    ),
    (
        "zk unchecked",
        lambda: build(request={"layer": Layer.ZK}, model={"layers": 7}),
        ["evidence.layer", "registry.exact"],
    ),
    # 7
    ("another model in the body", lambda: build(body={**body_of("text"), "model": "0x00"}), ["response.form"]),
    ("another kind of answer", lambda: build(body={**body_of("text"), "kind": "infer"}), ["response.form"]),
    # 8
    ("too dear", lambda: build(receipt={"price": Wei(1_018_000_000_000_001)}), ["registry.price"]),
    ("too cheap", lambda: build(receipt={"price": Wei(0)}), ["registry.price"]),
    ("more units in", lambda: build(receipt={"input_units": 5}), ["registry.price"]),
    ("fewer units out", lambda: build(receipt={"output_units": 1}), ["registry.price"]),
    # 9
    ("another genesis", lambda: build(header={"genesis": LIE}), ["chain.seal"]),
    ("another chain", lambda: build(header={"chain_id": CHAIN_ID + 1}), ["chain.seal"]),
    ("another producer", lambda: build(producer=STRANGER), ["chain.seal"]),
    ("a producer not pinned", lambda: build(trust={"producers": (STRANGER.address,)}), ["chain.seal"]),
    ("a network not pinned", lambda: build(trust={"genesis": LIE}), ["chain.seal"]),
    ("too few votes", lambda: resealed(valid(seal="validators"), light_block(ROOT, signers=("ann",))), ["chain.seal"]),
    (
        "validators that name another state",
        lambda: resealed(valid(seal="validators"), light_block(LIE)),
        ["registry.key", "registry.model", "registry.price", "settlement.batch"],
    ),
    # 10
    ("the key is another node's", lambda: build(node_key={"node": OWNER.address}), ["registry.key"]),
    ("the key is too new", lambda: build(node_key={"height_first": HEIGHT - 1}), ["registry.key"]),
    ("the key is too old", lambda: build(node_key={"height_last": HEIGHT - 3}), ["registry.key"]),
    ("a height to come", lambda: build(receipt={"height": HEIGHT + 1}), ["registry.key"]),
    ("a layer not offered", lambda: build(model={"layers": 0b110}), ["registry.model"]),
    ("another price version", lambda: build(receipt={"price_version": 2}), ["registry.price"]),
    (
        "another state",
        lambda: build(header={"state_root": LIE}),
        ["registry.key", "registry.model", "registry.price", "settlement.batch"],
    ),
    (
        "an unreadable key",
        lambda: replaced(build(), "key", value=b"\xff"),
        ["registry.records"],
    ),
    (
        "an unreadable model",
        lambda: replaced(build(), "model", value=b""),
        ["registry.records"],
    ),
    (
        "an unreadable price",
        lambda: replaced(build(), "price", value=b"\xc0"),
        ["registry.records"],
    ),
    # 11
    ("another batch", lambda: replaced(build(), "settled", batch=BATCH + 1), ["settlement.batch"]),
    ("a batch beyond all", lambda: replaced(build(), "settled", batch=2**53 - 1), ["settlement.batch"]),
    ("another place", lambda: replaced(build(), "settled", index=2), ["settlement.batch"]),
    ("a place outside", lambda: replaced(build(), "settled", index=3), ["settlement.batch"]),
    ("no path", lambda: replaced(build(), "settled", path=()), ["settlement.batch"]),
    (
        "an unreadable batch",
        lambda: replaced(build(), "settled", record=Proved(b"\xff", build().bundle.chain.key.proof)),
        ["settlement.batch"],
    ),
    (
        "another record as the batch",
        lambda: replaced(build(), "settled", record=build().bundle.chain.key),
        ["settlement.batch"],
    ),
]


@pytest.mark.parametrize(("lie", "expected"), [each[1:] for each in LIES], ids=[each[0] for each in LIES])
def test_each_lie_fails_its_own_step(lie: Callable[[], Case], expected: list[str]) -> None:
    """One thing is false, and signed by those who lie: the step that looks at it fails, and no other."""
    case = lie()

    assert codes(case) == expected
    with pytest.raises(Unverified) as caught:
        verify(case.bundle, case.trust)
    assert [code for code, _ in caught.value.reasons] == expected


def test_pinned_chain_is_everywhere() -> None:
    """Under another pinned chain id, neither signature nor the header counts."""
    case = build(trust={"chain_id": CHAIN_ID + 1})

    assert codes(case) == ["request.signature", "receipt.signature", "chain.seal"]


def test_request_names_its_chain() -> None:
    """A request that says another chain fails even where its signature would fit."""
    case = valid()
    other = replace(case.bundle.request, chain_id=CHAIN_ID + 1)

    assert codes(replace(case, bundle=replace(case.bundle, request=other))) == ["request.signature"]


def test_any_pinned_producer_will_do() -> None:
    """With several producers pinned, one signature is enough."""
    assert codes(build(trust={"producers": (STRANGER.address, PRODUCER.address)})) == []


def test_batch_of_another_bundle_does_not_settle() -> None:
    """A settlement of another receipt does not settle this one."""
    case, other = valid("text"), build("text", receipt={"ended_ms": NOW_S * 1000 + 251})
    chain = replace(case.bundle.chain, settled=other.bundle.chain.settled)

    assert codes(replace(case, bundle=replace(case.bundle, chain=chain))) == ["settlement.batch"]


def test_key_is_valid_to_its_last_height() -> None:
    """A key retired just after the receipt's height still counts; so does a receipt of the header's own height."""
    assert codes(build(node_key={"height_last": HEIGHT - 2})) == []
    assert codes(build(receipt={"height": HEIGHT})) == []
    assert codes(build(receipt={"height": HEIGHT}, seal="validators")) == []
    assert codes(build(receipt={"height": HEIGHT + 1}, seal="validators")) == ["registry.key"]


# --- what is said ------------------------------------------------------------------------------------------------


def test_questions_of_a_true_answer() -> None:
    """Signed words show which model and an unaltered output, and say so; the other two stay open."""
    case = valid()
    questions = {each.code: each.outcome for each in judge(case.bundle, case.trust).questions}

    assert questions == {
        "which_model": Outcome.PASS,
        "modified": Outcome.SKIP,
        "processed": Outcome.SKIP,
        "altered": Outcome.PASS,
    }


@pytest.mark.parametrize("lie", [each[1] for each in LIES], ids=[each[0] for each in LIES])
def test_no_question_is_answered_after_a_failure(lie: Callable[[], Case]) -> None:
    """When any claim failed, every question fails and names it."""
    case = lie()
    verdict = judge(case.bundle, case.trust)

    assert {each.outcome for each in verdict.questions} == {Outcome.FAIL}
    assert all(code in each.sentence for each in verdict.questions for code, _ in verdict.reasons)


EMBEDDINGS: Mapping[str, Json] = {"kind": "embeddings", "inputs": ["one", "two"]}
VECTORS: Mapping[str, Json] = {
    "kind": "embeddings",
    "embeddings": [Tensor(f"embedding-{each}", "FP32", (1,), bytes(4)).as_json() for each in (0, 1)],
    "usage": {"input_tokens": 3, "output_tokens": 0},
}


def without_ids(*ways: str) -> Case:
    """An answer of an engine that shows no token ids."""
    given = {"text": "x", "token_ids": None} if "in" in ways else "as usual"
    response = response_of("text")
    return build(given=given, response={**response, "token_ids": None} if "out" in ways else response)


def cancelled() -> Case:
    """An answer that was cut short."""
    return build(response={**response_of("text"), "finish_reason": "cancelled"})


@pytest.mark.parametrize(
    ("case", "word", "said"),
    [
        (lambda: build("text"), "chat template", True),
        (lambda: build("tensor"), "chat template", False),
        (lambda: build("text"), "computed again", False),
        (lambda: build("text", profile=replace(profile_of("text"), bit_exact="no")), "computed again", True),
        (lambda: build("text", settled=False), "settlement", True),
        (lambda: build("text"), "settlement", False),
        (lambda: build("text"), "development network", True),
        (lambda: build("text", trust={"devnet": False}), "development network", False),
        (lambda: build("text"), "what computed", True),
        (lambda: build("text"), "second chain", True),
        (lambda: build("text", seal="validators"), "second chain", False),
        (lambda: build("text", seal="validators"), "less than 14 days", True),
        (lambda: build("text"), "sell their keys", False),
        (lambda: build("text"), "tokenizer", True),
        (lambda: build("text"), "how many tokens", False),
        (lambda: build("tensor"), "tokenizer", False),
        (lambda: build("tensor"), "how many tokens", False),
        (lambda: without_ids("in", "out"), "tokens went in and out", True),
        (lambda: without_ids("in", "out"), "tokenizer", False),
        (lambda: without_ids("in"), "tokens went in:", True),
        (lambda: without_ids("out"), "tokens went out:", True),
        (lambda: without_ids("out"), "tokenizer", True),
        (cancelled, "tokens went out:", True),
        (lambda: build("text", body=EMBEDDINGS, given=None, response=VECTORS), "tokens went in:", True),
    ],
    ids=range(24),
)
def test_what_is_not_checked_is_said(case: Callable[[], Case], word: str, said: bool) -> None:
    """A verdict names what it leaves to trust, and only that."""
    made = case()
    verdict = judge(made.bundle, made.trust)

    assert verdict.verified
    assert any(word in sentence for sentence in verdict.not_checked) == said


# --- units -------------------------------------------------------------------------------------------------------


def tensors(*shapes: Json) -> list[Json]:
    return [{"shape": shape} for shape in shapes]


@pytest.mark.parametrize(
    ("body", "response", "expected"),
    [
        (body_of("text"), response_of("text"), (4, 2)),
        (body_of("tensor"), response_of("tensor"), (2, 2)),
        ({"inputs": tensors([])}, {"kind": "tensors", "outputs": tensors([7, 9], [1])}, (1, 7)),
        ({"inputs": tensors([0])}, {"kind": "tensors", "outputs": tensors([0, 5])}, (0, 0)),
        (
            {"inputs": ["a"]},
            {"kind": "embeddings", "usage": {"input_tokens": 3, "output_tokens": 0}},
            (3, 0),
        ),
    ],
    ids=range(5),
)
def test_units_are_counted(body: Mapping[str, Json], response: Mapping[str, Json], expected: tuple[int, int]) -> None:
    """Tokens of texts and embeddings, leading dimensions of tensors; a scalar is one row."""
    assert units(body, response) == expected


ROWS: list[Json] = [None, True, 1, "7", {}, {"shape": None}, {"shape": 7}, {"shape": "7"}, {"shape": {}}]
ROWS += [{"shape": [each]} for each in (None, True, 1.0, "1", -1, [1])] + [{"shape": [1] * 17}]


@pytest.mark.parametrize("tensor", ROWS, ids=range(len(ROWS)))
def test_strange_rows_are_refused(tensor: Json) -> None:
    """A tensor without a shape, or with one that is no list of sizes, has no rows: refused, with no stumble."""
    good = tensors([1])
    for inputs, outputs in (([tensor], good), (good, [tensor])):
        with pytest.raises(Malformed) as caught:
            units({"inputs": inputs}, {"kind": "tensors", "outputs": outputs})
        assert caught.value.code in ("response.units", "json.shape")


COUNTS: list[Mapping[str, Json]] = [
    {},
    {"kind": "text"},
    {"kind": "tensors"},
    {"kind": "tensors", "outputs": []},
    {"kind": "tensors", "outputs": {}},
    {"kind": "tensors", "outputs": None},
    {"kind": "text", "usage": None},
    {"kind": "text", "usage": []},
    {"kind": "text", "usage": "input_tokens"},
    {"kind": "text", "usage": {"input_tokens": 1}},
    {"kind": "text", "usage": {"input_tokens": 1, "output_tokens": -1}},
    {"kind": "text", "usage": {"input_tokens": True, "output_tokens": 1}},
    {"kind": "text", "usage": {"input_tokens": 1.0, "output_tokens": 1}},
    {"kind": "text", "usage": {"input_tokens": "1", "output_tokens": 1}},
    {"kind": [], "usage": None},
]


@pytest.mark.parametrize("response", COUNTS, ids=range(len(COUNTS)))
def test_strange_counts_are_refused(response: Mapping[str, Json]) -> None:
    """A response that does not say its units, or says them in no whole numbers, is refused, with no stumble."""
    with pytest.raises(Malformed):
        units({"inputs": tensors([1])}, response)


@pytest.mark.parametrize("usage", [None, {"input_tokens": -1, "output_tokens": 0}])
def test_strange_counts_fail_a_bundle(usage: Json) -> None:
    """In a bundle, units that cannot be counted fail its form, and no price is judged."""
    case = valid()
    answer = replace(case.bundle.answer, response={**response_of("text"), "usage": usage})

    other = replace(case, bundle=replace(case.bundle, answer=answer))

    assert codes(other) == ["receipt.digests", "response.form"]
    assert "registry.price" not in {claim.code for claim in judge(other.bundle, other.trust).claims}


def test_given_of_tensors_is_in_the_body() -> None:
    """What a tensor model was given are the inputs of the body; what a text model was given is shown."""
    body = body_of("tensor")

    assert given_of(body, None) == body["inputs"]
    assert given_of(body, {"text": "x"}) == {"text": "x"}
    assert given_of(body_of("text"), None) is None
