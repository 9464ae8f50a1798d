"""JSON-RPC 2.0: from a body of bytes to a body of bytes, whatever the bytes are.

It knows nothing of Ethereum: methods come in a table. Error numbers are those of the JSON-RPC 2.0 specification and of
EIP-1474; every error of ours keeps its stable code in `data`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

import structlog

from paraph.core.encode import Json, JsonObject, decode
from paraph.core.errors import Malformed, ParaphError, Rejected
from paraph.core.limits import JSON_INTEGER_MAX

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
INVALID_INPUT: Final = -32000
NOT_FOUND: Final = -32001
UNAVAILABLE: Final = -32002
REFUSED: Final = -32003
LIMIT_EXCEEDED: Final = -32005
REVERTED: Final = 3
"""Of a call that reverts, whose data clients decode (geth)."""

BY_POSITION: Final = "invalid params: parameters go by position, in an array"
UNKNOWN: Final = "unknown"

Reader: TypeAlias = Callable[[Json, str], object]

_log = structlog.get_logger()


class RpcError(Exception):
    """An error with its JSON-RPC number, the words that clients look for, and data."""

    def __init__(self, number: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.number: Final = number
        self.message: Final = message
        self.data: Final = data


class Group(Enum):
    """What a method is for, by which a door decides whom it lets use it."""

    READ = "read"
    SUBMIT = "submit"
    """Takes what others signed."""
    OPERATE = "operate"
    """Acts on the node itself: for its operator."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method.

    Args:
        run: called with one value a reader; None for an optional one that was left out or null.
        readers: how each parameter is read.
        required: how many of the parameters must be there.
        group: what it is for.
    """

    run: "Callable[..., Json | Awaitable[Json]]"
    readers: tuple[Reader, ...] = ()
    required: int = 0
    group: Group = Group.READ


Methods: TypeAlias = Mapping[str, Method]

Around: TypeAlias = Callable[[str, Callable[[], Awaitable[Json]]], Awaitable[Json]]
"""Runs a call of a method: for who limits, times or counts them. Of a method that is not in the table, and of what is
no call at all, the name given is `UNKNOWN`: a stranger's words never become the name of anything."""


def just_run(_name: str, call: Callable[[], Awaitable[Json]]) -> Awaitable[Json]:
    """Run a call, and nothing around it."""
    return call()


@dataclass(frozen=True, slots=True)
class Terms:
    """How much one door takes, and how it says what is wrong.

    Args:
        body_bytes_max: one body.
        batch_max: calls in one batch.
        answers_bytes_max: the answers to one batch together; None where those of any batch are welcome.
        fact_chars_max: of a fact that is told as text; None for the whole.
        missing: what is said of a method that is not in the table, after its name.
        number: the number of an error of ours.
        no_params: the number and words for parameters that are neither an array nor an object.
        fault: the event under which a fault of ours is logged.
    """

    body_bytes_max: int
    batch_max: int
    answers_bytes_max: int | None
    fact_chars_max: int | None
    missing: Callable[[str], str]
    number: Callable[[ParaphError], int]
    no_params: tuple[int, str]
    fault: str


async def answer(methods: Methods, terms: Terms, body: bytes, around: Around = just_run) -> bytes:
    """Answer one body: a call or a batch. Empty when nothing in it wants an answer. Never raises.

    Args:
        methods: the table.
        terms: of this door.
        body: from a stranger.
        around: runs each call.
    """
    try:
        asked = decode(body, bytes_max=terms.body_bytes_max)
    except Malformed as error:
        return failure(None, refusal(PARSE_ERROR, f"parse error: {error.message}", error, terms.fact_chars_max))
    if not isinstance(asked, list):
        return await _one(methods, terms, asked, around)
    if not 0 < len(asked) <= terms.batch_max:
        return failure(None, RpcError(INVALID_REQUEST, f"invalid request: a batch holds 1 to {terms.batch_max} calls"))
    answers: list[bytes] = []
    most, taken = terms.answers_bytes_max, 0
    for each in asked:
        found = await _one(methods, terms, each, around)
        if most is not None and taken + len(found) > most:
            found = failure(_id_of(each), RpcError(LIMIT_EXCEEDED, "response too large: ask for less in one batch"))
        taken += len(found)
        if found:
            answers.append(found)
        await asyncio.sleep(0)  # others are served between the calls of a batch
    return b"[" + b",".join(answers) + b"]" if answers else b""


async def _one(methods: Methods, terms: Terms, asked: Json, around: Around) -> bytes:
    name = asked.get("method") if isinstance(asked, dict) else None
    try:
        known = name if isinstance(name, str) and name in methods else UNKNOWN
        result = await around(known, lambda: _run(methods, terms, asked))
    except RpcError as error:
        quiet = isinstance(asked, dict) and "id" not in asked and error.number != INVALID_REQUEST
        return b"" if quiet else failure(_id_of(asked), error)
    if isinstance(asked, dict) and "id" not in asked:
        return b""
    return _encoded({"jsonrpc": "2.0", "id": _id_of(asked), "result": result})


async def _run(methods: Methods, terms: Terms, asked: Json) -> Json:
    name, params = _call_of(asked, terms)
    method = methods.get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {name[:80]} {terms.missing(name)}")
    try:
        result = method.run(*_read(method, params, terms))
        return await result if isinstance(result, Awaitable) else result
    except RpcError:
        raise
    except ParaphError as error:
        raise refusal(terms.number(error), error.message, error, terms.fact_chars_max) from error
    except Exception as error:
        # The fault is ours. The caller hears that much and no more; what it was goes to the log.
        _log.exception(terms.fault, method=name)
        raise RpcError(INTERNAL_ERROR, "internal error") from error


def _call_of(asked: Json, terms: Terms) -> tuple[str, list[Json]]:
    if not isinstance(asked, dict) or asked.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'invalid request: not an object with "jsonrpc": "2.0"')
    name, params, key = asked.get("method"), asked.get("params"), asked.get("id")
    if not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, "invalid request: method must be a string")
    if isinstance(key, bool | list | dict):
        raise RpcError(INVALID_REQUEST, "invalid request: id must be a string, a number or null")
    if params is None:
        return name, []
    if isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, BY_POSITION)
    if not isinstance(params, list):
        raise RpcError(*terms.no_params)
    return name, params


def _read(method: Method, params: list[Json], terms: Terms) -> list[object]:
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
            wrong = f"invalid argument {index}: {error.message}"
            raise refusal(INVALID_PARAMS, wrong, error, terms.fact_chars_max) from error
    return values


def refusal(number: int, message: str, error: ParaphError, fact_chars_max: int | None = None) -> RpcError:
    """An error of ours in the words that clients look for; our own stay in `data`.

    Numbers that JavaScript would round go as text, and of each text at most `fact_chars_max`.
    """
    facts: dict[str, Json] = {
        name: fact if isinstance(fact, int) and abs(fact) <= JSON_INTEGER_MAX else str(fact)[:fact_chars_max]
        for name, fact in error.facts.items()
    }
    return RpcError(number, message, {"code": error.code, "message": error.message, "facts": facts})


def _id_of(asked: Json) -> Json:
    key = asked.get("id") if isinstance(asked, dict) else None
    return key if isinstance(key, str | int | float) and not isinstance(key, bool) else None


def failure(key: Json, error: RpcError) -> bytes:
    """The answer to a call that failed."""
    said: dict[str, Json] = {"code": error.number, "message": error.message}
    if error.data is not None:
        said["data"] = error.data
    return _encoded({"jsonrpc": "2.0", "id": key, "error": said})


def _encoded(value: JsonObject) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
