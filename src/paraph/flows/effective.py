"""The effective request: what a caller wrote, after defaults, in one exact form. It is what is signed and executed.

Client and node compute it alike. Nothing is dropped: a name that is not understood is refused, and `honourable` refuses
a parameter that the engine cannot honour. Applying it twice changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import Final

from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text, canonical
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ModelId, to_hex
from paraph.core.limits import BODY_DEPTH_MAX, NAME_BYTES_MAX, TENSORS_MAX
from paraph.core.tensor import Tensor, tensor_from_json
from paraph.proofs.exactness import SALT, salt_of

TOKENS_MAX: Final = 1 << 20
MESSAGES_MAX: Final = 4096
SEED_MAX: Final = 2**32 - 2
"""Engines keep 32 bits for a seed and read the largest value as "draw one yourself", which nobody could repeat."""
STOPS_MAX: Final = 16
TOP_LOGPROBS_MAX: Final = 20
TEXTS_MAX: Final = 2048
TOOLS_MAX: Final = 128

DEFAULTS: Final[Mapping[str, Json]] = {
    "max_tokens": 256,
    "temperature": 1,
    "top_p": 1,
    "top_k": 0,
    "min_p": 0,
    "repeat_penalty": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "seed": 0,
    "stop": [],
    "logprobs": False,
    "top_logprobs": 0,
}
"""What a text request means where its author said nothing. Each is neutral: an engine without it loses nothing."""

ESSENTIAL: Final = frozenset({"kind", "model", "messages", "prompt", "max_tokens"})
"""Names that every text engine reads."""

TRANSPORT: Final = frozenset({"stream", "stream_options", "kind", "n"})
"""Names that do not change the answer: how it travels, and `n`, which may only be 1."""


def chat(body: JsonObject, model_id: ModelId) -> dict[str, Json]:
    """The effective form of an OpenAI chat request.

    Raises:
        Malformed: `request.parameter`, `request.messages`. Rejected: `request.unknown_parameter`, naming it.
    """
    found = _text(body, model_id, "chat", {"messages", "tools", "tool_choice", "response_format"})
    messages = as_list(body.get("messages"), "messages", items_max=MESSAGES_MAX)
    if not messages:
        raise Malformed("request.messages", "messages must hold at least one message")
    found["messages"] = [_message(each) for each in messages]
    if body.get("tools") not in (None, []):
        found["tools"] = [as_object(each, "tools") for each in as_list(body["tools"], "tools", items_max=TOOLS_MAX)]
        found["tool_choice"] = body.get("tool_choice") or "auto"
    elif body.get("tool_choice") not in (None, "none", "auto"):
        raise Malformed("request.parameter", "tool_choice needs tools")
    form = body.get("response_format")
    if form is not None and as_object(form, "response_format").get("type") != "text":
        found["response_format"] = form
    return _shallow(found)


def completion(body: JsonObject, model_id: ModelId) -> dict[str, Json]:
    """The effective form of an OpenAI text completion request. Raises as `chat` does."""
    found = _text(body, model_id, "completion", {"prompt"})
    prompt = body.get("prompt")
    if isinstance(prompt, list | tuple) and len(prompt) == 1:
        prompt = prompt[0]
    found["prompt"] = as_text(prompt, "prompt")
    return found


def embeddings(body: JsonObject, model_id: ModelId) -> dict[str, Json]:
    """The effective form of an OpenAI embeddings request. Raises as `chat` does."""
    _refuse_unknown(body, {"model", "input", "inputs", "encoding_format"})
    if "inputs" in body and "input" in body:
        raise Malformed("request.parameter", "give input or inputs, not both", parameter="inputs")
    texts = body.get("inputs", body.get("input"))
    listed = [texts] if isinstance(texts, str) else as_list(texts, "input", items_max=TEXTS_MAX)
    if not listed:
        raise Malformed("request.parameter", "input must hold at least one text")
    inputs: list[Json] = [as_text(each, "input") for each in listed]
    return {"kind": "embeddings", "model": to_hex(model_id), "inputs": inputs}


def infer(
    tensors: tuple[Tensor, ...], outputs: tuple[str, ...], model_id: ModelId, salt: bytes | None = None
) -> dict[str, Json]:
    """The effective form of a tensor request.

    Args:
        tensors: the inputs.
        outputs: the names of those that are wanted; none for all.
        model_id: which model.
        salt: 32 random bytes where the answer is to be proven, which hide it from the public; None otherwise.

    Raises:
        Malformed: `request.parameter`: no tensors, too many, or a name twice.
    """
    names = [tensor.name for tensor in tensors]
    if not 0 < len(names) <= TENSORS_MAX or len(set(names)) != len(names):
        raise Malformed("request.parameter", f"give 1 to {TENSORS_MAX} inputs, each name once")
    if len(outputs) > TENSORS_MAX or len(set(outputs)) != len(outputs):
        raise Malformed("request.parameter", f"ask for at most {TENSORS_MAX} outputs, each name once")
    inputs: list[Json] = [tensor.as_json() for tensor in tensors]
    salted: dict[str, Json] = {} if salt is None else {SALT: to_hex(salt)}
    return {"kind": "infer", "model": to_hex(model_id), "inputs": inputs, "outputs": list(outputs), **salted}


def tensors_of(body: JsonObject) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """The tensors and output names of an effective tensor request. Raises `Malformed`."""
    inputs = as_list(body.get("inputs"), "inputs", items_max=TENSORS_MAX)
    outputs = as_list(body.get("outputs", ()), "outputs", items_max=TENSORS_MAX)
    names = tuple(as_text(each, "outputs", bytes_max=NAME_BYTES_MAX) for each in outputs)
    return tuple(tensor_from_json(each, "inputs") for each in inputs), names


def effective(body: JsonObject, model_id: ModelId) -> dict[str, Json]:
    """The effective form of a body that names its kind. Raises `Malformed` (`request.kind`) and as each kind does."""
    kind = body.get("kind")
    if kind == "infer":
        _refuse_unknown(body, {"model", "inputs", "outputs", SALT})
        tensors, outputs = tensors_of(body)
        return infer(tensors, outputs, model_id, salt_of(body[SALT]) if SALT in body else None)
    readers: dict[Json, Callable[[JsonObject, ModelId], dict[str, Json]]] = {
        "chat": chat,
        "completion": completion,
        "embeddings": embeddings,
    }
    if not isinstance(kind, str) or kind not in readers:
        raise Malformed("request.kind", "kind must be chat, completion, embeddings or infer")
    return readers[kind](body, model_id)


def honourable(body: JsonObject, honoured: frozenset[str]) -> dict[str, Json]:
    """The members of a text request for an engine that honours these parameters.

    What it does not know may stand at its neutral default and is then left out; nothing else is.

    Raises:
        Rejected: `request.unhonoured_parameter`, naming every one.
    """
    asked = sorted(
        name
        for name, value in body.items()
        if name not in honoured and name not in ESSENTIAL and (name not in DEFAULTS or value != DEFAULTS[name])
    )
    if asked:
        raise Rejected(
            "request.unhonoured_parameter",
            f"this model's engine cannot honour: {', '.join(asked)}; leave them out",
            parameters=", ".join(asked),
        )
    return {name: value for name, value in body.items() if name in honoured | ESSENTIAL}


# --- parts -------------------------------------------------------------------------------------------------------


def _refuse_unknown(body: JsonObject, known: set[str]) -> None:
    unknown = sorted(body.keys() - known - TRANSPORT)
    if unknown:
        raise Rejected(
            "request.unknown_parameter",
            f"unknown parameters: {', '.join(unknown)[:200]}",
            parameters=", ".join(unknown),
        )
    if body.get("n", 1) != 1:
        raise Rejected("request.unknown_parameter", "n must be 1: one request, one answer", parameters="n")


def _shallow(body: dict[str, Json]) -> dict[str, Json]:
    """The body itself, when what carries it (a message, the outbox, a bundle) can still hold it. Raises `Malformed`."""
    level: list[Json] = [body]
    for _ in range(BODY_DEPTH_MAX):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise Malformed("request.depth", f"the request is nested deeper than {BODY_DEPTH_MAX}", limit=BODY_DEPTH_MAX)
    return body


def _inside(value: Json) -> list[Json]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _number(low: int, high: int) -> Callable[[Json, str], Json]:
    def read(value: Json, name: str) -> Json:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise Malformed("request.parameter", f"{name} must be a number from {low} to {high}", parameter=name)
        return value

    return read


def _integer(low: int, high: int) -> Callable[[Json, str], Json]:
    def read(value: Json, name: str) -> Json:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Malformed("request.parameter", f"{name} must be an integer from {low} to {high}", parameter=name)
        return value

    return read


def _flag(value: Json, name: str) -> Json:
    if not isinstance(value, bool):
        raise Malformed("request.parameter", f"{name} must be true or false", parameter=name)
    return value


def _stops(value: Json, name: str) -> Json:
    listed = [value] if isinstance(value, str) else as_list(value, name, items_max=STOPS_MAX)
    if "" in listed:
        raise Malformed("request.parameter", f"{name}: an empty text stands everywhere", parameter=name)
    return [as_text(each, name, bytes_max=1024) for each in listed]


_READERS: Final[Mapping[str, Callable[[Json, str], Json]]] = {
    "max_tokens": _integer(1, TOKENS_MAX),
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "top_k": _integer(0, 1_000_000),
    "min_p": _number(0, 1),
    "repeat_penalty": _number(0, 10),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "seed": _integer(0, SEED_MAX),
    "stop": _stops,
    "logprobs": _flag,
    "top_logprobs": _integer(0, TOP_LOGPROBS_MAX),
}


def _text(body: JsonObject, model_id: ModelId, kind: str, more: set[str]) -> dict[str, Json]:
    # max_completion_tokens is OpenAI's newer name of the same thing.
    _refuse_unknown(body, more | DEFAULTS.keys() | {"model", "max_completion_tokens"})
    found: dict[str, Json] = {"kind": kind, "model": to_hex(model_id)}
    aliases = {"max_tokens": body.get("max_completion_tokens")}
    if None not in (body.get("max_tokens"), aliases["max_tokens"]) and body["max_tokens"] != aliases["max_tokens"]:
        raise Malformed("request.parameter", "max_tokens and max_completion_tokens differ", parameter="max_tokens")
    for name, read in _READERS.items():
        value = body.get(name)
        if value is None:
            value = aliases.get(name)
        found[name] = read(DEFAULTS[name] if value is None else value, name)
    if found["top_logprobs"] and not found["logprobs"]:
        raise Malformed("request.parameter", "top_logprobs needs logprobs to be true", parameter="top_logprobs")
    return found


_ROLES = ("system", "user", "assistant", "tool", "developer")


def _message(value: Json) -> dict[str, Json]:
    message = as_object(value, "a message")
    unknown = sorted(message.keys() - {"role", "content", "name", "tool_calls", "tool_call_id"})
    if unknown or message.get("role") not in _ROLES:
        raise Malformed("request.messages", f"a message has a role of {', '.join(_ROLES)}; unknown members: {unknown}")
    found: dict[str, Json] = {name: each for name, each in message.items() if each is not None and name != "content"}
    content = message.get("content")
    if content is not None:
        found["content"] = content if isinstance(content, str) else _joined(content)
    return found


def _joined(content: Json) -> str:
    """Text parts become one text; a part that is no text is refused, never dropped."""
    parts = [as_object(part, "a content part") for part in as_list(content, "content", items_max=MESSAGES_MAX)]
    if any(part.get("type") != "text" for part in parts):
        raise Rejected("request.content", "only text content is supported here; send no images, audio or files")
    return "".join(as_text(part.get("text"), "text") for part in parts)


def tokens_most(body: JsonObject) -> tuple[int, int]:
    """The most tokens in and out that a text request can take, for a price cap made without a tokenizer.

    A token covers at least one byte of text; templates add some around each message.
    """
    if body["kind"] == "embeddings":
        texts = as_list(body["inputs"], "inputs", items_max=TEXTS_MAX)
        return sum(len(as_text(each, "inputs").encode()) + 8 for each in texts), 0
    size = len(as_text(body.get("prompt", ""), "prompt").encode())
    # The whole message counts: a template may show its tool calls and its name too.
    for message in as_list(body.get("messages", ()), "messages", items_max=MESSAGES_MAX):
        size += len(canonical(message)) + 64
    # A template may indent what it shows, and explains how to call.
    shown = [body[name] for name in ("tools", "response_format") if name in body]
    extra = 256 + sum(4096 + 4 * len(canonical(each)) for each in shown)
    return size + extra, as_integer(body["max_tokens"], "max_tokens")
