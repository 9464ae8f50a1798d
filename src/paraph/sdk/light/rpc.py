"""JSON-RPC 2.0 for wallets: from a body of bytes to a body of bytes, whatever the bytes are.

Error numbers are those of JSON-RPC 2.0 and EIP-1474, with one of ours for what did not verify; every error keeps its
stable code in `data`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog

from paraph.core.encode import Json, JsonObject, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.limits import JSON_INTEGER_MAX

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
INVALID_INPUT: Final = -32000
UNAVAILABLE: Final = -32002
UNVERIFIED: Final = -32080
"""An answer of the node did not verify, so there is none. Of the numbers that JSON-RPC 2.0 leaves to servers."""

BODY_BYTES_MAX: Final = 3 * 1024 * 1024
"""One request: the largest transaction in hex."""
BATCH_MAX: Final = 100
"""Calls in one batch: libraries gather at most 100."""

Reader: TypeAlias = Callable[[Json, str], object]

log = structlog.get_logger("paraph.light")


class RpcError(Exception):
    """An error with its JSON-RPC number, the words that clients look for, and data."""

    def __init__(self, number: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.number: Final = number
        self.message: Final = message
        self.data: Final = data


@dataclass(frozen=True, slots=True)
class Method:
    """One method.

    Args:
        run: called with one value a reader; None for an optional one that was left out or null.
        readers: how each parameter is read.
        required: how many of the parameters must be there.
    """

    run: Callable[..., Awaitable[Json]]
    readers: tuple[Reader, ...] = ()
    required: int = 0


Methods: TypeAlias = Mapping[str, Method]
WhyNot: TypeAlias = Callable[[str], str]
"""Why a method that is not in the table is not there."""


async def answer(methods: Methods, why_not: WhyNot, body: bytes) -> bytes:
    """Answer one body: a call or a batch. Empty when nothing in it wants an answer. Never raises.

    Args:
        methods: the table.
        why_not: a word on methods that are not in it.
        body: from whoever connects.
    """
    try:
        asked = decode(body, bytes_max=BODY_BYTES_MAX)
    except Malformed as error:
        return _encoded(_failure(None, RpcError(PARSE_ERROR, f"parse error: {error.message}", told(error))))
    if not isinstance(asked, list):
        found = await _one(methods, why_not, asked)
        return b"" if found is None else _encoded(found)
    if not 0 < len(asked) <= BATCH_MAX:
        wrong = RpcError(INVALID_REQUEST, f"invalid request: a batch holds 1 to {BATCH_MAX} calls")
        return _encoded(_failure(None, wrong))
    answers = [await _one(methods, why_not, each) for each in asked]
    kept: list[Json] = [each for each in answers if each is not None]
    return _encoded(kept) if kept else b""


async def _one(methods: Methods, why_not: WhyNot, asked: Json) -> JsonObject | None:
    try:
        result = await _run(methods, why_not, asked)
    except RpcError as error:
        quiet = isinstance(asked, dict) and "id" not in asked and error.number != INVALID_REQUEST
        return None if quiet else _failure(_id_of(asked), error)
    if isinstance(asked, dict) and "id" not in asked:
        return None
    return {"jsonrpc": "2.0", "id": _id_of(asked), "result": result}


async def _run(methods: Methods, why_not: WhyNot, asked: Json) -> Json:
    name, params = _call_of(asked)
    method = methods.get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {name[:80]} is not available here: {why_not(name)}")
    try:
        return await method.run(*_read(method, params))
    except RpcError:
        raise
    except ParaphError as error:
        raise RpcError(_number(error), error.message, told(error)) from error
    except Exception as error:
        # The fault is ours. The caller hears that much and no more; what it was goes to the log.
        log.exception("light.internal", method=name)
        raise RpcError(INTERNAL_ERROR, "internal error") from error


def _call_of(asked: Json) -> tuple[str, list[Json]]:
    if not isinstance(asked, dict) or asked.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'invalid request: not an object with "jsonrpc": "2.0"')
    name, params, key = asked.get("method"), asked.get("params"), asked.get("id")
    if not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, "invalid request: method must be a string")
    if isinstance(key, bool | list | dict):
        raise RpcError(INVALID_REQUEST, "invalid request: id must be a string, a number or null")
    if params is None:
        return name, []
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "invalid params: parameters go by position, in an array")
    return name, params


def _read(method: Method, params: list[Json]) -> list[object]:
    if len(params) > len(method.readers):
        raise RpcError(INVALID_PARAMS, f"too many arguments, want at most {len(method.readers)}")
    values: list[object] = []
    for index, reader in enumerate(method.readers):
        given = params[index] if index < len(params) else None
        if given is None and index < method.required:
            raise RpcError(INVALID_PARAMS, f"missing value for required argument {index}")
        try:
            values.append(None if given is None else reader(given, f"argument {index}"))
        except (Malformed, Rejected) as error:
            raise RpcError(INVALID_PARAMS, f"invalid argument {index}: {error.message}", told(error)) from error
    return values


def _number(error: ParaphError) -> int:
    match error:
        case Rejected():
            return INVALID_INPUT
        case Unavailable():
            return UNAVAILABLE
        case Malformed() | Unverified():
            # A reply that cannot even be read did not verify either.
            return UNVERIFIED
        case _:
            return INTERNAL_ERROR


def told(error: ParaphError) -> JsonObject:
    """Our error as `data`: numbers that JavaScript would round go as text."""
    facts: dict[str, Json] = {
        name: fact if isinstance(fact, int) and abs(fact) <= JSON_INTEGER_MAX else str(fact)[:1_000]
        for name, fact in error.facts.items()
    }
    return {"code": error.code, "message": error.message, "facts": facts}


def _id_of(asked: Json) -> Json:
    key = asked.get("id") if isinstance(asked, dict) else None
    return key if isinstance(key, str | int | float) and not isinstance(key, bool) else None


def _failure(key: Json, error: RpcError) -> JsonObject:
    said: dict[str, Json] = {"code": error.number, "message": error.message}
    if error.data is not None:
        said["data"] = error.data
    return {"jsonrpc": "2.0", "id": key, "error": said}


def _encoded(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
