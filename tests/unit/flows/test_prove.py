"""Proofs looked after, waited for and fetched, from the node or from the ledger; and the price back where none came."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.sim.exact_market import Shop, proven_body
from tests.sim.market import Market, chat_body, go, play
from tests.support_ledger.world import ALICE, GOVERNOR, OPERATOR
from tests.unit.flows.test_buy import Bent, bought

from paraph.core import abi
from paraph.core.encode import JsonObject, canonical, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Digest, to_hex
from paraph.flows.buy import prove_settled
from paraph.flows.effect import Effect, Get, Rpc, Wait
from paraph.flows.exact import window
from paraph.flows.prove import Stage, await_proven, batch_proof_from_call, progress, refund
from paraph.ledger.rooms.params.types import PROOF_WINDOW
from paraph.ledger.rooms.proofs.calls import CONTRACT as PROOFS
from paraph.proofs.bundle import Bundle
from paraph.proofs.check import judge
from paraph.proofs.records import Proven
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Outcome, Verified

PATIENCE_MS = 60_000


def outcomes(found: Verified[Bundle]) -> dict[str, Outcome]:
    """How each claim of a verdict came out."""
    return {claim.code: claim.outcome for claim in found.verdict.claims}


def refused(flow: Any, do: Callable[[Effect[Any]], Any]) -> ParaphError:
    """What a flow fails with."""
    with pytest.raises(ParaphError) as caught:
        play(flow, do)
    return caught.value


def test_an_answer_comes_before_its_proof() -> None:
    """What is bought verifies at once, and says that its proof is promised and not there."""
    shop = Shop()
    found = shop.buy()

    assert found.thing.answer.receipt.receipt.layer is Layer.ZK
    assert outcomes(found)["evidence.layer"] is Outcome.PASS
    assert outcomes(found)["proof.verified"] is Outcome.SKIP
    assert outcomes(found)["proof.recorded"] is Outcome.SKIP


def test_a_proof_is_waited_for() -> None:
    """Settled, proven, fetched and verified: the file then shows all of it with no network."""
    shop = Shop()
    bundle = shop.buy().thing

    found = play(await_proven(shop.trust, bundle, PATIENCE_MS), shop.meanwhile)

    assert found.thing.chain.settled is not None
    assert outcomes(found)["proof.verified"] is Outcome.PASS
    assert outcomes(found)["proof.recorded"] is Outcome.PASS
    assert judge(found.thing, shop.trust).verified
    stages = [chunk["stage"] for chunk in shop.hands.shown]
    assert (stages[0], stages[-1]) == (Stage.UNSETTLED.value, Stage.PROVEN.value)


def test_progress_at_each_stage() -> None:
    """What the ledger holds and what the node says, from the answer to the proof."""
    shop = Shop()
    bundle = shop.buy().thing

    first = shop.hands.run(progress(shop.trust, bundle))
    go(shop.market.settler.settle_pending())
    second = shop.hands.run(progress(shop.trust, bundle))
    go(shop.prove())
    third = shop.hands.run(progress(shop.trust, bundle))

    assert (first.stage, second.stage, third.stage) == (Stage.UNSETTLED, Stage.DUE, Stage.PROVEN)
    assert first.node is not None
    assert (first.node["state"], second.node and second.node["state"], third.node) == ("settling", "waiting", None)
    assert first.due == bundle.answer.receipt.receipt.height + PROOF_WINDOW.default
    assert second.as_json()["blocks_left"] == second.due - second.height


def test_progress_without_the_node() -> None:
    """What the ledger holds is seen where the node does not answer, too."""
    shop = Shop()
    bundle = shop.buy().thing
    go(shop.market.settler.settle_pending())
    shop.hands.dead = {shop.node().endpoint}
    found = shop.hands.run(progress(shop.trust, bundle))

    assert (found.stage, found.node) == (Stage.DUE, None)


def test_a_node_that_is_gone_withholds_nothing() -> None:
    """Once the ledger took the proof it is read out of the transaction that brought it."""
    shop = Shop()
    bundle = shop.buy().thing
    shop.buy(proven_body(bytes(32)))
    shop.work()
    assert shop.process.sizes == [2]
    shop.hands.dead = {shop.node().endpoint}

    found = shop.hands.run(await_proven(shop.trust, bundle, PATIENCE_MS))

    assert outcomes(found)["proof.verified"] is Outcome.PASS
    assert "http.unreachable" in {each.code for _, each in shop.hands.told if isinstance(each, ParaphError)}


def test_a_proof_that_does_not_hold_is_had_elsewhere() -> None:
    """A node that gives out another proof is not believed; the ledger's is taken, and verified as well."""
    shop = Shop()
    bundle = shop.buy().thing
    shop.work()

    def spoil(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Get):
            reply = decode(canonical(reply))
            reply["proof"]["entries"][0][1] = to_hex(bytes(32))
        return reply

    found = play(await_proven(shop.trust, bundle, PATIENCE_MS), Bent(shop.hands, spoil))

    assert outcomes(found)["proof.verified"] is Outcome.PASS


@pytest.mark.parametrize(
    ("method", "reply", "code"),
    [
        ("eth_getLogs", [], "proof.gone"),
        ("eth_getTransactionByHash", None, "json.shape"),
        ("eth_getTransactionByHash", {"input": "0x1234"}, "proof.form"),
    ],
)
def test_servers_that_show_no_proof(method: str, reply: Any, code: str) -> None:
    """Where neither node nor server shows the proof that was taken, that is said; nothing passes for it."""
    shop = Shop()
    bundle = shop.buy().thing
    shop.work()
    shop.hands.dead = {shop.node().endpoint}

    def bend(effect: Effect[Any], told: Any) -> Any:
        return reply if isinstance(effect, Rpc) and effect.method == method else told

    assert refused(await_proven(shop.trust, bundle, PATIENCE_MS), Bent(shop.hands, bend)).code == code


def test_a_server_that_forgets() -> None:
    """A server that shows the proof's record, and then a state without it, is asked again, not believed."""
    shop = Shop()
    bundle = shop.buy().thing
    go(shop.market.settler.settle_pending())
    early = shop.hands.run(prove_settled(shop.trust, bundle))
    before = shop.hands.told[-1][1]
    go(shop.prove())
    reads = 0

    def bend(effect: Effect[Any], told: Any) -> Any:
        nonlocal reads
        if isinstance(effect, Rpc) and effect.method == "paraph_getProof":
            reads += 1
            return before if reads == 2 else told
        return told

    assert early is not None
    assert refused(await_proven(shop.trust, bundle, PATIENCE_MS), Bent(shop.hands, bend)).code == "registry.proven"


def test_patience_ends() -> None:
    """Who does not want to wait longer is told how far it is, and loses nothing."""
    shop = Shop()
    bundle = shop.buy().thing
    error = refused(await_proven(shop.trust, bundle, 1_000), shop.hands)

    waits = [effect.milliseconds for effect, _ in shop.hands.told if isinstance(effect, Wait)]
    assert isinstance(error, Unavailable)
    assert error.code == "proof.pending"
    assert waits == [100, 200, 400, 800]


def overdue() -> tuple[Shop, Bundle]:
    """An answer whose node settled it, and let the last block pass."""
    shop = Shop()
    bundle = shop.buy().thing
    go(shop.market.settler.settle_pending())
    shop.pass_blocks(PROOF_WINDOW.default)
    shop.market.clock.advance(1000 * PROOF_WINDOW.default)
    return shop, bundle


def test_no_proof_and_the_price_back() -> None:
    """After the last block nobody waits: the payer takes the price back, once, and the node is slashed."""
    shop, bundle = overdue()
    escrow, bond = shop.market.ledger.escrow(ALICE.address), shop.node().bond
    waiting = refused(await_proven(shop.trust, bundle, PATIENCE_MS), shop.hands)

    shop.market.ledger.send(OPERATOR, ALICE.address, value=10**18)
    shop.hands.run(refund(shop.trust, ALICE.address, bundle))
    after = shop.hands.run(progress(shop.trust, bundle))
    again = refused(refund(shop.trust, ALICE.address, bundle), shop.hands)
    late = refused(await_proven(shop.trust, bundle, PATIENCE_MS), shop.hands)

    assert waiting.code == "proof.overdue"
    assert shop.market.ledger.escrow(ALICE.address) == escrow + bundle.answer.receipt.receipt.price
    assert shop.node().bond < bond
    assert after.stage is Stage.MISSED
    assert (again.code, late.code) == ("proof.missed", "proof.missed")


def test_no_price_back_before_its_time() -> None:
    """While the proof may come, and after it came, the price stays where it is."""
    shop = Shop()
    bundle = shop.buy().thing
    early = refused(refund(shop.trust, ALICE.address, bundle), shop.hands)
    shop.work()
    proven = refused(refund(shop.trust, ALICE.address, bundle), shop.hands)

    assert (early.code, proven.code) == ("proof.early", "proof.proven")


def test_answers_of_other_layers() -> None:
    """Where no proof was promised there is none to look after."""
    market = Market()
    found, hands = bought(market, chat_body())

    for flow in (
        progress(market.ledger.trust, found.thing),
        refund(market.ledger.trust, ALICE.address, found.thing),
        await_proven(market.ledger.trust, found.thing, PATIENCE_MS),
    ):
        assert refused(flow, hands).code == "proof.none"


@pytest.mark.parametrize("due", [-1, 1])
def test_a_promise_that_the_ledger_would_not_hold(due: int) -> None:
    """A promise dated otherwise than the ledger dates it can never be proven: the answer is refused at once."""
    shop = Shop()
    ledger = shop.market.service.ledger
    ledger.proof_window = _other(ledger.proof_window, due)  # type: ignore[assignment]

    with pytest.raises(Unverified) as caught:
        shop.buy()

    assert caught.value.reasons[0][0] == "promise.due"


def _other(window: Callable[[int], Any], more: int) -> Callable[[int], Any]:
    async def bent(height: int) -> int:
        return int(await window(height)) + more

    return bent


def test_the_window_of_the_past() -> None:
    """A change of the window dates only what is promised after it."""
    shop = Shop()
    first, before = shop.hands.run(window(shop.trust, 1)), shop.market.ledger.chain.height
    for value in (700, 800):
        shop.market.ledger.call(GOVERNOR, "Params", "set", PROOF_WINDOW.name, value)
    after = shop.market.ledger.chain.height

    read = [shop.hands.run(window(shop.trust, height)) for height in (1, before, before + 1, after, after + 50)]
    assert read == [first, first, 700, 800, 800]


def calldata(*keys: tuple[bytes, Digest], mode: int = 1, model: bytes = bytes(32)) -> bytes:
    """A call of `prove` for these requests, with no proof in it."""
    items = tuple((payer, key, bytes(32)) for payer, key in keys)
    return PROOFS.method("prove").call(model, mode, 5, items, b"proof")


def test_proofs_out_of_calls() -> None:
    """The place among several is by payer and key; calls of another kind, request or mode bring nothing."""
    receipt = Shop().buy().thing.answer.receipt.receipt
    key = Digest(receipt.request_key)
    record = Proven(1, Digest(bytes(32)), Digest(bytes(32)), 2, Digest(b"b" * 32), 9)
    others = (OPERATOR.address, key), (receipt.payer, Digest(bytes(32)))

    found = batch_proof_from_call(calldata(*others, (receipt.payer, key)), receipt, record)
    assert (found.index, found.beacon, found.data, len(found.entries)) == (2, record.beacon, b"proof", 3)
    for data in (calldata(*others), calldata((receipt.payer, key), mode=3), PROOFS.method("expire").call(()), b""):
        with pytest.raises(Malformed) as caught:
            batch_proof_from_call(data, receipt, record)
        assert caught.value.code == "proof.form"
    with pytest.raises(Malformed):
        batch_proof_from_call(PROOFS.method("prove").selector + b"\1", receipt, record)
    assert abi.decode(PROOFS.method("prove").inputs, calldata()[4:])[3] == ()


def test_what_cannot_be_proven_is_not_asked() -> None:
    """Two rows, other numbers or no salt: refused before anything is signed."""
    shop = Shop()
    bodies: list[JsonObject] = [
        {**proven_body(), "salt": "0x12"},
        {name: each for name, each in proven_body().items() if name != "salt"},
        {**proven_body(), "inputs": [{"name": "input", "datatype": "INT32", "shape": [1, 1], "data": [1]}]},
    ]

    for body in bodies:
        with pytest.raises(Malformed):
            shop.buy(body)
    assert not isinstance(shop.hands.told[-1][0], Rejected)
    assert shop.market.promised == 0
