"""Answers as OpenAI's API shows them: for the node's door and for the verifying proxy, from the same response."""

import base64
import struct

from paraph.core.encode import Json, JsonObject, as_object
from paraph.core.errors import Malformed, ParaphError
from paraph.proofs.receipt import Receipt


def travel(asked: JsonObject) -> tuple[bool, bool]:
    """How the answer travels: streamed or not, and with a last event of usage or not. Raises `Malformed`."""
    stream, options = asked.get("stream"), asked.get("stream_options")
    if not isinstance(stream, bool | None):
        raise Malformed("request.parameter", "stream must be true or false", parameter="stream")
    if options is None:
        return bool(stream), False
    found = as_object(options, "stream_options")
    wants_usage = found.get("include_usage", False)
    if not stream or found.keys() - {"include_usage"} or not isinstance(wants_usage, bool):
        sentence = "stream_options goes with stream, and holds include_usage, true or false, and nothing else"
        raise Malformed("request.parameter", sentence, parameter="stream_options")
    return True, wants_usage


def error_json(error: ParaphError) -> dict[str, Json]:
    """An error in OpenAI's form: message, type (our branch), code, and the parameter it names, if any."""
    named = error.facts.get("parameter") or error.facts.get("parameters")
    return {
        "message": error.message,
        "type": error.branch,
        "code": error.code,
        "param": None if named is None else str(named),
    }


def completion(answer_id: str, model: str, body: JsonObject, response: JsonObject, receipt: Receipt) -> dict[str, Json]:
    """A whole chat completion or text completion."""
    chat = body["kind"] == "chat"
    choice: dict[str, Json] = {"index": 0, "finish_reason": response["finish_reason"], "logprobs": None}
    if chat:
        tool_calls = response["tool_calls"]
        choice["message"] = {"role": "assistant", "content": response["text"]} | (
            {"tool_calls": tool_calls} if tool_calls else {}
        )
    else:
        choice["text"] = response["text"]
    if response["logprobs"] is not None:
        entries: Json = response["logprobs"]
        choice["logprobs"] = {"content": entries, "refusal": None} if chat else legacy_logprobs(entries)
    return {
        "id": answer_id,
        "object": "chat.completion" if chat else "text_completion",
        "created": receipt.started_ms // 1000,
        "model": model,
        "choices": [choice],
        "usage": usage(response),
    }


def chunk(
    answer_id: str, model: str, body: JsonObject, created: int, delta: JsonObject | None, finish: Json
) -> dict[str, Json]:
    """One event of a stream: some text, or with `delta` None the end with its finish reason."""
    chat = body["kind"] == "chat"
    choice: dict[str, Json] = {"index": 0, "finish_reason": finish, "logprobs": None}
    text: Json = "" if delta is None else delta.get("text", "")
    if chat:
        shown: dict[str, Json] = {} if delta is None else {"role": "assistant", "content": text}
        if delta is not None and "tool_calls" in delta:
            shown["tool_calls"] = delta["tool_calls"]
        choice["delta"] = shown
    else:
        choice["text"] = text
    if delta is not None and "logprobs" in delta:
        entries = delta["logprobs"]
        choice["logprobs"] = {"content": entries, "refusal": None} if chat else legacy_logprobs(entries)
    return {
        "id": answer_id,
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": created,
        "model": model,
        "choices": [choice],
    }


def usage_chunk(answer_id: str, model: str, body: JsonObject, created: int, response: JsonObject) -> dict[str, Json]:
    """The event that `stream_options.include_usage` asks for: no choices, the usage."""
    whole = chunk(answer_id, model, body, created, None, None)
    return whole | {"choices": [], "usage": usage(response)}


def usage(response: JsonObject) -> dict[str, Json]:
    """Token counts under OpenAI's names."""
    counts: JsonObject = response["usage"]  # type: ignore[assignment]
    tokens_in, tokens_out = int(str(counts["input_tokens"])), int(str(counts["output_tokens"]))
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def embeddings(model: str, response: JsonObject, encoding: str) -> dict[str, Json]:
    """An embeddings answer, as floats or as OpenAI's base64 of little-endian FP32."""
    rows: list[Json] = []
    for index, each in enumerate(response["embeddings"]):  # type: ignore[arg-type]
        data: Json = each["data"]  # type: ignore[index, call-overload]
        vector = data if encoding == "base64" else _floats(base64.b64decode(str(data)))
        rows.append({"object": "embedding", "index": index, "embedding": vector})
    counts = usage(response)
    shown: dict[str, Json] = {"prompt_tokens": counts["prompt_tokens"], "total_tokens": counts["total_tokens"]}
    return {"object": "list", "model": model, "data": rows, "usage": shown}


def _floats(data: bytes) -> list[Json]:
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def legacy_logprobs(entries: Json) -> dict[str, Json]:
    """Log-probabilities in the form of the older completions API."""
    listed: list[JsonObject] = list(entries)  # type: ignore[arg-type]
    return {
        "tokens": [entry.get("token") for entry in listed],
        "token_logprobs": [entry.get("logprob") for entry in listed],
        "top_logprobs": [
            {str(each.get("token")): each.get("logprob") for each in entry.get("top_logprobs", ())}  # type: ignore[union-attr]
            for entry in listed
        ],
        "text_offset": [],
    }
