"""Registry reads: every value is proved against a pinned producer's header, and a server that lies is caught."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.sim.market import TENSOR, TEXT, TEXT_ID, Ledger, local, opened, play
from tests.support_ledger.world import ALICE, BOB, OPERATOR, OPG, OWNER, model_arguments, person

from paraph.adapters.fakes.clock import FakeClock
from paraph.core.encode import canonical, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unverified
from paraph.core.ident import Address, ModelId, to_hex
from paraph.flows import registry
from paraph.flows.effect import Effect, Flow, Rpc
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.proofs.header import header_from_json
from paraph.proofs.records import Model, model_key, price_key
from paraph.proofs.request import Layer


def lied(ledger: Ledger, flow: Flow[Any], lie: Callable[[dict[str, Any]], Any]) -> Any:
    """The flow's result from a server whose replies `lie` changes."""
    do = local(ledger)

    def answer(effect: Effect[Any]) -> Any:
        reply = do(effect)
        if isinstance(effect, Rpc):
            changed: Any = decode(canonical(reply))
            return lie(changed) or changed
        return reply

    return play(flow, answer)


def asked(ledger: Ledger, flow: Flow[Any]) -> Any:
    return play(flow, local(ledger))


def test_values_and_absences_are_read() -> None:
    """What the ledger has comes with its proof; what it has not is absent, proved too."""
    ledger = opened()

    found = asked(ledger, registry.read(ledger.trust, model_key(TEXT_ID), model_key(ModelId(bytes(32)))))

    assert found.record(model_key(TEXT_ID), Model).name == TEXT.name
    assert found.record(model_key(ModelId(bytes(32))), Model) is None
    assert found.seal.height == ledger.chain.height


LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], type[ParaphError], str]] = {
    "forged state root": (
        lambda r: r["seal"]["header"].update(state_root="0x" + "11" * 32),
        Unverified,
        "header.signature",
    ),
    "forged height": (
        lambda r: r["seal"]["header"].update(height=r["seal"]["header"]["height"] + 1),
        Unverified,
        "header.signature",
    ),
    "other chain": (lambda r: r["seal"]["header"].update(chain_id=1), Unverified, "header.signature"),
    "other value": (lambda r: r["proofs"][0].update(value="0x01"), Unverified, "registry.proof"),
    "hidden value": (lambda r: r["proofs"][0].update(value=None), Unverified, "registry.proof"),
    "invented value": (lambda r: r["proofs"][1].update(value="0x01"), Unverified, "registry.proof"),
    "proof of another key": (
        lambda r: r["proofs"][0].update(proof=r["proofs"][1]["proof"]),
        Unverified,
        "registry.proof",
    ),
    "other key": (lambda r: r["proofs"][0].update(key=r["proofs"][1]["key"]), Unverified, "registry.proof"),
    "other order": (lambda r: r["proofs"].reverse(), Unverified, "registry.proof"),
    "missing row": (lambda r: r["proofs"].pop() and None, Malformed, "registry.reply"),
    "more rows": (lambda r: r["proofs"].append(r["proofs"][0]), Malformed, "json.shape"),
    "no proofs": (lambda r: {"seal": r["seal"]}, Malformed, "json.shape"),
    "a list": (lambda r: [r], Malformed, "json.shape"),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_caught(name: str) -> None:
    """A server can withhold or be behind, not lie."""
    lie, kind, code = LIES[name]
    ledger = opened()

    with pytest.raises(kind) as caught:
        lied(ledger, registry.read(ledger.trust, model_key(TEXT_ID), b"models/none"), lie)

    assert caught.value.code == code


def test_stale_value_under_a_new_header_is_caught() -> None:
    """A value that was true in an earlier block does not hold under a later header."""
    ledger = opened()
    key = BALANCES.prefix + BOB.address
    old = ledger.rpc(Rpc("paraph_getProof", ([to_hex(key)],)))
    ledger.send(ALICE, BOB.address, value=OPG)

    with pytest.raises(Unverified) as caught:
        lied(ledger, registry.read(ledger.trust, key), lambda reply: {**reply, "proofs": old["proofs"]})  # type: ignore[index, call-overload]

    assert caught.value.code == "registry.proof"


def test_header_of_no_producer_is_caught() -> None:
    """Only a pinned producer's header is believed."""
    ledger = opened()
    mine = person("another producer")

    def forge(reply: dict[str, Any]) -> None:
        header = header_from_json(reply["seal"]["header"]).header
        reply["seal"]["header"]["signature"] = to_hex(mine.sign(header.hash()))

    with pytest.raises(Unverified) as caught:
        lied(ledger, registry.read(ledger.trust, model_key(TEXT_ID)), forge)

    assert caught.value.code == "header.signature"


def test_offer() -> None:
    """An offer is the model's record and the price in force; an unknown model is refused."""
    ledger = opened()
    ledger.call(OWNER, "Models", "setPrice", TEXT_ID, 1, 2, 3)

    found = asked(ledger, registry.offer(ledger.trust, TEXT_ID))

    assert (found.price.base, found.price.per_input_unit, found.price.per_output_unit) == (1, 2, 3)
    assert found.model.price_version == 2
    with pytest.raises(Rejected) as caught:
        asked(ledger, registry.offer(ledger.trust, ModelId(bytes(32))))
    assert caught.value.code == "models.unknown"


def test_price_hidden_by_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose price no server shows gives a typed error."""
    ledger = opened()
    monkeypatch.setattr(registry, "price_key", lambda model_id, version: price_key(model_id, 9))

    with pytest.raises(Malformed) as caught:
        asked(ledger, registry.offer(ledger.trust, TEXT_ID))

    assert caught.value.code == "models.price_unknown"


def test_nodes_that_left_are_not_listed() -> None:
    """Nodes are listed by operator; those that left are not, and no longer serve."""
    other, hot = person("other operator"), person("other hot")
    ledger = opened(endpoints=((other, hot),))

    both = asked(ledger, registry.nodes(ledger.trust))
    ledger.call(other, "Nodes", "deregister")

    assert both.keys() == {OPERATOR.address, other.address}
    assert asked(ledger, registry.nodes(ledger.trust)).keys() == {OPERATOR.address}
    assert [each for each, _ in asked(ledger, registry.serving(ledger.trust, TEXT_ID, Layer.SIGNATURE, None))] == [
        OPERATOR.address
    ]


def test_heard_of_last_comes_first() -> None:
    """The node whose heartbeat is newest is asked first."""
    other, hot = person("other operator"), person("other hot")
    ledger = opened(endpoints=((other, hot),))
    ledger.clock.advance(60_000)
    ledger.call(OPERATOR, "Nodes", "heartbeat")

    found = asked(ledger, registry.serving(ledger.trust, TEXT_ID, Layer.SIGNATURE, None))

    assert [address for address, _ in found] == [OPERATOR.address, other.address]


def test_nobody_serves() -> None:
    """No node for the model, or the named one not serving it, has each its code."""
    ledger = opened()

    for wanted, code in ((None, "nodes.none"), (BOB.address, "nodes.unknown")):
        with pytest.raises(Rejected) as caught:
            asked(ledger, registry.serving(ledger.trust, ModelId(bytes(32)), Layer.SIGNATURE, wanted))
        assert caught.value.code == code


def test_empty_network() -> None:
    """On a network where nothing is registered every list is empty and no account has anything."""
    ledger = Ledger(FakeClock(1_760_000_000_000))

    assert asked(ledger, registry.nodes(ledger.trust)) == {}
    assert asked(ledger, registry.models(ledger.trust)) == {}
    assert asked(ledger, registry.balance(ledger.trust, Address(b"\x99" * 20))) == 0
    assert asked(ledger, registry.escrow(ledger.trust, ALICE.address)).available == 0


def test_models_by_name() -> None:
    """A model is found by its name or id; an unknown name, and one that two models carry, are refused."""
    ledger = opened()
    asking = registry.find_model

    assert asked(ledger, asking(ledger.trust, TEXT.name)) == TEXT_ID
    assert asked(ledger, asking(ledger.trust, to_hex(TEXT_ID))) == TEXT_ID
    assert asked(ledger, registry.models(ledger.trust)).keys() == {TEXT_ID, TENSOR.model_id()}
    with pytest.raises(Rejected) as unknown:
        asked(ledger, asking(ledger.trust, "nobody's"))
    ledger.call(BOB, "Models", "register", *model_arguments(model_id=ModelId(b"\7" * 32), name=TEXT.name))
    with pytest.raises(Rejected) as ambiguous:
        asked(ledger, asking(ledger.trust, TEXT.name))
    assert (unknown.value.code, ambiguous.value.code) == ("models.unknown", "models.ambiguous")


def test_server_that_falls_behind_between_two_reads() -> None:
    """A model listed by one server and not yet known to the next is left out; what is listed is still proved."""
    ledger = opened()
    new = ModelId(b"\7" * 32)
    place = model_key(new)
    keys = [to_hex(each) for each in (model_key(TEXT_ID), model_key(TENSOR.model_id()), place)]
    before = ledger.rpc(Rpc("paraph_getProof", (keys,)))
    ledger.call(BOB, "Models", "register", *model_arguments(model_id=new))

    def behind(reply: dict[str, Any]) -> Any:
        return before if [each["key"] for each in reply["proofs"]] == keys else None

    assert lied(ledger, registry.models(ledger.trust), behind).keys() == {TEXT_ID, TENSOR.model_id()}


def test_accounts() -> None:
    """Balances and escrows are read as the ledger has them."""
    ledger = opened()

    assert asked(ledger, registry.escrow(ledger.trust, ALICE.address)).available == OPG
    assert asked(ledger, registry.balance(ledger.trust, BOB.address)) == ledger.chain.genesis.allocations[1].amount
