"""A client of the engine's own RPC: JSON-RPC 2.0 over its Unix socket.

The engine is ours; its answers are bounded and checked all the same, for they carry what came from other nodes. A
header or a validator set read here is proved by nobody: who uses one to judge others checks its signatures.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import httpx

from paraph.core.encode import (
    Json,
    JsonObject,
    as_decimal,
    as_integer,
    as_list,
    as_object,
    as_text,
    decode,
)
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.ident import DIGEST_BYTES, Digest
from paraph.core.limits import JSON_BYTES_MAX

TIMEOUT: Final = httpx.Timeout(30, connect=5)
"""Seconds. A broadcast waits for the application's check; anything else takes milliseconds."""
CONNECTIONS_MAX: Final = 64
"""Broadcasts at once: each waits a check's time, so that few of them would be slow. The engine takes 900."""
PAGE: Final = 100
"""Validators a page: the engine's most."""
VALIDATORS_MAX: Final = 10_000
"""As the engine's own light client: a hundred pages."""
HEIGHT_MAX: Final = 2**63 - 1
LOG_BYTES_MAX: Final = 2_000
WORDS_MAX: Final = 400
"""Characters of why the engine refuses: what it refuses may follow, and a block is long."""
FULL: Final = ("mempool is full", "mempool is still rechecking")
GUILTLESS: Final = ("evidence.ValidateBasic failed: ", "failed to add evidence: ")
KNOWN: Final = ("tx already exists in cache", "tx already seen")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The check took it in. Under a full pool the engine may still drop it: it counts when a block has it."""


@dataclass(frozen=True, slots=True)
class Known:
    """The engine saw these bytes before. Whether they wait, went into a block or were dropped, it does not say."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The check refused it, with a code other than 0 and a sentence."""

    code: int
    log: str


@dataclass(frozen=True, slots=True)
class Full:
    """The engine's pool is full; try again after a block."""


Broadcast: TypeAlias = Accepted | Known | Refused | Full


@dataclass(frozen=True, slots=True)
class Status:
    """Where the engine is.

    Args:
        node_id: this node's, among its peers.
        network: the chain's id.
        version: of the engine.
        height: of the newest block; 0 before the first.
        catching_up: still fetching blocks that others have.
    """

    node_id: str
    network: str
    version: str
    height: int
    catching_up: bool


class EngineRpc:
    """The client.

    Args:
        path: the engine's RPC socket.
    """

    def __init__(self, path: Path) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(path), limits=httpx.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=60)
            ),
            timeout=TIMEOUT,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def broadcast(self, raw: bytes) -> Broadcast:
        """Hand a transaction to the engine, and wait for the application's check of it.

        Raises:
            Rejected: `comet.transaction_size`: larger than the engine takes. Unavailable, Malformed: as every call.
        """
        (found,) = await self.broadcast_all((raw,))
        return found

    async def broadcast_all(self, raws: Sequence[bytes]) -> tuple[Broadcast, ...]:
        """Hand transactions to the engine in one request, in order; what became of each.

        Args:
            raws: at most `home.RPC_BATCH_MAX`, and in base64 at most `home.RPC_BODY_BYTES_MAX`.

        Raises:
            As `broadcast`, for all, where one fails so; those before it may have been taken.
        """
        asked: list[Json] = [
            _request("broadcast_tx_sync", {"tx": base64.b64encode(raw).decode()}, number)
            for number, raw in enumerate(raws)
        ]
        told = decode(await self._post(json.dumps(asked).encode()))
        # The engine answers a batch of one with its one answer.
        answers = told if isinstance(told, list) and len(raws) > 1 else [told]
        if len(answers) != len(raws):
            raise Malformed("comet.rpc_answer", f"the engine gave {len(answers)} answers to {len(raws)} calls")
        return tuple(
            _broadcast(raw, _result_of(answer, "broadcast_tx_sync", number))
            for number, (raw, answer) in enumerate(zip(raws, answers, strict=True))
        )

    async def status(self) -> Status:
        """Where the engine is."""
        result = await self._call("status", {})
        node, sync = as_object(result.get("node_info"), "node_info"), as_object(result.get("sync_info"), "sync_info")
        return Status(
            node_id=as_text(node.get("id"), "node id", bytes_max=64),
            network=as_text(node.get("network"), "network", bytes_max=64),
            version=as_text(node.get("version"), "version", bytes_max=64),
            height=as_decimal(sync.get("latest_block_height"), "latest_block_height", HEIGHT_MAX),
            catching_up=sync.get("catching_up") is True,
        )

    async def peers(self) -> int:
        """How many nodes the engine is connected to."""
        return as_decimal((await self._call("net_info", {})).get("n_peers"), "n_peers", VALIDATORS_MAX)

    async def voter(self) -> tuple[bytes, int]:
        """The key that votes for this node, by its signer's word, and its power now; 0 outside the set."""
        found = as_object((await self._call("status", {})).get("validator_info"), "validator_info")
        key = as_object(found.get("pub_key"), "pub_key")
        try:
            raw = base64.b64decode(as_text(key.get("value"), "pub_key"), validate=True)
        except ValueError as error:
            raise Malformed("comet.rpc_answer", "the engine's own key is not base64") from error
        return raw, as_decimal(found.get("voting_power"), "voting_power", HEIGHT_MAX)

    async def commit(self, height: int) -> JsonObject:
        """The signed header at a height: `header` and `commit`, as the engine writes them.

        Raises:
            Unavailable: `comet.height`: the engine has none.
        """
        result = await self._call("commit", {"height": str(height)})
        return as_object(result.get("signed_header"), "signed_header")

    async def validators(self, height: int) -> tuple[JsonObject, ...]:
        """All validators that vote at a height, as the engine writes them, in its order."""
        found: list[JsonObject] = []
        while True:
            page = {"height": str(height), "page": str(len(found) // PAGE + 1), "per_page": str(PAGE)}
            result = await self._call("validators", page)
            total = as_decimal(result.get("total"), "total", VALIDATORS_MAX)
            items = as_list(result.get("validators"), "validators", items_max=PAGE)
            found += (as_object(item, "validator") for item in items)
            if len(found) == total:
                return tuple(found)
            if len(items) < PAGE or len(found) > total:
                raise Malformed("comet.rpc_answer", f"the engine gave {len(found)} of {total} validators")

    async def light_block_parts(self, height: int) -> tuple[JsonObject, tuple[JsonObject, ...]]:
        """What a light client needs of a height: the signed header and all validators."""
        return await self.commit(height), await self.validators(height)

    async def broadcast_evidence(self, evidence: JsonObject) -> Digest:
        """Hand evidence against validators to the engine, which checks it and tells its peers; its hash.

        Evidence that it has already, or that is in a block already, is taken again without a word.

        Raises:
            Rejected: `comet.evidence`: it proves nothing to this engine, or is too old. Unavailable, Malformed: as
                every call.
        """
        result = await self._ask("broadcast_evidence", {"evidence": evidence})
        if isinstance(result, str):
            if result.startswith(GUILTLESS):
                raise Rejected("comet.evidence", f"the engine does not take this evidence: {result}")
            raise _refused("broadcast_evidence", result)
        try:
            found = base64.b64decode(as_text(result.get("hash"), "hash", bytes_max=2 * DIGEST_BYTES), validate=True)
        except ValueError as error:
            raise Malformed("comet.rpc_answer", "the hash of the evidence is not base64") from error
        if len(found) != DIGEST_BYTES:
            raise Malformed("comet.rpc_answer", f"the hash of the evidence is {DIGEST_BYTES} bytes, not {len(found)}")
        return Digest(found)

    async def _call(self, method: str, parameters: JsonObject) -> JsonObject:
        """One call.

        Raises:
            Unavailable: `comet.rpc_unreachable`: no engine answers. `comet.rpc`, `comet.catching_up`, `comet.height`:
                it refuses. Malformed: `comet.rpc_answer`, `json.*`: it answers what is no answer.
        """
        result = await self._ask(method, parameters)
        if isinstance(result, str):
            raise _refused(method, result)
        return result

    async def _ask(self, method: str, parameters: JsonObject) -> JsonObject | str:
        """The result of a call, or the engine's words why there is none."""
        told = decode(await self._post(json.dumps(_request(method, parameters, 0)).encode()))
        return _result_of(told, method, 0)

    async def _post(self, body: bytes) -> bytes:
        try:
            async with self._http.stream("POST", "http://engine/", content=body) as response:
                data = bytearray()
                async for part in response.aiter_bytes():
                    data += part
                    if len(data) > JSON_BYTES_MAX:
                        raise Malformed("comet.rpc_answer", f"the engine's answer is larger than {JSON_BYTES_MAX}")
                return bytes(data)
        except httpx.HTTPError as error:
            raise Unavailable(
                "comet.rpc_unreachable", f"the engine does not answer: {type(error).__name__} {error}".strip()
            ) from error


def _request(method: str, parameters: JsonObject, number: int) -> JsonObject:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}


def _result_of(told: Json, method: str, number: int) -> JsonObject | str:
    """The result of a call, or the engine's words why there is none."""
    answer = as_object(told, "answer")
    error = answer.get("error")
    if error is not None:
        fields = as_object(error, "error")
        return as_text(fields.get("data") or fields.get("message"), "error")[:WORDS_MAX]
    if answer.get("result") is None:
        raise Unavailable("comet.height", f"the engine has no answer to {method}")
    if answer.get("id") != number:
        raise Malformed("comet.rpc_answer", "the engine answered out of order")
    return as_object(answer["result"], "result")


def _broadcast(raw: bytes, result: JsonObject | str) -> Broadcast:
    if isinstance(result, str):
        if result.startswith(FULL):
            return Full()
        if result.startswith(KNOWN):
            return Known()
        if result.startswith("Tx too large"):
            raise Rejected("comet.transaction_size", f"{len(raw)} bytes: {result}", bytes=len(raw))
        raise _refused("broadcast_tx_sync", result)
    code = as_integer(result.get("code"), "code", 0, 2**32 - 1)
    if code == 0:
        return Accepted()
    return Refused(code, as_text(result.get("log"), "log", bytes_max=LOG_BYTES_MAX))


def _refused(method: str, words: str) -> Unavailable:
    if "catching up" in words:
        return Unavailable("comet.catching_up", f"the engine still fetches blocks that others have: {words}")
    if words.startswith(("height ", "could not find")):
        return Unavailable("comet.height", f"the engine has no such height: {words}")
    return Unavailable("comet.rpc", f"the engine refused {method}: {words}")
