"""The named options of the answering methods, typed, for both clients."""

from typing import Any, TypedDict

from paraph.core.ident import Address


class Options(TypedDict, total=False):
    """On which terms an answer is bought.

    layer: verification layer: `signature` by default, `tee`, or `zkml`.
    max_price: cap in wei; by default the most the request can cost by the model's price.
    node: a certain node's account; by default any that serves the model.
    min_trust: with the layer `tee`: what the enclave's platform must be worth at least, `hardware` by default; one of
        `simulated`, `vtpm`, `hardware-degraded`, `hardware`, `hardware-strict`.
    private: with the layer `tee`: seal request and answer to the enclave's own key, beside TLS.
    relay: with the layer `tee`: URL of a relay that carries what is sealed, so that the node does not learn who asks.
    """

    layer: str
    max_price: int | None
    node: Address | None
    min_trust: str
    private: bool
    relay: str


class TextOptions(Options, total=False):
    """The parameters of a text request, as OpenAI names them; `docs/spec/request.md` has ranges and defaults."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    seed: int | None
    stop: str | list[str]
    logprobs: bool
    top_logprobs: int
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    response_format: dict[str, Any]
