"""What a node owes of proofs is bounded by the time that they need: beyond it promises none, and says when to ask."""

import pytest
from tests.sim.market import go
from tests.unit.inference_node.test_exact_service import body, opened

from paraph.core.amount import Wei
from paraph.core.digest import sha256
from paraph.core.errors import Rejected
from paraph.core.ident import ModelId
from paraph.inference_node.busy import Busy
from paraph.inference_node.proof_load import UNMEASURED_S, ProofLoad
from paraph.proofs.request import Layer

FIRST, SECOND = ModelId(sha256(b"first")), ModelId(sha256(b"second"))


def refused(load: ProofLoad, model_id: ModelId = FIRST) -> Busy:
    """The refusal of one promise more."""
    with pytest.raises(Busy) as caught:
        load.promise(model_id)
    return caught.value


def test_promises_end_where_time_does() -> None:
    """As many are promised as fit the time; when one is done there is room for one more."""
    load = ProofLoad(10)
    load.measured(FIRST, 2)
    for _ in range(5):
        load.promise(FIRST)
    error = refused(load)

    assert (error.code, error.retry_after_s) == ("node.proofs_busy", 3)
    load.done(FIRST)
    load.promise(FIRST)
    assert load.backlog_s == 10


def test_models_share_the_time() -> None:
    """What one model's proofs need is not there for another's; what was never measured counts for a second."""
    load = ProofLoad(10)
    load.measured(FIRST, 4)
    load.promise(FIRST)
    load.promise(FIRST)
    load.promise(SECOND)

    assert load.backlog_s == 8 + UNMEASURED_S
    assert refused(load).retry_after_s == 4
    load.promise(SECOND)
    refused(load, SECOND)


def test_one_is_always_promised() -> None:
    """A proof that takes longer than the limit is promised while nothing else is owed."""
    load = ProofLoad(1)
    load.measured(FIRST, 50)
    load.promise(FIRST)
    refused(load)
    load.done(FIRST)

    load.promise(FIRST)


def test_measurements_are_followed_slowly() -> None:
    """A batch that was made for less counts, and one slow minute does not count for all."""
    load = ProofLoad()
    load.owe(FIRST)
    load.measured(FIRST, 4)
    load.measured(FIRST, 8)

    assert load.backlog_s == 5


def test_a_service_promises_no_more() -> None:
    """A burst of requests for proofs is refused from where the time ends, before any work; others are answered."""

    async def test() -> None:
        market, engine = opened()
        market.service.load.backlog_s_max = 3
        jobs = [
            market.service.start(market.sign(body(), key=b"%d" % number, layer=Layer.ZK), body()) for number in range(3)
        ]
        with pytest.raises(Busy) as caught:
            market.service.start(market.sign(body(), key=b"more", layer=Layer.ZK), body())
        for job in jobs:
            await job.result()

        assert caught.value.code == "node.proofs_busy"
        assert engine.ran == 3
        assert market.service.load.backlog_s == 3
        await market.close()

    go(test())


def test_what_is_not_answered_is_not_owed() -> None:
    """An answer that is refused after all leaves nothing owed."""

    async def test() -> None:
        market, _ = opened()
        signed = market.sign(body(), layer=Layer.ZK, max_price=Wei(1))
        with pytest.raises(Rejected) as caught:
            await market.service.start(signed, body()).result()

        assert caught.value.code == "request.cap"
        assert market.service.load.backlog_s == 0
        await market.close()

    go(test())
