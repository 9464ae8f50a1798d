"""What gas costs over JSON-RPC: the base fee to come, a tip to offer, and what was paid before."""

from paraph.adapters.ethereum.rpc import INVALID_PARAMS, NOT_FOUND, Method, RpcError
from paraph.adapters.ethereum.wire import quantity
from paraph.core.encode import Json, as_list
from paraph.core.errors import Malformed
from paraph.full_node.blocks import find_block
from paraph.full_node.chain import Chain
from paraph.full_node.tables import SKIPPED, StoredBlock
from paraph.full_node.wire import Tag, read_count, read_tag
from paraph.ledger.block import BASE_FEE, BASE_FEE_CHANGE_DENOMINATOR
from paraph.ledger.state import State

HISTORY_MAX = 1_024
"""Blocks in one fee history: geth's limit."""
PERCENTILES_MAX = 100
TIP_DIVISOR = 10
"""The tip we suggest is a tenth of the base fee: enough to go before those who offer none."""


class Fees:
    """Reads of what gas costs."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "eth_gasPrice": Method(self.gas_price),
            "eth_maxPriorityFeePerGas": Method(self.tip),
            "eth_feeHistory": Method(self.history, (read_count, read_tag, _read_percentiles), 2),
        }

    def gas_price(self) -> Json:
        """`eth_gasPrice`: the next base fee, room for it to rise once, and the tip."""
        base_fee = self._base_fee()
        return quantity(base_fee + -(-base_fee // BASE_FEE_CHANGE_DENOMINATOR) + base_fee // TIP_DIVISOR)

    def tip(self) -> Json:
        """`eth_maxPriorityFeePerGas`."""
        return quantity(self._base_fee() // TIP_DIVISOR)

    def history(self, count: int, newest: Tag, percentiles: tuple[float, ...] | None) -> Json:
        """`eth_feeHistory`: base fees of up to `count` blocks and of the one after, gas used, and tips paid."""
        last = find_block(self._chain, newest)
        if last is None:
            raise RpcError(NOT_FOUND, "request beyond head block")
        height = last.header.height
        first = max(0, height + 1 - min(count, HISTORY_MAX))
        blocks = list(self._chain.blocks(first, height))
        if not blocks:
            return {"oldestBlock": quantity(0), "baseFeePerGas": [], "gasUsedRatio": []}
        after = self._base_fee() if height == self._chain.height else self._chain.block(height + 1).header.base_fee
        fees: list[Json] = [quantity(block.header.base_fee) for block in blocks]
        ratios: list[Json] = [block.header.gas_used / max(block.header.gas_limit, 1) for block in blocks]
        found: dict[str, Json] = {
            "oldestBlock": quantity(first),
            "baseFeePerGas": [*fees, quantity(after)],
            "gasUsedRatio": ratios,
        }
        if percentiles:
            found["reward"] = [[quantity(tip) for tip in tips_paid(block, percentiles)] for block in blocks]
        return found

    def _base_fee(self) -> int:
        return BASE_FEE.get(State(self._chain.read))


def tips_paid(block: StoredBlock, percentiles: tuple[float, ...]) -> list[int]:
    """The tip per gas below which each percentage of the block's gas was bought; zeros for an empty block."""
    base_fee = block.header.base_fee
    paid = sorted((each.gas_price - base_fee, each.gas_used) for each in block.results if each.status != SKIPPED)
    tips: list[int] = []
    at = bought = 0
    for percentile in percentiles:
        while at < len(paid) and bought < block.header.gas_used * percentile / 100:
            bought += paid[at][1]
            at += 1
        tips.append(paid[max(at - 1, 0)][0] if paid else 0)
    return tips


def _read_percentiles(value: Json, what: str) -> tuple[float, ...]:
    found = [_read_percentile(each, what) for each in as_list(value, what, items_max=PERCENTILES_MAX)]
    if found != sorted(found):
        raise RpcError(INVALID_PARAMS, f"{what}: reward percentiles must rise")
    return tuple(found)


def _read_percentile(value: Json, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise Malformed("rpc.params", f"{what}: a percentile is a number from 0 to 100")
    return float(value)
