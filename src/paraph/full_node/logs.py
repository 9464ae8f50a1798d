"""Events over JSON-RPC: which logs are asked for, and finding them in a range of blocks."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from paraph.adapters.ethereum.logs import Criteria, read_criteria
from paraph.adapters.ethereum.rpc import INVALID_PARAMS, LIMIT_EXCEEDED, NOT_FOUND, Method, RpcError
from paraph.adapters.ethereum.shapes import log_json, placed_logs
from paraph.adapters.index.port import LogQuery
from paraph.core.encode import Json, JsonObject, as_object
from paraph.core.ident import Digest
from paraph.full_node.blocks import find_block
from paraph.full_node.chain import Chain
from paraph.full_node.index import Index
from paraph.full_node.shapes import included, placed_of
from paraph.full_node.tables import StoredBlock
from paraph.full_node.wire import READING, Named, Tag, read_digest, read_tag

BLOCKS_MAX: Final = 10_000
"""Blocks in one search without the index: about a second of one core, in turns with others."""
RESULTS_MAX: Final = 10_000
"""Logs in one answer: some 6 MB."""
TURN_S: Final = 0.005
"""How long work goes on before it lets others in: nobody notices five milliseconds."""


@dataclass(frozen=True, slots=True)
class Search:
    """Criteria, and where to look: in one block, or from a block to a block, by default in the head."""

    criteria: Criteria
    block: Digest | None
    first: Tag
    last: Tag


class Logs:
    """Searches for logs.

    Args:
        chain: where they are.
        index: finds them in any range; without one, or beyond what it has, blocks are read one by one.
    """

    def __init__(self, chain: Chain, index: Index | None = None) -> None:
        self._chain = chain
        self._index = index

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {"eth_getLogs": Method(self.search, (read_search,), 1)}

    async def search(self, asked: Search) -> Json:
        """`eth_getLogs`."""
        first, last = range_of(self._chain, asked)
        if first > last:
            return []
        if self._index is not None and self._index.covers(first, last):
            return await self._indexed(self._index, asked, first, last)
        if last - first < BLOCKS_MAX:
            return await self._scanned(asked.criteria, first, last)
        if self._index is not None and await self._index.reaches(first, last):
            return await self._indexed(self._index, asked, first, last)
        behind = "" if self._index is None else f" (index behind: {self._index.told})"
        raise RpcError(LIMIT_EXCEEDED, f"query exceeds max block range {BLOCKS_MAX}: ask for fewer blocks{behind}")

    async def _indexed(self, index: Index, asked: Search, first: int, last: int) -> Json:
        criteria = asked.criteria
        found = await index.logs(LogQuery(first, last, criteria.addresses, criteria.topics, RESULTS_MAX + 1))
        if len(found) > RESULTS_MAX:
            raise _too_many()
        shown: list[Json] = []
        turn = Turn()
        for row in found:
            shown.append(log_json(placed_of(row)))
            await turn.share()
        return shown

    async def _scanned(self, criteria: Criteria, first: int, last: int) -> Json:
        _need_kept(self._chain, first)
        found: list[Json] = []
        turn = Turn()
        for height in range(first, last + 1):
            found.extend(matching(self._chain.block(height), criteria))
            if len(found) > RESULTS_MAX:
                raise _too_many()
            await turn.share()
        return found


class Turn:
    """A turn of work in the event loop: long work shares it with others every few milliseconds."""

    def __init__(self) -> None:
        self._until_s = time.monotonic() + TURN_S

    async def share(self) -> None:
        """Let others in if this turn was long."""
        if time.monotonic() > self._until_s:
            await asyncio.sleep(0)
            self._until_s = time.monotonic() + TURN_S


def _too_many() -> RpcError:
    return RpcError(LIMIT_EXCEEDED, f"query returned more than {RESULTS_MAX} results: ask for fewer blocks")


def _need_kept(chain: Chain, first: int) -> None:
    """Refuse blocks from before a state sync: an answer without them would look whole."""
    if first < chain.first_height:
        raise RpcError(NOT_FOUND, f"pruned history unavailable: this node has blocks from {chain.first_height} on")


def matching(block: StoredBlock, criteria: Criteria) -> Iterator[JsonObject]:
    """The logs of a block that are asked for."""
    if not any(criteria.match(log) for result in block.results for log in result.logs):
        return
    for each in included(block):
        for placed in placed_logs(each):
            if criteria.match(placed.log):
                yield log_json(placed)


def range_of(chain: Chain, asked: Search) -> tuple[int, int]:
    """The first and last height to look at; empty (first after last) when all of it is yet to come."""
    if asked.block is not None:
        found = find_block(chain, asked.block)
        if found is None:
            raise RpcError(NOT_FOUND, "unknown block")
        return found.header.height, found.header.height
    first, last = height_of(chain, asked.first), height_of(chain, asked.last)
    if first > last:
        raise RpcError(INVALID_PARAMS, f"invalid block range params: from {first} to {last}")
    return first, min(last, chain.height)


def height_of(chain: Chain, tag: Tag) -> int:
    """The height a tag means, even one to come."""
    if isinstance(tag, int):
        return tag
    if isinstance(tag, Named):
        return 0 if tag is Named.GENESIS else chain.height
    raise RpcError(INVALID_PARAMS, "fromBlock and toBlock are heights or names; use blockHash for one block")


def read_search(value: Json, what: str) -> Search:
    """Read a filter object."""
    found = as_object(value, what)
    block, first, last = (found.get(name) for name in ("blockHash", "fromBlock", "toBlock"))
    if block is not None and (first is not None or last is not None):
        raise RpcError(INVALID_PARAMS, f"{what}: give either blockHash or fromBlock and toBlock")
    return Search(
        read_criteria(found, what, READING),
        None if block is None else read_digest(block, f"{what}.blockHash"),
        Named.HEAD if first is None else read_tag(first, f"{what}.fromBlock"),
        Named.HEAD if last is None else read_tag(last, f"{what}.toBlock"),
    )
