"""Our own methods over JSON-RPC: state with proofs, whole blocks, where a receipt was settled, the genesis document."""

from collections.abc import Iterator
from typing import Any, Final, Protocol

from paraph.adapters.ethereum.rpc import Method
from paraph.adapters.ethereum.shapes import Included
from paraph.adapters.ethereum.wire import quantity
from paraph.core import abi, rlp
from paraph.core.encode import Json, JsonObject, as_list
from paraph.core.errors import Malformed, must
from paraph.core.ident import Address, Digest, RequestKey, to_hex
from paraph.core.merkle import inclusion_proof, root
from paraph.full_node.blocks import find_block
from paraph.full_node.chain import Chain
from paraph.full_node.production import Production
from paraph.full_node.shapes import included
from paraph.full_node.wire import read_address, read_count, read_data, read_digest
from paraph.ledger.rooms.settlement.calls import CONTRACT
from paraph.ledger.rooms.settlement.keys import BATCHES, SETTLED
from paraph.ledger.rooms.settlement.rules import BATCH_SETTLED, REFUSED, SETTLED_EVENT
from paraph.ledger.state import State
from paraph.proofs.header import header_to_rlp
from paraph.proofs.light.types import LightBlock
from paraph.proofs.receipt import receipt_from_values
from paraph.proofs.records import batch_key
from paraph.proofs.seal import Seal

KEYS_MAX: Final = 64
"""State keys in one call: a bundle needs four; a proof at a million keys is about a kilobyte."""
KEY_BYTES_MAX: Final = 256
"""A state key: the longest of ours is a prefix and two 32-byte names."""


class Seals(Protocol):
    """What makes this chain's state believable to a stranger; each engine has its own."""

    async def newest(self) -> Seal:
        """The seal of the newest state that has one and can still be read."""
        ...

    async def light_block(self, height: int) -> LightBlock:
        """The validators' own word for a height.

        Raises:
            Rejected: `light.none`: no validators agree here, or they have not on that height.
        """
        ...


class Proofs:
    """State with what makes it believable."""

    def __init__(self, chain: Chain, seals: Seals) -> None:
        self._chain = chain
        self._seals = seals

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "paraph_getProof": Method(self.prove, (_read_keys,), 1),
            "paraph_getLightBlock": Method(self.light_block, (read_count,), 1),
            "paraph_getBlock": Method(self.block, (read_count,), 1),
            "paraph_getGenesis": Method(self.genesis),
            "paraph_getSettled": Method(self.settled, (read_address, read_digest), 2),
        }

    def genesis(self) -> Json:
        """`paraph_getGenesis`: the document whose digest names the network."""
        return self._chain.genesis.as_json()

    async def prove(self, keys: tuple[bytes, ...]) -> Json:
        """`paraph_getProof`: values or absences, proved against one state, and the seal that makes it believable."""
        seal = await self._seals.newest()
        return {"seal": seal.as_json(), "proofs": [self._proof(key, seal.height) for key in keys]}

    async def light_block(self, height: int) -> Json:
        """`paraph_getLightBlock`: a block's header, votes and validators, for a light client to follow."""
        return (await self._seals.light_block(height)).as_json()

    def block(self, height: int) -> Json:
        """`paraph_getBlock`: a block as its roots commit to it, for who checks them; null when there is none."""
        found = find_block(self._chain, height)
        if found is None:
            return None
        return {
            "header": to_hex(rlp.encode(header_to_rlp(found.signed))),
            "transactions": [to_hex(raw) for raw in found.transactions],
            "results": [to_hex(result.leaf()) for result in found.results],
        }

    async def settled(self, payer: Address, key: RequestKey) -> Json:
        """`paraph_getSettled`: where the receipt of a request stands in its batch; null while no proof shows one."""
        # Where validators agree, votes prove the state of the block before: what is newer cannot be shown to anyone.
        state = State(self._chain.read_at((await self._seals.newest()).height))
        found = SETTLED.get(state, payer + key)
        if found is None:
            return None
        number = found.batch.to_bytes(8, "big")
        record = BATCHES.get(state, number)
        must(record is not None, "a settled request's batch is kept")
        leaves = batch_leaves(self._chain, found.batch, record.height)  # type: ignore[union-attr]
        must(root(leaves) == record.root, "the leaves found again give the batch's root")  # type: ignore[union-attr]
        path: list[Json] = [to_hex(each) for each in inclusion_proof(leaves, found.index)]
        return {"batch": found.batch, "index": found.index, "path": path, "key": to_hex(batch_key(found.batch))}

    def _proof(self, key: bytes, height: int) -> JsonObject:
        value, proved = self._chain.prove(key, height)
        shown = None if value is None else to_hex(value)
        return {"key": to_hex(key), "value": shown, "proof": proved.proof.as_json()}


class Making:
    """Making a block by hand: on a solo devnet only."""

    def __init__(self, production: Production) -> None:
        self._production = production

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {"paraph_produceBlock": Method(self.produce)}

    def produce(self) -> Json:
        """`paraph_produceBlock`: of whatever waits, even of nothing. Returns how many transactions it took in."""
        return quantity(len(self._production.produce().results))


def batch_leaves(chain: Chain, batch: int, height: int) -> list[bytes]:
    """The receipts of a settled batch as their hashes, in order: read again from the transaction that brought them."""
    wanted = abi.encode(BATCH_SETTLED.inputs[:1], (batch,))
    for each in included(chain.block(height)):
        if any(log.topics[:2] == (BATCH_SETTLED.topic, wanted) for log in each.result.logs):
            return list(_accepted(each))
    must(condition=False, truth="a batch was settled in the block that its record names")
    return []


def _accepted(found: Included) -> Iterator[Digest]:
    """The hashes of the accepted receipts. Each item left one event, in order: settled, or rejected."""
    items: tuple[Any, ...]
    (items,) = abi.decode(CONTRACT.method("settle").inputs, found.signed.tx.data[4:])
    outcomes = [log.topics[0] for log in found.result.logs if log.topics[0] in (SETTLED_EVENT.topic, REFUSED.topic)]
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome == SETTLED_EVENT.topic:
            yield receipt_from_values(item[2]).hash()


def _read_keys(value: Json, what: str) -> tuple[bytes, ...]:
    listed = as_list(value, what, items_max=KEYS_MAX)
    return tuple(_read_key(each, what) for each in listed)


def _read_key(value: Json, what: str) -> bytes:
    key = read_data(value, what)
    if not 0 < len(key) <= KEY_BYTES_MAX:
        raise Malformed("rpc.params", f"{what}: a state key has 1 to {KEY_BYTES_MAX} bytes")
    return key
