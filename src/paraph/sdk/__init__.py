"""The SDK: `Client` and `AsyncClient`, from the same flows. Verification is on, and there is no switch.

`Client.open("network.json", load_key("wallet.json", password))` connects; `chat`, `complete`, `embed` and `infer`
return an `Answer` that verified, or raise; `Answer.save` writes the file that `paraph verify` checks offline.
"""

from paraph.adapters.keys.keystore import load_key
from paraph.flows.buy import Unanswered
from paraph.sdk.answer import Answer
from paraph.sdk.client import AsyncClient, Client
from paraph.sdk.network import Network, load_network
from paraph.sdk.stream import AsyncStream, Stream

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "Network",
    "Stream",
    "Unanswered",
    "load_key",
    "load_network",
]
