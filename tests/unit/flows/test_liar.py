"""The liar: any one leaf of a good conversation is altered, and nothing false is ever returned as verified."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.market import Hands, Market, Tape, Told, chat_body, go, play, rows_body
from tests.support_ledger.world import ALICE

from paraph.core.encode import Json, JsonObject
from paraph.core.errors import ParaphError
from paraph.core.ident import ModelId
from paraph.flows.buy import Order, buy, prove_settled
from paraph.flows.effect import Flow, Hear, Post, Rpc
from paraph.proofs.bundle import Bundle
from paraph.proofs.policy import Trust
from paraph.proofs.verdict import Verified

STORIES = {"chat": (chat_body(logprobs=True), False), "stream": (chat_body(), True), "rows": (rows_body(2), False)}


def conversation(trust: Trust, body: JsonObject, stream: bool, settled: Bundle | None) -> Flow[Verified[Bundle] | None]:
    """Buying, or proving a settlement."""
    if settled is not None:
        return prove_settled(trust, settled)
    return buy(trust, Order(ALICE.address, ModelId(bytes.fromhex(str(body["model"])[2:])), body, stream=stream))


@cache
def recorded(name: str) -> tuple[Trust, JsonObject, bool, Bundle | None, tuple[Told, ...], Bundle]:
    """A good conversation: what is needed to have it again, what was told, and what came of it."""
    body, stream = STORIES[name.removesuffix(" settled")]
    market = Market()
    hands = Hands(market)
    trust = market.ledger.trust
    bought = hands.run(conversation(trust, body, stream, None))
    assert bought is not None
    if not name.endswith("settled"):
        return trust, body, stream, None, tuple(hands.told), bought.thing
    go(market.settler.settle_pending())
    proving = Hands(market)
    proved = proving.run(conversation(trust, body, stream, bought.thing))
    assert proved is not None
    return trust, body, stream, bought.thing, tuple(proving.told), proved.thing


def leaves(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all leaves of a reply."""
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from leaves(member, (*path, name))
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def altered(value: Any, path: tuple[str | int, ...], leaf: Json) -> Any:
    """The reply with one leaf replaced."""
    if not path:
        return leaf
    if isinstance(value, Mapping):
        return {name: altered(each, path[1:], leaf) if name == path[0] else each for name, each in value.items()}
    return [altered(each, path[1:], leaf) if index == path[0] else each for index, each in enumerate(value)]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def lies(leaf: Json) -> Iterator[Json]:
    """Other values for a leaf: near ones, and of other kinds."""
    if isinstance(leaf, bool) or leaf is None:
        yield from (not leaf, 0, "0x")
    elif isinstance(leaf, int | float):
        yield from (leaf + 1, -1, str(leaf))
    elif isinstance(leaf, str):
        yield leaf[:-1] + chr(ord(leaf[-1]) ^ 1) if leaf else "x"
        yield leaf[:2] + ("0" if leaf[2:3] != "0" else "1") + leaf[3:]
        yield None
    else:
        yield from ([None], {"x": 1})


def outcome(name: str, index: int, reply: Json) -> Bundle | None:
    """What comes of the conversation with one reply replaced; None when the flow refuses."""
    trust, body, stream, settled, told, good = recorded(name)
    try:
        tape = Tape([*told[:index], (told[index][0], reply), *told[index + 1 :]])
        found = play(conversation(trust, body, stream, settled), tape)
    except ParaphError:
        return None
    if found is not None and stream:
        assert "".join(str(chunk["text"]) for chunk in tape.shown) == good.answer.response["text"]
    return None if found is None else found.thing


def told_by_servers(name: str) -> list[int]:
    return [at for at, (effect, _) in enumerate(recorded(name)[4]) if isinstance(effect, Rpc | Post | Hear)]


@pytest.mark.parametrize("name", ["chat", "stream", "rows", "rows settled"])
def test_no_altered_leaf_gives_another_answer(name: str) -> None:
    """Every leaf of every reply, altered: the flow raises a typed error, or returns exactly the answer."""
    told, good = recorded(name)[4:]
    count = 0
    for index in told_by_servers(name):
        reply = told[index][1]
        for path in leaves(reply):
            for lie in lies(at(reply, path)):
                found = outcome(name, index, altered(reply, path, lie))
                count += 1
                assert found is None or (found.request, found.body, found.answer) == (
                    good.request,
                    good.body,
                    good.answer,
                ), (index, path, lie)
    assert count > 100


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.sampled_from(["chat", "stream", "rows settled"]), st.data())
def test_junk_never_becomes_an_answer(name: str, data: st.DataObject) -> None:
    """Any part of any reply replaced by anything at all: a typed error or the same answer, never another exception."""
    told, good = recorded(name)[4:]
    index = data.draw(st.sampled_from(told_by_servers(name)))
    reply = told[index][1]
    path = data.draw(st.sampled_from(list(leaves(reply))))
    shorter = path[: data.draw(st.integers(0, len(path)))]

    found = outcome(name, index, altered(reply, shorter, data.draw(JUNK)))

    assert found is None or found.answer == good.answer
