"""The effective request, as text engines read it: every member known, in range, and nothing left to silence.

An absent sampling member means that step is off (its neutral value). A member that the engine does not honour is
refused, never dropped: the receipt says that what was signed is what ran.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text
from paraph.core.errors import Malformed, Rejected

STOPS_MAX: Final = 16
"""Stop strings: OpenAI allows 4; each is looked for at every token."""

STOP_BYTES_MAX: Final = 1024
"""One stop string: so much text may be held back while it may still come."""

MESSAGES_MAX: Final = 10_000
"""Messages of a conversation: a context of a million tokens holds fewer with any sense."""

SEED_MAX: Final = 2**32 - 1
"""Seeds are 32 bits wide in the samplers in use."""

ALWAYS: Final = frozenset({"kind", "model", "messages", "prompt", "max_tokens"})
"""Members that are not options: every text engine reads them."""

SAMPLING: Final = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "seed"}
)
"""Members that choose the sampler."""


@dataclass(frozen=True, slots=True)
class TextRequest:
    """What to generate. Neutral values stand where the effective request is silent."""

    kind: str
    model: str
    messages: tuple[JsonObject, ...]
    prompt: str
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    seed: int
    stop: tuple[str, ...]
    logprobs: bool
    top_logprobs: int
    response_format: JsonObject | None


def read_request(request: JsonObject, honoured: frozenset[str]) -> TextRequest:
    """Read an effective request for an engine that honours these parameters.

    Raises:
        Rejected: `engine.parameter` for a member the engine does not honour; `engine.request` for a value out of range.
    """
    unknown = sorted(request.keys() - honoured - ALWAYS)
    if unknown:
        raise Rejected(
            "engine.parameter",
            f"this engine does not honour {', '.join(unknown)[:300]}; it honours {', '.join(sorted(honoured))}",
            got=", ".join(unknown)[:300],
        )
    try:
        return _read(request)
    except Malformed as error:
        raise Rejected("engine.request", f"the request: {error.message}") from error


def _read(request: JsonObject) -> TextRequest:
    kind = as_text(request.get("kind"), "kind", bytes_max=20)
    if kind not in ("chat", "completion"):
        raise Malformed("json.shape", f"kind must be chat or completion, not {kind!r}")
    if ("messages" in request) != (kind == "chat") or ("prompt" in request) != (kind == "completion"):
        raise Malformed("json.shape", "a chat has messages and a completion has a prompt")
    messages = as_list(request.get("messages", ()), "messages", items_max=MESSAGES_MAX)
    if kind == "chat" and not messages:
        raise Malformed("json.shape", "messages must not be empty")
    stops = as_list(request.get("stop", ()), "stop", items_max=STOPS_MAX)
    form = request.get("response_format")
    return TextRequest(
        kind=kind,
        model=as_text(request.get("model", ""), "model", bytes_max=512),
        messages=tuple(_message(message) for message in messages),
        prompt=as_text(request.get("prompt", ""), "prompt"),
        max_tokens=as_integer(request.get("max_tokens"), "max_tokens", 1, 1 << 24),
        temperature=_number(request, "temperature", 1.0, 0.0, 10.0),
        top_p=_number(request, "top_p", 1.0, 0.0, 1.0),
        top_k=as_integer(request.get("top_k", 0), "top_k", 0, 1 << 20),
        min_p=_number(request, "min_p", 0.0, 0.0, 1.0),
        repeat_penalty=_number(request, "repeat_penalty", 1.0, 0.01, 10.0),
        presence_penalty=_number(request, "presence_penalty", 0.0, -2.0, 2.0),
        frequency_penalty=_number(request, "frequency_penalty", 0.0, -2.0, 2.0),
        seed=as_integer(request.get("seed", 0), "seed", 0, SEED_MAX),
        stop=tuple(_stop(stop) for stop in stops),
        logprobs=_flag(request, "logprobs"),
        top_logprobs=as_integer(request.get("top_logprobs", 0), "top_logprobs", 0, 20),
        response_format=None if form is None else as_object(form, "response_format"),
    )


def _message(value: Json) -> JsonObject:
    message = as_object(value, "a message")
    as_text(message.get("role"), "a message's role", bytes_max=64)
    if message.get("content") is not None or "tool_calls" not in message:
        as_text(message.get("content"), "a message's content")
    return message


def _stop(value: Json) -> str:
    stop = as_text(value, "a stop string", bytes_max=STOP_BYTES_MAX)
    if not stop:
        raise Malformed("json.shape", "a stop string must not be empty")
    return stop


def _flag(request: JsonObject, name: str) -> bool:
    found = request.get(name, False)
    if not isinstance(found, bool):
        raise Malformed("json.shape", f"{name} must be true or false")
    return found


def _number(request: JsonObject, name: str, neutral: float, low: float, high: float) -> float:
    found = request.get(name, neutral)
    if isinstance(found, bool) or not isinstance(found, int | float) or not isfinite(found) or not low <= found <= high:
        raise Malformed("json.shape", f"{name} must be a number from {low:g} to {high:g}")
    return float(found)
