"""Asking the network without a key: reads of the registry, each proved, and nothing that needs a signature."""

from typing import TYPE_CHECKING, TypeVar

from paraph.adapters.http.client import Means, SyncDriver
from paraph.adapters.system import SystemClock, random_bytes
from paraph.flows.effect import Flow

if TYPE_CHECKING:
    from paraph.sdk.network import Network

T = TypeVar("T")


def ask(network: "Network", flow: Flow[T]) -> T:
    """The result of a flow that signs nothing."""
    driver = SyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes))
    try:
        return driver.run(flow)
    finally:
        driver.close()
