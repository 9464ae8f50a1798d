"""How a running node does: what its door says of the chain, and its engine of peers, votes and catching up.

For its operator, on its machine: the engine is asked on its socket in the node's home.
"""

import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from paraph.adapters.comet.home import rpc_socket
from paraph.adapters.comet.rpc import EngineRpc
from paraph.core import abi
from paraph.core.encode import Json, JsonObject, as_integer, as_object, as_text, decode
from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.core.ident import from_hex, to_hex
from paraph.ledger.rooms.params.calls import CONTRACT as PARAMS
from paraph.ledger.versions import VERSION_LATEST

REPLY_BYTES_MAX: Final = 64 * 1024
TIMEOUT_S: Final = 10
QUIET_S_MAX: Final = 60
"""Since the last block: validators make one in seconds, even with nothing to put in."""
CLOCK_AHEAD_S_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine of a node where validators agree.

    Args:
        pid: its process, where the system tells.
        version: its own.
        node_id: this node's, among its peers.
        peers: how many are connected.
        catching_up: it still fetches blocks that others have.
        key: the key that votes for this node.
        power: its votes now; 0 outside the set.
    """

    pid: int | None
    version: str
    node_id: str
    peers: int
    catching_up: bool
    key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node's state, as far as it answers.

    Args:
        network, chain_id, height, time_s: of the last block kept.
        index: what the event index says of itself; None where there is none.
        failure: why it keeps no more blocks; empty while all is well.
        upgrade: version and height of the upgrade that the ledger has scheduled; zeros when there is none.
        engine: None on a solo network, and where the engine does not answer.
        engine_failure: why it does not.
        call_failure: why it answers no calls: before a block whose rules it does not know it cannot.
    """

    network: str
    chain_id: int
    height: int
    time_s: int
    index: JsonObject | None
    failure: str
    upgrade: tuple[int, int]
    engine: EngineState | None
    engine_failure: str = ""
    call_failure: str = ""

    def troubles(self, now_s: int, *, solo: bool) -> tuple[str, ...]:
        """What is wrong, as sentences; none when all is well."""
        found = [f"it keeps no more blocks: {self.failure}"] if self.failure else []
        if self.engine_failure:
            found.append(f"its engine: {self.engine_failure}")
        if self.engine is not None and self.engine.catching_up:
            found.append("it is still catching up")
        if not solo and now_s - self.time_s > QUIET_S_MAX:
            found.append(f"its last block is {now_s - self.time_s} s old")
        if self.time_s - now_s > CLOCK_AHEAD_S_MAX:
            found.append(f"its last block is {self.time_s - now_s} s ahead of this machine's clock")
        if self.call_failure:
            found.append(f"it answers no calls: {self.call_failure}")
        if self.upgrade[0] > VERSION_LATEST:
            found.append(
                f"version {self.upgrade[0]} comes into force at block {self.upgrade[1]}, and this software knows up to "
                f"{VERSION_LATEST}: install a newer one, or the node stops there"
            )
        if self.index is not None and self.index.get("failure"):
            found.append(f"its index: {self.index['failure']}")
        return tuple(found)


async def look(url: str, engine_home: Path | None) -> NodeState:
    """Ask a node.

    Args:
        url: its door.
        engine_home: its engine's folder; None on a solo network.

    Raises:
        Unavailable: `node.unreachable`: nobody answers. Malformed: what answers is no full node.
    """
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
        found = await _health(client, url)
        upgrade, call_failure = await _upgrade(client, url)
    engine, failed = None, ""
    if engine_home is not None:
        try:
            engine = await _engine(engine_home)
        except ParaphError as error:
            failed = error.message
    index = found.get("index")
    return NodeState(
        as_text(found.get("network"), "network"),
        as_integer(found.get("chain_id"), "chain_id"),
        as_integer(found.get("height"), "height"),
        as_integer(found.get("time"), "time"),
        None if index is None else as_object(index, "index"),
        as_text(found.get("failure", ""), "failure"),
        upgrade,
        engine,
        failed,
        call_failure,
    )


async def _health(client: httpx.AsyncClient, url: str) -> JsonObject:
    try:
        reply = await client.get(url.rstrip("/") + "/health")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(url, error) from error
    # A node that failed says so with 503, and the same facts.
    if reply.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
        raise Malformed("node.health", f"{url} is no full node's door: HTTP {reply.status_code}")
    return as_object(decode(reply.content, bytes_max=REPLY_BYTES_MAX), "health")


async def _upgrade(client: httpx.AsyncClient, url: str) -> tuple[tuple[int, int], str]:
    method = PARAMS.method("upgrade")
    call: Json = {"to": to_hex(PARAMS.address), "data": to_hex(method.call())}
    body: Json = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    try:
        reply = await client.post(url, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(url, error) from error
    found = as_object(decode(reply.content, bytes_max=REPLY_BYTES_MAX), "a reply")
    if "error" in found:
        return (0, 0), as_text(as_object(found["error"], "error").get("message"), "message", bytes_max=REPLY_BYTES_MAX)
    version, height = abi.decode(method.outputs, from_hex(found.get("result"), None, "the upgrade"))
    return (int(str(version)), int(str(height))), ""


def _unreachable(url: str, error: Exception) -> Unavailable:
    said = f"{type(error).__name__} {error}".strip()
    return Unavailable("node.unreachable", f"no full node answers at {url}: {said}", url=url)


async def _engine(home: Path) -> EngineState:
    rpc = EngineRpc(rpc_socket(home))
    try:
        status, peers = await rpc.status(), await rpc.peers()
        key, power = await rpc.voter()
    finally:
        await rpc.close()
    return EngineState(
        _listener(rpc_socket(home)), status.version, status.node_id, peers, status.catching_up, key, power
    )


def _listener(path: Path) -> int | None:
    """The process that listens on a socket, where the system tells it: Linux does."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(TIMEOUT_S)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        pid: int = struct.unpack("iii", probe.getsockopt(socket.SOL_SOCKET, option, 12))[0]
        return pid
