"""Budgets, counts and whose they are."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.full_node.world import Desk

from paraph.core.errors import Rejected, Unavailable
from paraph.full_node import limits
from paraph.full_node.ethereum import methods
from paraph.full_node.limits import COSTS, Gate, Limits, client_of
from paraph.full_node.rpc import BODY_BYTES_MAX


class Watch:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def refused(gate: Gate, client: str, cost: int) -> int:
    """How long a refused client is told to wait; 0 when it is let in."""
    try:
        gate.spend(client, cost)
    except Unavailable as error:
        return int(str(error.facts["retry_after_ms"]))
    return 0


def test_budget_is_spent_and_comes_back() -> None:
    """After its burst a client may spend what comes back with time, and is told exactly when."""
    watch = Watch()
    gate = Gate(Limits(cost_per_s=10, cost_burst=20), watch)

    assert [refused(gate, "a", 5) for _ in range(5)] == [0, 0, 0, 0, 501]
    watch.now_s += 0.501
    assert refused(gate, "a", 5) == 0
    watch.now_s += 1_000
    assert [refused(gate, "a", 10) for _ in range(3)] == [0, 0, 1_001]


def test_budgets_are_separate() -> None:
    """What one client spends no other misses."""
    gate = Gate(Limits(cost_per_s=1, cost_burst=1), Watch())

    assert (refused(gate, "a", 1), refused(gate, "b", 1), refused(gate, "a", 1)) == (0, 0, 1_001)


def test_cost_above_all_takes_all() -> None:
    """A call that costs more than any budget can still be made, by a client that rested."""
    gate = Gate(Limits(cost_per_s=1, cost_burst=3), Watch())

    assert (refused(gate, "a", 20), refused(gate, "a", 1)) == (0, 1_001)


def test_looking_costs_nothing() -> None:
    """Asking whether anything is left takes nothing."""
    gate = Gate(Limits(cost_per_s=1, cost_burst=1), Watch())
    gate.need_budget("a")
    gate.spend("a", 1)

    with pytest.raises(Unavailable) as caught:
        gate.need_budget("a")

    assert caught.value.code == "rpc.rate"


def test_clients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many clients are remembered; who asked longest ago is forgotten."""
    monkeypatch.setattr(limits, "CLIENTS_MAX", 2)
    gate = Gate(Limits(cost_per_s=1, cost_burst=1), Watch())
    for client in ("a", "b", "a", "c"):
        refused(gate, client, 1)

    assert set(gate._budgets) == {"a", "c"}


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=30))
def test_never_more_than_allowed(asked: list[tuple[float, int]]) -> None:
    """Over any time, what is let through is at most the burst and what came back meanwhile."""
    watch = Watch()
    gate = Gate(Limits(cost_per_s=10, cost_burst=20), watch)
    start_s, spent = watch.now_s, 0

    for pause_s, cost in asked:
        watch.now_s += pause_s
        spent += min(cost, 20) if refused(gate, "a", cost) == 0 else 0

        assert spent <= 20 + (watch.now_s - start_s) * 10 + 1e-6


def test_requests_are_counted() -> None:
    """So many at once of one client, so many of all; one that ends makes room, however it ends."""
    gate = Gate(Limits(requests_max=3, requests_per_client_max=2))
    with gate.request("a"), gate.request("b"):
        with gate.request("a"):
            for client in ("a", "b", "c"):
                with pytest.raises(Unavailable) as caught, gate.request(client):
                    pass
                assert caught.value.code == "rpc.busy"
        with pytest.raises(ZeroDivisionError), gate.request("c"):
            raise ZeroDivisionError
        with gate.request("c"), gate.socket("c"):
            assert gate.sockets == 1

    assert (gate._requests, gate._sockets) == ({}, {})


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_limits_are_sane(name: str) -> None:
    """A limit of nothing, or beyond what the parsers take, is refused by name."""
    for value in (-1, 2**60, *([0] if name != "proxies_trusted" else [])):
        with pytest.raises(Rejected) as caught:
            Limits(**{name: value})
        assert caught.value.facts["name"] == name
    Limits(body_bytes_max=BODY_BYTES_MAX)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("10.0.0.1", "", 0, "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", 0, "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", 1, "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1", 1, "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1,2.2.2.2", 2, "1.1.1.1"),
        ("10.0.0.1", "1.1.1.1", 2, "10.0.0.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "nonsense", 1, "10.0.0.1"),
        ("::1", "", 0, "::/64"),
        ("2001:db8::1", "", 0, "2001:db8::/64"),
        ("2001:db8::ffff:2", "", 0, "2001:db8::/64"),
        ("::ffff:1.2.3.4", "", 0, "1.2.3.4"),
        ("", "", 0, ""),
    ],
)
def test_client(peer: str, forwarded: str, proxies: int, client: str) -> None:
    """Who a client is cannot be chosen by it: only what trusted proxies wrote is read."""
    assert client_of(peer, forwarded, proxies) == client


@given(st.text(max_size=80), st.integers(0, 8))
def test_any_header_has_a_client(forwarded: str, proxies: int) -> None:
    """Whatever stands in the header, a client comes of it."""
    assert client_of("10.0.0.1", forwarded, proxies)


def test_costs_name_real_methods() -> None:
    """Every method that costs more than one is one that there is."""
    desk = Desk()

    assert set(COSTS) - {"eth_subscribe", "paraph_getTransactions"} <= set(
        methods(desk.chain, desk.production, desk.clock)
    )
