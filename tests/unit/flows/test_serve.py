"""Serving: what is admitted, what a quote says, and that a receipt is made of the very values that are delivered."""

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account as EthAccount
from tests.sim.market import TENSOR_ID, Hands, Market, chat_body, price_of, rows_body
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID, HOT, OPERATOR

from paraph.adapters.fakes.engines import FAKE_PROFILE
from paraph.core.amount import Wei
from paraph.core.errors import BrokenTruth, Malformed, ParaphError, Rejected
from paraph.core.ident import Address, RequestKey, to_hex
from paraph.core.limits import REQUEST_LIFETIME_S_MAX
from paraph.core.tensor import Tensor
from paraph.flows import serve
from paraph.flows.buy import price_cap
from paraph.flows.ports import Finish, Given, Piece
from paraph.flows.registry import offer
from paraph.flows.serve import TextAnswer, merge_tool_calls
from paraph.ledger.rooms.escrow.types import Account
from paraph.proofs.promised import Promise
from paraph.proofs.request import Layer, Request, SignedRequest, request_from_json
from paraph.proofs.zk.statement import commitment

MARKET = Market()
NOW_S = MARKET.clock.now_ms() // 1000
BODY = chat_body()


def admit(signed: SignedRequest, now_s: int = NOW_S, body: Any = BODY) -> None:
    serve.admit(MARKET.identity, signed, body, now_s)


def test_good_request_is_admitted_to_its_last_second() -> None:
    """A request is admitted until its deadline, and with the longest life there is."""
    admit(MARKET.sign(BODY, deadline=NOW_S))
    admit(MARKET.sign(BODY, deadline=NOW_S + REQUEST_LIFETIME_S_MAX))


HIGH_S = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def high_s(signed: SignedRequest) -> SignedRequest:
    """The other, equally valid half of the signature, which is refused."""
    s = HIGH_S - int.from_bytes(signed.signature[32:64], "big")
    signature = signed.signature[:32] + s.to_bytes(32, "big") + bytes([55 - signed.signature[64]])
    return SignedRequest(signed.chain_id, signed.request, signature)


WRONG = {
    "other chain": (MARKET.sign(BODY, chain_id=1), "request.chain_id"),
    "other node": (MARKET.sign(BODY, node=BOB.address), "request.node"),
    "expired": (MARKET.sign(BODY, deadline=NOW_S - 1), "request.expired"),
    "far deadline": (MARKET.sign(BODY, deadline=NOW_S + REQUEST_LIFETIME_S_MAX + 1), "request.deadline"),
    "layer": (MARKET.sign(BODY, layer=Layer.TEE), "request.layer"),
    "body": (MARKET.sign(chat_body("another")), "request.body"),
    "model": (MARKET.sign(BODY, model_id=bytes(32)), "request.model"),
    "signer": (MARKET.sign(BODY, signer=BOB), "request.signature"),
    "payer": (MARKET.sign(BODY, payer=BOB), "request.signature"),
    "high s": (high_s(MARKET.sign(BODY)), "request.signature"),
    "short": (SignedRequest(CHAIN_ID, MARKET.request(BODY), b"short"), "request.signature"),
}


@pytest.mark.parametrize(("signed", "code"), WRONG.values(), ids=WRONG.keys())
def test_requests_that_are_not_in_order(signed: SignedRequest, code: str) -> None:
    """Each thing that may be wrong with a signed request has its code."""
    with pytest.raises(Rejected) as caught:
        admit(signed)

    assert caught.value.code == code


def test_price_is_admitted_up_to_cap_and_escrow() -> None:
    """The most that work can cost must be within the cap, and with what is promised within the escrow."""
    signed = MARKET.sign(BODY, max_price=Wei(100))

    serve.admit_price(signed, 100, Account(250, 0, 0), 150)
    for most, available, promised, code in ((101, 999, 0, "request.cap"), (100, 249, 150, "escrow.empty")):
        with pytest.raises(Rejected) as caught:
            serve.admit_price(signed, most, Account(available, 10**9, 0), promised)
        assert caught.value.code == code


def test_quote_is_signed_by_a_stock_wallet() -> None:
    """The quoted EIP-712 document, with key and payer filled in, is signed by eth-account as it is, and admitted."""
    found = Hands(MARKET).run(offer(MARKET.ledger.trust, bytes.fromhex(str(BODY["model"])[2:])))  # type: ignore[arg-type]
    quote: dict[str, Any] = serve.quote(MARKET.identity, found, BODY, price_cap(found, BODY), NOW_S)
    document = quote["sign"]
    document["message"] |= {"key": "0x" + "07" * 32, "payer": to_hex(ALICE.address)}

    wallet = EthAccount.from_key(ALICE.dangerous_secret())
    signature = wallet.sign_typed_data(full_message=document).signature

    said = document["message"]
    signed = request_from_json(
        {
            "chain_id": document["domain"]["chainId"],
            "key": said["key"],
            "payer": said["payer"],
            "node": said["node"],
            "model_id": said["modelId"],
            "body_digest": said["bodyDigest"],
            "layer": said["layer"],
            "max_price": said["maxPrice"],
            "deadline": said["deadline"],
            "signature": to_hex(signature),
        }
    )
    admit(signed, body=quote["body"])
    assert set(document["types"]) == {"EIP712Domain", "Request"}
    assert list(document["types"]["Request"]) == [
        {"name": field, "type": kind}
        for field, kind in zip(
            ("key", "payer", "node", "modelId", "bodyDigest", "layer", "maxPrice", "deadline"),
            ("bytes32", "address", "address", "bytes32", "bytes32", "uint8", "uint256", "uint64"),
            strict=True,
        )
    ]


def test_answer_gathers_pieces() -> None:
    """Pieces add up to the response; each is a chunk; what was given and the end are none."""
    gathered = TextAnswer(MARKET.request(BODY).hash())
    call: dict[str, Any] = {"index": 1, "id": "c", "function": {"name": "look", "arguments": '{"a"'}}
    odd: dict[str, Any] = {"function": 7, "index": "x"}
    more: dict[str, Any] = {"index": 1, "function": {"arguments": ":1}"}}

    chunks = [
        gathered.take(event)
        for event in (
            Given("hi", (1, 2)),
            Piece("a", (3,), ({"token": "a"},), (call,)),
            Piece("b", (), (), (more, odd)),
            Finish("stop", 2, 2),
        )
    ]

    assert [chunk is not None for chunk in chunks] == [False, True, True, False]
    assert gathered.given_json() == {"text": "hi", "token_ids": [1, 2]}
    assert gathered.output_tokens == 2
    assert gathered.response() == {
        "kind": "text",
        "text": "ab",
        "token_ids": [3],
        "logprobs": [{"token": "a"}],
        "tool_calls": [
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
            {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}},
        ],
        "finish_reason": "stop",
        "usage": {"input_tokens": 2, "output_tokens": 2},
    }


def test_cut_answer_ends_once() -> None:
    """An answer that is cut short counts what was generated; one that has ended keeps its end."""
    gathered = TextAnswer(MARKET.request(BODY).hash())
    gathered.take(Piece("a", (1, 2)))
    gathered.stop("cancelled", 7)
    gathered.stop("cancelled again", 9)

    assert gathered.finish == Finish("cancelled", 7, 2)
    assert gathered.given_json() == {"text": "", "token_ids": None}
    assert merge_tool_calls([]) == []


def test_no_response_before_the_end() -> None:
    """A response is made after its end, or the fault is ours."""
    with pytest.raises(BrokenTruth):
        TextAnswer(MARKET.request(BODY).hash()).response()


def test_other_responses() -> None:
    """Tensors and embeddings are responses of exact bytes."""
    tensor = Tensor("y", "FP32", (1,), bytes(4))

    assert serve.tensor_response((tensor,)) == {"kind": "tensors", "outputs": [tensor.as_json()]}
    assert serve.embedding_response((tensor,), 3)["usage"] == {"input_tokens": 3, "output_tokens": 0}


def test_receipt_of_what_no_request_covers_is_never_signed() -> None:
    """A node signs no receipt above the request's cap."""
    found = Hands(MARKET).run(offer(MARKET.ledger.trust, bytes.fromhex(str(BODY["model"])[2:])))  # type: ignore[arg-type]
    gathered = TextAnswer(MARKET.request(BODY).hash())
    gathered.stop("stop", 0)
    work = serve.Work(MARKET.identity, BODY, gathered.given_json(), gathered.response(), FAKE_PROFILE, None, 1, 5, 4)
    request = Request(
        RequestKey(bytes(32)),
        ALICE.address,
        Address(OPERATOR.address),
        found.model_id,
        MARKET.request(BODY).body_digest,
        Layer.SIGNATURE,
        Wei(price_of(0, 0) - 1),
        NOW_S,
    )

    with pytest.raises(BrokenTruth):
        serve.receipt(SignedRequest(CHAIN_ID, request, bytes(65)), found, work)
    assert MARKET.identity.key is HOT


# --- answers that are to be proven -------------------------------------------------------------------------------

PROVING = replace(MARKET.identity, provable=frozenset({TENSOR_ID}))
SALT = to_hex(bytes(range(32)))
ROW = Tensor("input", "INT8", (1, 4), bytes((1, 2, 255, 4)))
OUTPUT = Tensor("output", "INT32", (1, 2), bytes((7, 0, 0, 0, 254, 255, 255, 255)))


def salted(*inputs: Tensor, salt: Any = SALT) -> dict[str, Any]:
    """The body of a tensor request whose answer is to be proven."""
    listed = [each.as_json() for each in inputs or (ROW,)]
    return {"kind": "infer", "model": to_hex(TENSOR_ID), "inputs": listed, "outputs": [], "salt": salt}


@pytest.mark.parametrize(
    ("identity", "body", "layer", "code"),
    [
        (PROVING, salted(), Layer.ZK, None),
        (PROVING, rows_body(), Layer.SIGNATURE, None),
        (PROVING, rows_body(), Layer.ZK, "request.salt"),
        (PROVING, salted(), Layer.SIGNATURE, "request.salt"),
        (MARKET.identity, salted(), Layer.ZK, "request.layer"),
        (PROVING, {**BODY, "salt": SALT}, Layer.ZK, "request.layer"),
    ],
)
def test_a_salt_goes_with_a_proof(identity: serve.Identity, body: Any, layer: Layer, code: str | None) -> None:
    """The layer `zk` is served for models that can be proven, and a body has a salt with that layer and no other."""
    signed = MARKET.sign(body, layer=layer)
    try:
        serve.admit(identity, signed, body, NOW_S)
    except Rejected as error:
        found: str | None = error.code
    else:
        found = None

    assert found == code


def test_quote_proposes_the_layer_that_the_body_is_for() -> None:
    """With a salt the layer `zk` is proposed, without one the strongest other; where nothing is proven, nothing is."""
    enclaved = replace(PROVING, enclave=serve.Signer(HOT, {}, 9))
    found = Hands(MARKET).run(offer(MARKET.ledger.trust, TENSOR_ID))

    def layer(identity: serve.Identity, body: Any) -> Any:
        quote: Any = serve.quote(identity, found, body, Wei(9), NOW_S)
        return quote["sign"]["message"]["layer"]

    assert layer(PROVING, salted()) == layer(enclaved, salted()) == Layer.ZK
    assert layer(PROVING, rows_body()) == Layer.SIGNATURE
    assert layer(enclaved, rows_body()) == Layer.TEE
    with pytest.raises(Rejected) as caught:
        layer(MARKET.identity, salted())
    assert caught.value.code == "request.salt"


def test_what_a_proof_hides() -> None:
    """The promise commits to salt, input and output; any other of them is another commitment."""
    asked = serve.hidden(salted())
    promise = serve.promise(asked, OUTPUT, 77)

    assert promise == Promise(commitment(bytes(range(32)), ROW.data, OUTPUT.data), 77)
    assert serve.proven_response((OUTPUT,), salted()) == {
        "kind": "tensors",
        "outputs": [OUTPUT.as_json()],
        "salt": SALT,
    }
    others = (
        serve.promise(serve.Hidden(bytes(32), asked.inputs), OUTPUT, 77),
        serve.promise(serve.Hidden(asked.salt, bytes(4)), OUTPUT, 77),
        serve.promise(asked, Tensor("output", "INT32", (1, 2), bytes(8)), 77),
    )
    assert len({promise.commitment, *(each.commitment for each in others)}) == 4


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (salted(Tensor("input", "INT8", (2, 4), bytes(8))), Malformed, "exact.request"),
        (salted(Tensor("input", "INT8", (0, 4), b"")), Malformed, "exact.request"),
        (salted(ROW, Tensor("more", "INT8", (1, 4), bytes(4))), Malformed, "exact.request"),
        (salted(salt=SALT[:-2]), Malformed, "ident.hex"),
        (salted(salt=7), Malformed, "ident.hex"),
    ],
)
def test_what_cannot_be_proven_alone(body: Any, kind: type[ParaphError], code: str) -> None:
    """More than one row or input, or what is no salt, is refused before any work."""
    with pytest.raises(kind) as caught:
        serve.hidden(body)

    assert caught.value.code == code


def proven_work(promise: Promise | None) -> serve.Work:
    """Work for a body that asks for a proof."""
    response = serve.proven_response((OUTPUT,), salted())
    return serve.Work(PROVING, salted(), None, response, FAKE_PROFILE, None, 1, 5, 6, promise)


def test_receipt_of_a_promise() -> None:
    """A receipt of the layer `zk` is signed by the hot key; its evidence is the promise."""
    found = Hands(MARKET).run(offer(MARKET.ledger.trust, TENSOR_ID))
    promise = serve.promise(serve.hidden(salted()), OUTPUT, 77)
    answer = serve.receipt(MARKET.sign(salted(), layer=Layer.ZK), found, proven_work(promise))

    receipt = answer.receipt.receipt
    assert answer.evidence == promise.as_json()
    assert receipt.evidence_digest == promise.digest()
    assert (receipt.signer, receipt.layer) == (HOT.address, Layer.ZK)


@pytest.mark.parametrize(("layer", "promised"), [(Layer.ZK, False), (Layer.SIGNATURE, True)])
def test_no_receipt_without_its_promise(layer: Layer, promised: bool) -> None:
    """A proof is promised exactly where one is paid for, or the fault is ours."""
    found = Hands(MARKET).run(offer(MARKET.ledger.trust, TENSOR_ID))
    promise = serve.promise(serve.hidden(salted()), OUTPUT, 77) if promised else None

    with pytest.raises(BrokenTruth):
        serve.receipt(MARKET.sign(salted(), layer=layer), found, proven_work(promise))
