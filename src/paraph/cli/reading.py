"""Asking the network without a key: reads of the registry, each proved, and nothing that needs a signature."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from paraph.adapters.http.client import Done, Means, SyncDriver
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.encode import JsonObject
from paraph.flows.effect import Flow

if TYPE_CHECKING:
    from paraph.sdk.network import Network

T = TypeVar("T")


def ask(network: "Network", flow: Flow[T], told: Callable[[JsonObject], object] = lambda _: None) -> T:
    """The result of a flow that signs nothing; `told` is called with what it shows on the way."""
    driver = SyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes))
    try:
        for event in driver.play(flow):
            if isinstance(event, Done):
                return event.value
            told(event.chunk)
    finally:
        driver.close()
    raise AssertionError("a flow ends with Done")
