"""The verifier, from its first byte to a request's own part of a proof."""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.zk import Made, make
from tests.unit.proofs.zk.models import (
    MODELS,
    PLAIN,
    inputs_bytes,
    outputs_bytes,
    proven,
    refusal,
    weights_of,
)
from tests.unit.proofs.zk.random_models import evaluate, models

from paraph.core.errors import BrokenTruth, Malformed, Unverified
from paraph.proofs.zk import claims
from paraph.proofs.zk.argument import sumcheck
from paraph.proofs.zk.channel import Channel, Form, known
from paraph.proofs.zk.claims import source
from paraph.proofs.zk.field import ONE, ZERO, Ext, P, eq_table, lift, to_bytes
from paraph.proofs.zk.graph import Gemm, Graph
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Mode, commitment
from paraph.proofs.zk.transcript import Transcript
from paraph.proofs.zk.verify import verify

MODES: Final = list(Mode)


@settings(max_examples=10)
@given(models(nodes_max=4), st.sampled_from(Mode))
def test_any_model(model: tuple[Graph, bytes, list[list[int]]], mode: Mode) -> None:
    """A proof of any model holds, and each request finds itself in it with what the model gives."""
    graph, file, inputs = model

    made = make(graph, file, inputs, mode)
    opened = verify(made.statement, made.proof)

    for b, each in enumerate(inputs):
        opened.need_request(b, each, evaluate(graph, file, each), None if made.seeds is None else made.seeds[b])


@pytest.mark.parametrize("mode", MODES)
def test_no_tables(mode: Mode) -> None:
    """A model without a table is proven too."""
    graph = Graph((2,), (Gemm(0, 1),))
    made = make(graph, weights_of(graph), [[3, -4]], mode)

    assert refusal(made.statement, made.proof) is None


def test_factors_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The factors of a source's elements are made once for each size, however many terms read them."""
    made = proven("spatial")
    sizes: list[int] = []

    def watched(point: Sequence[Ext]) -> list[Ext]:
        sizes.append(len(point))
        return eq_table(point)

    monkeypatch.setattr(claims, "eq_table", watched)

    assert refusal(made.statement, made.proof) is None
    assert len(sizes) == len(set(sizes)) > 1


# --- a request's part ------------------------------------------------------------------------------------------------


def seed_of(made: Made, index: int) -> bytes | None:
    return None if made.seeds is None else made.seeds[index]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_own_request(name: str, mode: Mode) -> None:
    """Who asked finds input and output, and the commitment opens to them."""
    made = proven(name, mode)

    verify(made.statement, made.proof).need_request(0, made.inputs[0], made.outputs[0], seed_of(made, 0))

    want = commitment(made.salts[0], inputs_bytes(made.inputs[0]), outputs_bytes(made.outputs[0]))
    assert made.statement.entries[0].commitment == want


@pytest.mark.parametrize("mode", MODES)
def test_other_requests(mode: Mode) -> None:
    """Another input, output, number or seed is refused."""
    made = proven("plain", mode, 3)
    opened = verify(made.statement, made.proof)
    x, y, seed = made.inputs[1], made.outputs[1], seed_of(made, 1)
    opened.need_request(1, x, y, seed)

    others = [
        (1, [x[0], x[1] + 1], y, seed),
        (1, x, [y[0] - 1, y[1]], seed),
        (1, x[::-1], y, seed),
        (0, x, y, seed),
        (2, x, y, seed),
    ]
    others += [(1, x, y, seed_of(made, 2))] if mode is Mode.HIDING else []
    for other in others:
        with pytest.raises(Unverified) as caught:
            opened.need_request(*other)
        assert caught.value.code == "zk.request"


@pytest.mark.parametrize("mode", MODES)
def test_impossible_requests(mode: Mode) -> None:
    """A number that is none, other lengths, values that no model has: refused as what they are."""
    made = proven("plain", mode, 3)
    opened = verify(made.statement, made.proof)
    x, y, seed = made.inputs[1], made.outputs[1], seed_of(made, 1)

    for other in (
        (-1, x, y, seed),
        (3, x, y, seed),
        (1, x[:1], y, seed),
        (1, [*x, 0], y, seed),
        (1, x, [*y, 0], seed),
        (1, x, y[:1], seed),
        (1, x, y, None if seed is not None else bytes(32)),
        (1, [x[0] + P, x[1]], y, seed),
        (1, [x[0] - P, x[1]], y, seed),
        (1, x, [y[0] + P, y[1]], seed),
        (1, x, [y[0] - P, y[1]], seed),
        (1, x, [y[0], P // 2 + 1], seed),
    ):
        with pytest.raises(Malformed) as caught:
            opened.need_request(*other)
        assert caught.value.code == "zk.request"
    if seed is not None:
        with pytest.raises(Malformed) as caught:
            opened.need_request(1, x, y, seed[1:])
        assert caught.value.code == "zk.seed"


def test_a_padded_run_is_nobodys() -> None:
    """The run that fills a batch has no number."""
    made = proven("plain", Mode.HIDING, 3)
    assert made.seeds is not None

    with pytest.raises(Malformed):
        verify(made.statement, made.proof).need_request(3, [0, 0], [0, 0], made.seeds[3])


def test_opened() -> None:
    """What is opened is what the statement says, with the proof's own nonce."""
    succinct, hiding = (verify(made.statement, made.proof) for made in (proven("plain"), proven("plain", Mode.HIDING)))

    assert succinct.statement == proven("plain").statement
    assert (succinct.nonce, hiding.nonce) == (b"", proven("plain", Mode.HIDING).proof[:32])
    assert len(hiding.columns) <= plan(PLAIN, 1, Mode.HIDING).queries
    assert {len(column) for column in hiding.columns.values()} == {plan(PLAIN, 1, Mode.HIDING).witness_rows}


# --- the channel -----------------------------------------------------------------------------------------------------


def channel(proof: bytes, mode: Mode = Mode.SUCCINCT) -> Channel:
    return Channel(plan(PLAIN, 1, mode), Transcript(), proof)


def test_reading() -> None:
    """Bytes are read in order and to the end."""
    of = channel(b"abc")

    assert (of.take(0), of.take(2)) == (b"", b"ab")
    with pytest.raises(Unverified) as caught:
        of.end()
    assert caught.value.code == "zk.length"
    with pytest.raises(Unverified) as caught:
        of.take(2)
    assert caught.value.code == "zk.length"
    assert of.take(1) == b"c"
    of.end()


def test_elements() -> None:
    """Elements sent one by one or as one are canonical."""
    good, bad = to_bytes((1, 2, 3, 4)), to_bytes((1, 2, 3, 4))[:12] + P.to_bytes(4, "little")

    assert channel(good).sent(b"a") == (1, 2, 3, 4)
    assert channel(good + good).elements(b"a", 2) == [(1, 2, 3, 4)] * 2
    for broken in (lambda: channel(bad).sent(b"a"), lambda: channel(good + bad).elements(b"a", 2)):
        with pytest.raises(Unverified) as caught:
            broken()
        assert caught.value.code == "zk.encoding"


def test_zero() -> None:
    """In mode 1 what must be zero is; in mode 2 it becomes an equation."""
    succinct, hiding = channel(b""), channel(b"", Mode.HIDING)

    succinct.zero(known(ZERO), "zk.sum", "")
    hiding.zero(known(ONE), "zk.sum", "")

    assert hiding.equations == [known(ONE)]
    with pytest.raises(Unverified) as caught:
        succinct.zero(known(ONE), "zk.leaves", "a sentence")
    assert caught.value.reasons == (("zk.leaves", "a sentence"),)


def test_forms() -> None:
    """Values known up to pads add, subtract and scale as values do."""
    a, b = Form(lift(5), ((0, lift(2)), (1, lift(3)))), Form(lift(7), ((1, lift(4)),))

    assert a + b == Form(lift(12), ((0, lift(2)), (1, lift(7))))
    assert (a - b).constant == lift(-2)
    assert dict((a - b).pads) == {0: lift(2), 1: lift(-1)}
    assert a.scaled(3) == a.times(lift(3)) == Form(lift(15), ((0, lift(6)), (1, lift(9))))
    assert known(ONE) + b == Form(lift(8), b.pads)
    assert b + known(ONE) == Form(lift(8), b.pads)


def test_products() -> None:
    """In mode 2 a product of messages takes a pad of its own; only messages are multiplied."""
    of = channel(to_bytes((1, 0, 0, 0)) + to_bytes((2, 0, 0, 0)), Mode.HIDING)
    x, y = of.message(b"x"), of.message(b"y")

    found = of.product(x, y)

    assert found.constant == lift(2)
    assert dict(found.pads) == {1: lift(-1), 0: lift(-2), of.plan.messages: ONE}
    assert of.products == [(0, 1)]
    with pytest.raises(BrokenTruth):
        of.product(x + y, y)
    assert channel(b"").product(known(lift(3)), known(lift(4))) == known(lift(12))


def test_sumcheck_without_rounds() -> None:
    """A sum over one element is that element."""
    assert sumcheck(channel(b""), known(ONE), 0) == ((), known(ONE))


def test_source() -> None:
    """Parts read blocks and layers' values, never the output's layer."""
    layout = plan(PLAIN, 1, Mode.SUCCINCT)

    assert source(layout, 0) == layout.blocks
    assert source(layout, 1) == layout.layers[0].values
