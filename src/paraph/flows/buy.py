"""Buying one verified answer: find a node by proved registry reads, sign, send, verify, and only then return.

The signed request is the payment, and its key makes it good for one debit: when the reply is lost the same signed
request is sent again, and the node returns the answer it kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from paraph.core.amount import Wei
from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text, canonical, take
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Address, Digest, ModelId, RequestKey, to_hex
from paraph.core.limits import JSON_BYTES_MAX
from paraph.flows import effective, exact, registry
from paraph.flows.effect import Draw, Flow, Hear, Listen, Now, Post, Rpc, Show, Sign, Wait, ask
from paraph.flows.meet import PLAIN, Line, Memory, meet
from paraph.flows.registry import Offer, Snapshot
from paraph.flows.serve import merge_tool_calls
from paraph.proofs.attestation import attestation_from_json
from paraph.proofs.bundle import Answer, Bundle, Chain, Exactly, Settled, answer_from_json, settled_from_json
from paraph.proofs.check import verify
from paraph.proofs.exactness import row_of
from paraph.proofs.policy import Trust
from paraph.proofs.proven import ExactPart
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import CHECKS, Checks
from paraph.proofs.receipt import stream_next, stream_start
from paraph.proofs.records import (
    ExactModel,
    batch_key,
    enclave_key,
    exact_key,
    model_key,
    node_key_key,
    price_key,
    proven_key,
    release_key,
)
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest
from paraph.proofs.seal import slim
from paraph.proofs.verdict import Verified

TRIES: Final = 3
"""Sendings of one signed request when the network fails."""
BEHIND_MAX: Final = 20
"""Askings, 0.2 s apart, of a server that is behind the node: a few blocks' time."""
LIFETIME_S: Final = 600
"""How long a request may wait in a node's queue before its work must begin."""
ANSWER_PATH: Final = "/paraph/v1/answer"


@dataclass(frozen=True, slots=True)
class Order:
    """What the caller wants.

    Args:
        payer: whose escrow pays.
        model_id: which model.
        body: effective request.
        layer: verification layer.
        max_price: cap in wei, or None for the most that this request can cost by the model's schedule.
        node: a certain node, or None for any that serves the model.
        stream: show chunks as they come.
        least: with the layer `tee`, what the enclave's platform must be worth.
        sealed: with the layer `tee`, seal request and answer to the enclave's own key, beside TLS.
        relay: the base URL of who carries what is sealed, so that the node does not learn who asks; empty for nobody.
    """

    payer: Address
    model_id: ModelId
    body: JsonObject
    layer: Layer = Layer.SIGNATURE
    max_price: Wei | None = None
    node: Address | None = None
    stream: bool = False
    least: TrustClass = TrustClass.HARDWARE
    sealed: bool = False
    relay: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A signed request that went to a node: all that asking again needs.

    Args:
        order, signed: what was asked.
        endpoint: where.
        line: how it is reached so that nobody else hears.
        met: TLS keys of the enclaves that were met there, one of which signs the answer; none with other layers.
    """

    order: Order
    signed: SignedRequest
    endpoint: str
    line: Line = PLAIN
    met: tuple[Digest, ...] = ()


class Unanswered(Unavailable):
    """A signed request went out and no answer came back: it may have been answered, and may be settled.

    `ask_again` sends the very same request; the node returns the answer it kept, and the payer is debited once. A new
    request instead would be a new payment.

    Args:
        cause: what failed.
        asked: the request, to ask again with.
    """

    def __init__(self, cause: Unavailable, asked: Asked) -> None:
        super().__init__(cause.code, cause.message, **cause.facts)
        self.cause: Final = cause
        self.asked: Final = asked

    def __reduce__(self) -> tuple[object, ...]:
        return (Unanswered, (self.cause, self.asked))


def buy(trust: Trust, order: Order, memory: Memory | None = None) -> Flow[Verified[Bundle]]:
    """One verified answer.

    Args:
        trust: the network.
        order: what is wanted.
        memory: of the enclaves that were met; None: nobody was.

    Raises:
        Rejected, Malformed: what the registry or every node refuses, or a request that cannot be proven. Unanswered: a
            node could not be reached, and no other answered. Unverified: no enclave may be spoken to, and nothing was
            sent; or the answer does not verify, and is not returned.
    """
    memory = Memory() if memory is None else memory
    found = yield from registry.offer(trust, order.model_id)
    if not found.model.layers >> (order.layer - 1) & 1:
        raise Rejected("models.layer", f"{found.model.name} is not offered with the layer {order.layer.word}")
    if (order.sealed or order.relay) and order.layer is not Layer.TEE:
        raise Rejected("request.private", "only an enclave has a key to seal to: ask with the layer tee")
    if order.layer is Layer.ZK:
        row_of(order.body)
    waiting = list((yield from registry.serving(trust, order.model_id, order.layer, order.node)))
    key = RequestKey((yield from ask(Draw(32))))
    failures: list[ParaphError] = []
    while waiting:
        address, node = waiting.pop(0)
        remembered = memory.holds(address)
        try:
            line, met = yield from _line(trust, order, address, node.endpoint, memory)
        except ParaphError as error:
            # Nothing was said to it. Another enclave may be met instead; nothing else takes its place.
            failures.append(error)
            continue
        asked = Asked(order, (yield from _sign(trust, order, found, key, address)), node.endpoint, line, met)
        shown: list[JsonObject] = []
        try:
            answer = yield from _send(asked, shown)
        except (Unanswered, Rejected, Malformed, Unverified) as error:
            memory.forget(address)
            if error.code in STALE and remembered:
                # It was met before and has other keys now. Nothing was said to it yet: it is met anew.
                waiting.insert(0, (address, node))
                continue
            # Another node would tell another story: what was shown must stay the beginning of what is returned.
            if shown or isinstance(error, Unverified):
                raise
            # Asked elsewhere under the same key: whichever answer is settled first, the payer is debited once.
            failures.append(error)
            continue
        return (yield from _verified(trust, asked, answer, memory.checks))
    # One that could not be reached may have answered: then asking again is what to do, not changing the request.
    raise next((each for each in failures if isinstance(each, Unanswered)), failures[0])


STALE: Final = ("tls.key", "seal.key")
"""What is heard when an enclave has other keys than those it was met with."""


def _line(
    trust: Trust, order: Order, node: Address, endpoint: str, memory: Memory
) -> Flow[tuple[Line, tuple[Digest, ...]]]:
    """How a node is reached, and the TLS key of its enclave, which was met; that of any other layer has none."""
    if order.layer is not Layer.TEE:
        return PLAIN, ()
    met = yield from meet(trust, node, endpoint, order.least, memory, order.relay)
    return met.line(order.model_id, order.relay, sealed=order.sealed), (met.keyset.tls_key,)


def ask_again(trust: Trust, asked: Asked) -> Flow[Verified[Bundle]]:
    """The answer to a request that was signed before, whole. Raises as `buy` does."""
    whole = replace(asked, order=replace(asked.order, stream=False))
    try:
        answer = yield from _send(whole, [])
    except (Unverified, Rejected) as error:
        if error.code not in STALE:
            raise
        # Its enclave began anew meanwhile: it is met, and may return what the one before had answered.
        node = asked.signed.request.node
        line, met = yield from _line(trust, whole.order, node, asked.endpoint, Memory())
        whole = replace(whole, line=line, met=(*whole.met, *met))
        answer = yield from _send(whole, [])
    return (yield from _verified(trust, whole, answer, CHECKS))


def price_cap(found: Offer, body: JsonObject) -> Wei:
    """The most that a request can cost by the model's schedule."""
    if body["kind"] == "infer":
        tensors, _ = effective.tensors_of(body)
        rows = max((tensor.rows for tensor in tensors), default=1)
        return Wei(found.price.of(rows, max(rows, 1)))
    return Wei(found.price.of(*effective.tokens_most(body)))


def _sign(trust: Trust, order: Order, found: Offer, key: RequestKey, node: Address) -> Flow[SignedRequest]:
    now_ms = yield from ask(Now())
    cap = price_cap(found, order.body) if order.max_price is None else order.max_price
    request = Request(
        key,
        order.payer,
        node,
        order.model_id,
        body_digest(order.body),
        order.layer,
        cap,
        now_ms // 1000 + LIFETIME_S,
    )
    signature = yield from ask(Sign(request.signing_digest(trust.chain_id)))
    return SignedRequest(trust.chain_id, request, signature)


def _send(asked: Asked, shown: list[JsonObject]) -> Flow[Answer]:
    order, signed = asked.order, asked.signed
    message: dict[str, Json] = {"request": signed.as_json(), "body": order.body, "stream": order.stream}
    url = asked.endpoint.rstrip("/") + ANSWER_PATH
    left = TRIES
    while True:
        left -= 1
        try:
            if order.stream and not shown:
                return (yield from _stream(url, message, asked, shown))
            answer = answer_from_json(
                (yield from ask(Post(url, message | {"stream": False}, asked.line.tls_key, asked.line.sealing)))
            )
            yield from _show_rest(answer, "".join(str(chunk["text"]) for chunk in shown))
            return answer
        except Unavailable as error:
            if left == 0:
                raise Unanswered(error, asked) from error
            yield from ask(Wait(200))


def _stream(url: str, message: JsonObject, asked: Asked, shown: list[JsonObject]) -> Flow[Answer]:
    yield from ask(Listen(url, message, asked.line.tls_key, asked.line.sealing))
    link = stream_start(asked.signed.request.hash())
    size = 0
    while True:
        event = yield from ask(Hear())
        if event is None:
            raise Unavailable("node.stream_ended", "the stream ended before its receipt; asking again is safe")
        members = as_object(event, "an event")
        if "answer" in members:
            answer = answer_from_json(members["answer"])
            whole = gathered(shown)
            same = whole == {name: answer.response.get(name) for name in whole}
            if answer.receipt.receipt.stream_digest != link or not same:
                raise Unverified((("stream.digest", "what was shown is not what the receipt signs"),))
            return answer
        chunk = as_object(members.get("chunk"), "a chunk")
        as_text(chunk.get("text"), "a chunk's text")
        size += len(canonical(chunk))
        if size > JSON_BYTES_MAX:
            raise Malformed("stream.size", f"the chunks are longer than {JSON_BYTES_MAX} bytes, as no whole answer is")
        link = stream_next(link, chunk)
        if members.get("digest") != to_hex(link):
            raise Unverified((("stream.digest", "a chunk's running digest does not follow from those before it"),))
        shown.append(chunk)
        yield from ask(Show(chunk))


def gathered(chunks: Sequence[JsonObject]) -> dict[str, Json]:
    """What chunks add up to, under the names that a text response has for it. Raises `Malformed`."""

    def listed(name: str) -> list[Json]:
        return [
            each for chunk in chunks for each in as_list(chunk.get(name) or (), f"a chunk's {name}", items_max=1 << 20)
        ]

    return {
        "text": "".join(as_text(chunk.get("text"), "a chunk's text") for chunk in chunks),
        "token_ids": listed("token_ids") or None,
        "logprobs": listed("logprobs") or None,
        "tool_calls": merge_tool_calls([as_object(each, "a tool call") for each in listed("tool_calls")]),
    }


def _show_rest(answer: Answer, shown: str) -> Flow[None]:
    """After a broken stream the whole answer comes at once: it must begin with what was shown."""
    text = str(answer.response.get("text", ""))
    if not text.startswith(shown):
        raise Unverified((("stream.digest", "what was shown before the stream broke is not in the answer"),))
    if shown and text != shown:
        yield from ask(Show({"text": text[len(shown) :]}))


def _verified(trust: Trust, asked: Asked, answer: Answer, checks: Checks) -> Flow[Verified[Bundle]]:
    receipt = answer.receipt.receipt
    if asked.met and attestation_from_json(answer.evidence).keyset.tls_key not in asked.met:
        raise Unverified((("meet.signer", "the answer is signed by another enclave than the one that was asked"),))
    places = _places(answer)
    tries, behind = TRIES, BEHIND_MAX
    while True:
        try:
            snapshot = yield from registry.read(trust, *places.values())
            # The node may know a newer block than the server that was asked.
            if behind == 0 or receipt.height <= snapshot.seal.height:
                chain = _chain(trust, snapshot, places, None)
                part = yield from _exact_part(trust, answer, chain)
                bundle = Bundle(asked.signed, asked.order.body, answer, chain, part)
                return verify(bundle, trust, asked.order.least, checks)
            behind -= 1
        except Unavailable as error:
            # The answer is here, and paid for: worth another try.
            tries -= 1
            if tries == 0:
                raise Unanswered(error, asked) from error
        yield from ask(Wait(200))


def _exact_part(trust: Trust, answer: Answer, chain: Chain) -> Flow[ExactPart | None]:
    """What the model computes, where a proof is promised; the promise must be one that the ledger holds the node to."""
    if chain.exact is None:
        return None
    yield from exact.need_due(trust, answer)
    return ExactPart((yield from exact.graph_of(trust, ExactModel.decode(chain.exact.record.value))), None)


def _places(answer: Answer) -> dict[str, bytes]:
    """Where the ledger has what a bundle proves, by the name it has there."""
    receipt = answer.receipt.receipt
    places = {
        "key": node_key_key(receipt.signer),
        "model": model_key(receipt.model_id),
        "price": price_key(receipt.model_id, receipt.price_version),
    }
    if receipt.layer is Layer.TEE:
        release = attestation_from_json(answer.evidence).release
        places |= {"key": enclave_key(receipt.signer), "release": release_key(release)}
    if receipt.layer is Layer.ZK:
        places |= {"exact": exact_key(receipt.model_id), PROVEN: proven_key(receipt.payer, receipt.request_key)}
    return places


PROVEN: Final = "proven"
"""The one place where nothing may stand yet."""


def _chain(trust: Trust, snapshot: Snapshot, places: dict[str, bytes], settled: Settled | None) -> Chain:
    missing = [name for name, place in places.items() if place not in snapshot.values and name != PROVEN]
    if missing:
        codes = tuple((f"registry.{name}", f"the ledger does not know the receipt's {name}") for name in missing)
        raise Unverified(codes)
    found = {name: snapshot.values[place] for name, place in places.items() if place in snapshot.values}
    return Chain(
        slim(snapshot.seal, trust),
        found["key"],
        found["model"],
        found["price"],
        settled,
        found.get("release"),
        Exactly(found["exact"], found.get(PROVEN)) if "exact" in found else None,
    )


def prove_settled(
    trust: Trust, bundle: Bundle, least: TrustClass = TrustClass.HARDWARE, checks: Checks = CHECKS
) -> Flow[Verified[Bundle] | None]:
    """The same bundle with the proof of its settlement; None while it is not settled.

    What the ledger says by now of a promised proof is shown anew with it.

    Raises:
        Unverified: the settlement that the server shows does not verify.
    """
    receipt = bundle.answer.receipt.receipt
    found = yield from ask(Rpc("paraph_getSettled", (to_hex(receipt.payer), to_hex(receipt.request_key))))
    if found is None:
        return None
    batch, index, path, _ = take(found, "the reply to paraph_getSettled", "batch", "index", "path", "key")
    place = batch_key(as_integer(batch, "batch"))
    places = _places(bundle.answer)
    snapshot = yield from registry.read(trust, *places.values(), place)
    if place not in snapshot.values:
        raise Unverified((("settlement.batch", f"the ledger has no batch {batch}"),))
    shown: dict[str, Json] = {"batch": batch, "index": index, "path": path, "record": snapshot.values[place].as_json()}
    chain = _chain(trust, snapshot, places, settled_from_json(shown))
    return verify(replace(bundle, chain=chain), trust, least, checks)


def await_settled(
    trust: Trust, bundle: Bundle, patience_ms: int, least: TrustClass = TrustClass.HARDWARE, checks: Checks = CHECKS
) -> Flow[Verified[Bundle]]:
    """As `prove_settled`, asking until it is settled.

    Raises:
        Unavailable: `settlement.pending`: not settled within the patience.
    """
    began = yield from ask(Now())
    while True:
        found = yield from prove_settled(trust, bundle, least, checks)
        if found is not None:
            return found
        if (yield from ask(Now())) - began > patience_ms:
            raise Unavailable("settlement.pending", f"not settled within {patience_ms} ms; ask again later")
        yield from ask(Wait(100))
