"""The SDK: `Client` and `AsyncClient`, from the same flows. Verification is on, and there is no switch.

from paraph.sdk import Client

with Client.open("network.json", key) as client:
answer = client.chat("smollm2-135m-instruct", "Say hello.")
print(answer.text, answer.verdict.verified)
answer.save("answer.json")
"""

from paraph.sdk.answer import Answer
from paraph.sdk.client import AsyncClient, Client
from paraph.sdk.network import Network
from paraph.sdk.stream import AsyncStream, Stream

__all__ = ["Answer", "AsyncClient", "AsyncStream", "Client", "Network", "Stream"]
