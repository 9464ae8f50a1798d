"""The door on real sockets: who is let in, how much, and what is said to those who are not."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.full_node import Doorstep, doorstep
from tests.unit.full_node.world import Desk, genesis, transfer

from paraph.adapters.ethereum import rpc
from paraph.adapters.ethereum.rpc import Group, Method
from paraph.full_node.door import CONTENT_TYPES, PUBLIC, DoorConfig
from paraph.full_node.limits import Limits

CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}


@pytest.fixture(scope="module")
def door() -> Iterator[Doorstep]:
    with doorstep() as found:
        yield found


def sample(door: Doorstep, name: str, **labels: str) -> float:
    return door.metrics.registry.get_sample_value(f"paraph_{name}", labels) or 0


def post(door: Doorstep, value: Any, **headers: str) -> httpx.Response:
    assert door.http is not None
    return door.http.post("/", json=value, headers=headers)


@pytest.mark.parametrize("kind", CONTENT_TYPES)
def test_content_types(door: Doorstep, kind: str) -> None:
    """What may be sent is answered; what a web page may send unasked is not."""
    assert door.http is not None

    assert post(door, CALL, **{"content-type": kind}).status_code == 200
    assert door.http.post("/", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415


def test_health(door: Doorstep) -> None:
    """Health is what the node says it is."""
    assert door.http is not None

    assert door.http.get("/health").json() == {"height": door.desk.chain.height}


# --- groups --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "sends", "makes"),
    [(PUBLIC, True, False), (frozenset({Group.READ}), False, False), (frozenset(Group), True, True)],
)
def test_groups(groups: frozenset[Group], sends: bool, makes: bool) -> None:
    """By default all may read and hand in what others signed; nobody makes blocks by hand unless configured."""
    with doorstep(DoorConfig(groups=groups), Desk(genesis(devnet=True))) as door:
        sent = door.ask("eth_sendRawTransaction", "0x" + transfer(0).hex())
        made = door.ask("paraph_produceBlock")

        assert "result" in door.ask("eth_blockNumber")
    for asked, found in ((sends, sent), (makes, made)):
        assert asked == ("result" in found)
        assert asked or found["error"]["code"] == rpc.METHOD_NOT_FOUND


# --- limits --------------------------------------------------------------------------------------------------------


def test_rate_limit() -> None:
    """A client that spent its budget gets 429, a number, and when to try again; a batch is counted call by call."""
    with doorstep(DoorConfig(Limits(cost_per_s=1, cost_burst=10))) as door:
        batch = post(door, [CALL] * 12)
        single = post(door, CALL)

    answers = batch.json()
    assert (batch.status_code, [("result" in each) for each in answers]) == (200, [True] * 10 + [False] * 2)
    assert answers[-1]["error"]["code"] == rpc.LIMIT_EXCEEDED
    assert answers[-1]["error"]["data"]["code"] == "rpc.rate"
    assert (single.status_code, single.headers["retry-after"]) == (429, "1")
    assert single.json()["error"]["data"]["facts"]["retry_after_ms"] > 0
    assert sample(door, "rpc_limited_total", limit="rate") == 3
    assert sample(door, "rpc_requests_total", method="eth_chainId", outcome="limited") == 2


def test_dear_methods_cost_more() -> None:
    """A search of logs takes more of the budget than a read."""
    with doorstep(DoorConfig(Limits(cost_per_s=1, cost_burst=30))) as door:
        first, second = door.ask("eth_getLogs", {}), post(door, {**CALL, "method": "eth_getLogs", "params": [{}]})

    assert "result" in first
    assert (second.status_code, int(second.headers["retry-after"]) >= 9) == (429, True)


def test_forwarded_clients() -> None:
    """Behind a trusted proxy each client has a budget of its own; without one the header changes nothing."""
    limits = Limits(cost_per_s=1, cost_burst=1, proxies_trusted=1)
    with doorstep(DoorConfig(limits)) as door:
        behind = [post(door, CALL, **{"x-forwarded-for": who}).status_code for who in ("1.1.1.1", "2.2.2.2", "2.2.2.2")]
    with doorstep(DoorConfig(Limits(cost_per_s=1, cost_burst=1))) as door:
        open_to_all = [post(door, CALL, **{"x-forwarded-for": who}).status_code for who in ("1.1.1.1", "2.2.2.2")]

    assert (behind, open_to_all) == ([200, 200, 429], [200, 429])


def test_body_and_batch_sizes() -> None:
    """Larger bodies and longer batches than configured are refused."""
    with doorstep(DoorConfig(Limits(body_bytes_max=500, batch_calls_max=2))) as door:
        large = post(door, {**CALL, "params": ["x" * 500]})
        long = post(door, [CALL] * 3)

    assert large.status_code == 413
    assert long.json()["error"]["code"] == rpc.INVALID_REQUEST
    assert sample(door, "rpc_limited_total", limit="size") == 1


def with_method(door: Doorstep, name: str, run: Callable[..., Any]) -> None:
    """Put a method into a door that is open already."""
    door.door._by_post = {**door.door._by_post, name: Method(run)}


def test_call_time_is_bounded() -> None:
    """A call that waits too long ends with a number; it is counted as such."""

    async def wait() -> None:
        await asyncio.sleep(30)

    with doorstep(DoorConfig(Limits(call_ms_max=50))) as door:
        with_method(door, "eth_wait", wait)
        error = door.error("eth_wait")

    assert (error["code"], error["message"][:22]) == (rpc.LIMIT_EXCEEDED, "query timeout exceeded")
    assert sample(door, "rpc_requests_total", method="eth_wait", outcome="timeout") == 1


def test_requests_at_once_are_bounded() -> None:
    """More requests at once than allowed get 429; when one ends there is room again."""
    began, going = threading.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await going.wait()

    async def scene(door: Doorstep) -> list[int]:
        async with httpx.AsyncClient(base_url=door.url, timeout=20) as client:
            first = asyncio.create_task(client.post("/", json={**CALL, "method": "eth_wait"}))
            assert await asyncio.to_thread(began.wait, 10)
            second = await client.post("/", json=CALL)
            assert door.loop is not None
            door.loop.call_soon_threadsafe(going.set)
            return [(await first).status_code, second.status_code, (await client.post("/", json=CALL)).status_code]

    with doorstep(DoorConfig(Limits(requests_per_client_max=1))) as door:
        with_method(door, "eth_wait", wait)
        found = asyncio.run(scene(door))

    assert found == [200, 429, 200]


# --- pages in browsers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origins", "allowed"), [((), None), (("https://mine.example",), "https://mine.example"), (("*",), "*")]
)
def test_origins(origins: tuple[str, ...], allowed: str | None) -> None:
    """A page may ask when its origin is configured, and a browser is told so before and after."""
    headers = {"origin": "https://mine.example"}
    preflight = {
        **headers,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    with doorstep(DoorConfig(origins=origins)) as door:
        assert door.http is not None
        asked = door.http.options("/", headers=preflight)
        foreign = door.http.options("/", headers={**preflight, "origin": "https://evil.example"})
        answered = post(door, CALL, **headers)

    assert asked.headers.get("access-control-allow-origin") == allowed
    assert answered.headers.get("access-control-allow-origin") == allowed
    assert foreign.headers.get("access-control-allow-origin") == ("*" if allowed == "*" else None)
    assert (asked.status_code == 200) == (allowed is not None)


# --- figures -------------------------------------------------------------------------------------------------------


def test_calls_are_counted() -> None:
    """Calls are counted by method and outcome; a stranger's words never become a label."""
    with doorstep() as door:
        door.ask("eth_chainId")
        door.ask("eth_getBalance", "nonsense")
        for number in range(5):
            door.ask(f"eth_made_up_{number}")
        door.body({"x": 1})
        text = asyncio.run(scraped(door))

    assert sample(door, "rpc_requests_total", method="eth_chainId", outcome="ok") == 1
    assert sample(door, "rpc_requests_total", method="eth_getBalance", outcome="error") == 1
    assert sample(door, "rpc_requests_total", method="unknown", outcome="error") == 6
    assert "made_up" not in text


async def scraped(door: Doorstep) -> str:
    transport = httpx.ASGITransport(door.metrics.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics") as client:
        return (await client.get("/metrics")).text


def test_fault_of_ours() -> None:
    """A fault is told as one, and counted as one."""

    def fail() -> None:
        raise ZeroDivisionError

    with doorstep() as door:
        with_method(door, "eth_fail", fail)
        error = door.error("eth_fail")

    assert error == {"code": rpc.INTERNAL_ERROR, "message": "internal error"}
    assert sample(door, "rpc_requests_total", method="eth_fail", outcome="fault") == 1


# --- garbage -------------------------------------------------------------------------------------------------------


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params"]), inner),
    ).map(lambda value: json.dumps(value).encode())
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_answered(door: Doorstep, capfd: pytest.CaptureFixture[str], body: bytes) -> None:
    """Any body has an answer that is JSON, or none; never a fault, never a traceback."""
    assert door.http is not None
    found = door.http.post("/", content=body)

    assert found.status_code in {200, 204, 429}
    assert found.content == b"" or json.loads(found.content)
    assert str(rpc.INTERNAL_ERROR) not in found.text
    assert "Traceback" not in "".join(capfd.readouterr())
