"""The methods that wallets use, each answered from what was verified. What cannot be is refused with its reason."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from paraph import __version__
from paraph.adapters.ethereum.rpc import INVALID_INPUT, REVERTED, Group, Method, RpcError, refusal
from paraph.adapters.ethereum.shapes import Included, log_json, pending_json, placed_logs, transaction_json
from paraph.adapters.ethereum.wire import quantity, read_flag, read_quantity
from paraph.core.digest import keccak256
from paraph.core.encode import Json, as_list, as_text
from paraph.core.errors import Malformed, Rejected, Unverified
from paraph.core.ident import Address, Digest, digest_from_hex, to_hex
from paraph.flows.effect import Flow, Rpc, ask
from paraph.flows.verified.blocks import NEWEST, VerifiedBlock, block_at, block_named, blocks, including
from paraph.flows.verified.calls import CallRequest, Done, Outcome, Refused, call, estimate
from paraph.flows.verified.follow import view
from paraph.ledger.block import BASE_FEE, BASE_FEE_CHANGE_DENOMINATOR
from paraph.ledger.contract import revert_data
from paraph.ledger.rooms.accounts.keys import BALANCES, NONCES
from paraph.ledger.tx import SignedTx, check_form
from paraph.ledger.versions import BY_ADDRESS
from paraph.sdk.light.light import Light
from paraph.sdk.light.logs import LogSearch, read_search
from paraph.sdk.light.rpc import FACT_CHARS_MAX
from paraph.sdk.light.shapes import block_json, included, receipt_json
from paraph.sdk.light.wire import read_address, read_block, read_call, read_count, read_data, read_digest, read_nothing

CODE: Final = b"\xfe"
"""What `eth_getCode` shows for a native contract: one INVALID instruction, which nothing ever runs."""
SENT_MAX: Final = 256
"""Transactions remembered that were handed on here: a wallet's that wait."""
TIP_DIVISOR: Final = 10
"""The tip we suggest is a tenth of the base fee, as full nodes do."""
HISTORY_MAX: Final = 100
"""Blocks in one fee history, each read whole; wallets ask for ten."""
PERCENTILES_MAX: Final = 100
LOGS_MAX: Final = 10_000

WHY_NOT: Final = (
    (
        ("eth_newFilter", "eth_newBlockFilter", "eth_newPendingTransactionFilter", "eth_getFilter", "eth_uninstall"),
        "filters are kept by a node that would have to be believed; ask eth_getLogs",
    ),
    (("eth_subscribe", "eth_unsubscribe"), "nothing is pushed; ask again"),
    (
        ("eth_sendTransaction", "eth_sign", "personal_", "wallet_"),
        "no key is held here; sign in the wallet and use eth_sendRawTransaction",
    ),
    (("debug_", "trace_", "txpool_", "admin_", "engine_"), "no root commits to what it answers"),
    (("eth_getStorageAt", "eth_getProof"), "no account has storage; state is proved by paraph_getProof of a full node"),
    (("paraph_",), "ask a full node: its answer carries its own proof"),
)
"""Beginnings of names, and why what they name is not offered."""


def why_not(name: str) -> str:
    """A word on a method that is not offered."""
    found = (reason for beginnings, reason in WHY_NOT if name.startswith(beginnings))
    return next(found, "what it answers cannot be verified")


class Table:
    """The methods of one light client.

    Args:
        light: the client.
    """

    def __init__(self, light: Light) -> None:
        self._light = light
        self._trust = light.follower.trust
        self._sent: OrderedDict[Digest, SignedTx] = OrderedDict()

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        of_account, by_number, by_hash = (read_address, read_block), (read_block, read_flag), (read_digest, read_flag)
        calling = (read_call, read_block, read_nothing, read_nothing)
        return {
            **{name: Method(_always(value)) for name, value in self._fixed().items()},
            "eth_blockNumber": Method(self.number),
            "eth_getBalance": Method(self.balance, of_account, 1),
            "eth_getTransactionCount": Method(self.nonce, (read_address, _read_tag), 1),
            "eth_getCode": Method(self.code, of_account, 1),
            "eth_getBlockByNumber": Method(self.block, by_number, 1),
            "eth_getBlockByHash": Method(self.block, by_hash, 1),
            "eth_getBlockReceipts": Method(self.receipts, (read_block,), 1),
            "eth_getBlockTransactionCountByNumber": Method(self.count, (read_block,), 1),
            "eth_getBlockTransactionCountByHash": Method(self.count, (read_digest,), 1),
            "eth_getTransactionByHash": Method(self.transaction, (read_digest,), 1),
            "eth_getTransactionByBlockNumberAndIndex": Method(self.transaction_at, (read_block, read_quantity), 2),
            "eth_getTransactionByBlockHashAndIndex": Method(self.transaction_at, (read_digest, read_quantity), 2),
            "eth_getTransactionReceipt": Method(self.receipt, (read_digest,), 1),
            "eth_getLogs": Method(self.logs, (read_search,), 1),
            "eth_call": Method(self.call, calling, 1),
            "eth_estimateGas": Method(self.estimate, calling[:3], 1),
            "eth_gasPrice": Method(self.gas_price),
            "eth_maxPriorityFeePerGas": Method(self.tip),
            "eth_feeHistory": Method(self.fee_history, (read_count, read_block, _read_percentiles), 2),
            "eth_sendRawTransaction": Method(self.send, (read_data,), 1, Group.SUBMIT),
            "web3_sha3": Method(self.sha3, (read_data,), 1),
        }

    def _fixed(self) -> dict[str, Json]:
        """What the trust file or this program says by itself."""
        return {
            "eth_chainId": quantity(self._trust.chain_id),
            "net_version": str(self._trust.chain_id),
            "net_listening": True,
            "web3_clientVersion": f"paraph-light/{__version__}",
            "eth_syncing": False,
            "eth_accounts": [],
        }

    # --- state ---

    async def number(self) -> Json:
        """`eth_blockNumber`: of the newest block whose state is sealed."""
        return quantity((await self._light.run(view(self._light.follower, ()))).header.height)

    async def balance(self, account: Address, block: int | Digest | None) -> Json:
        """`eth_getBalance`."""
        return quantity(await self._state_number(BALANCES.prefix + account, block))

    async def nonce(self, account: Address, asked: "tuple[int | Digest, bool] | None") -> Json:
        """`eth_getTransactionCount`: `pending` counts what was handed on here and follows on without a gap."""
        block, pending = asked or (NEWEST, False)
        found = await self._state_number(NONCES.prefix + account, block)
        waiting = {each.tx.nonce for each in self._sent.values() if each.sender == account}
        while pending and found in waiting:
            found += 1
        return quantity(found)

    async def code(self, account: Address, _block: int | Digest | None) -> Json:
        """`eth_getCode`: the native contracts are known, and there are no others."""
        return to_hex(CODE if account in BY_ADDRESS else b"")

    async def sha3(self, data: bytes) -> Json:
        """`web3_sha3`."""
        return to_hex(keccak256(data))

    async def _state_number(self, key: bytes, block: int | Digest | None) -> int:
        seen = await self._light.run(view(self._light.follower, (key,)))
        _need_newest(block, seen.header.height, seen.header.hash())
        return seen.number(key)

    # --- calls ---

    async def call(self, asked: CallRequest, block: int | Digest | None, *_overrides: None) -> Json:
        """`eth_call`, worked out here."""
        found = await self._worked_out(call(self._light.follower, asked), block)
        return to_hex(found.output)

    async def estimate(self, asked: CallRequest, block: int | Digest | None, _overrides: None) -> Json:
        """`eth_estimateGas`, worked out here: exact, since gas depends on the call's bytes and arguments alone."""
        found = await self._worked_out(estimate(self._light.follower, asked), block)
        return quantity(found.gas_used)

    async def _worked_out(self, flow: Flow[Outcome], block: int | Digest | None) -> Done:
        if block not in (None, NEWEST):
            head = (await self._light.run(view(self._light.follower, ()))).header
            _need_newest(block, head.height, head.hash())
        found = await self._light.run(flow)
        if isinstance(found, Refused):
            error = found.error
            said = f"execution reverted: {error.code}: {error.message}"
            raise RpcError(REVERTED, said, to_hex(revert_data(error)))
        return found

    # --- blocks ---

    async def block(self, named: int | Digest, full: bool | None) -> Json:
        """`eth_getBlockBy…`."""
        found = await self._block(named)
        return None if found is None else block_json(found, full=bool(full))

    async def receipts(self, named: int | Digest) -> Json:
        """`eth_getBlockReceipts`."""
        found = await self._block(named)
        return None if found is None else [receipt_json(each) for each in included(found)]

    async def count(self, named: int | Digest) -> Json:
        """`eth_getBlockTransactionCountBy…`."""
        found = await self._block(named)
        return None if found is None else quantity(sum(1 for _ in included(found)))

    async def transaction(self, tx_hash: Digest) -> Json:
        """`eth_getTransactionByHash`: committed, or handed on here and waiting."""
        found = await self._including(tx_hash)
        if found is not None:
            return transaction_json(found)
        waiting = self._sent.get(tx_hash)
        return None if waiting is None else pending_json(waiting)

    async def transaction_at(self, named: int | Digest, index: int) -> Json:
        """`eth_getTransactionByBlock…AndIndex`."""
        found = await self._block(named)
        shown = [] if found is None else list(included(found))
        return transaction_json(shown[index]) if index < len(shown) else None

    async def receipt(self, tx_hash: Digest) -> Json:
        """`eth_getTransactionReceipt`: null until the state after its block is sealed."""
        found = await self._including(tx_hash)
        return None if found is None else receipt_json(found)

    async def logs(self, asked: LogSearch) -> Json:
        """`eth_getLogs`: every block of the range is read whole, so that none is left out."""
        follower, kept = self._light.follower, self._light.kept
        if asked.block is not None:
            found = await self._block(asked.block)
            if found is None:
                raise Rejected("verified.no_block", "the node shows no block of that hash")
            searched: tuple[VerifiedBlock, ...] = (found,)
        else:
            searched = await self._light.run(blocks(follower, kept, asked.first, asked.last))
        each = (placed for block in searched for one in included(block) for placed in placed_logs(one))
        matching: list[Json] = [log_json(placed) for placed in each if asked.criteria.match(placed.log)]
        if len(matching) > LOGS_MAX:
            raise Rejected("verified.logs", f"more than {LOGS_MAX} logs: ask for fewer blocks")
        return matching

    async def _block(self, named: int | Digest) -> VerifiedBlock | None:
        follower, kept = self._light.follower, self._light.kept
        if isinstance(named, int):
            return await self._light.run(block_at(follower, kept, named))
        return await self._light.run(block_named(follower, kept, named))

    async def _including(self, tx_hash: Digest) -> Included | None:
        found = await self._light.run(including(self._light.follower, self._light.kept, tx_hash))
        if found is None:
            return None
        return next(each for each in included(found) if each.result.hash == tx_hash)

    # --- fees ---

    async def gas_price(self) -> Json:
        """`eth_gasPrice`: the next base fee, room for it to rise once, and the tip."""
        base_fee = await self._state_number(BASE_FEE.prefix, None)
        return quantity(base_fee + -(-base_fee // BASE_FEE_CHANGE_DENOMINATOR) + base_fee // TIP_DIVISOR)

    async def tip(self) -> Json:
        """`eth_maxPriorityFeePerGas`."""
        return quantity(await self._state_number(BASE_FEE.prefix, None) // TIP_DIVISOR)

    async def fee_history(self, count: int, named: int | Digest, percentiles: tuple[float, ...] | None) -> Json:
        """`eth_feeHistory`: base fees of at most 100 blocks and of the one after, gas used, and tips paid."""
        last = await self._block(named)
        if last is None:
            raise Rejected("verified.no_block", "request beyond head block")
        height = last.header.height
        first = max(0, height + 1 - min(count, HISTORY_MAX))
        found = await self._light.run(blocks(self._light.follower, self._light.kept, first, height)) if count else ()
        if not found:
            return {"oldestBlock": quantity(0), "baseFeePerGas": [], "gasUsedRatio": []}
        fees: list[Json] = [quantity(block.header.base_fee) for block in found]
        ratios: list[Json] = [block.header.gas_used / max(block.header.gas_limit, 1) for block in found]
        history: dict[str, Json] = {
            "oldestBlock": quantity(first),
            "baseFeePerGas": [*fees, quantity(await self._base_fee_after(height))],
            "gasUsedRatio": ratios,
        }
        if percentiles:
            history["reward"] = [[quantity(tip) for tip in tips_paid(block, percentiles)] for block in found]
        return history

    async def _base_fee_after(self, height: int) -> int:
        seen = await self._light.run(view(self._light.follower, (BASE_FEE.prefix,)))
        if seen.header.height == height:
            return seen.number(BASE_FEE.prefix)
        after = await self._block(height + 1)
        # The chain is at least as far as when the block before it was read.
        return seen.number(BASE_FEE.prefix) if after is None else after.header.base_fee

    # --- sending ---

    async def send(self, raw: bytes) -> Json:
        """`eth_sendRawTransaction`: handed on. That the node took it is its word alone; the receipt is proof."""
        try:
            signed = check_form(raw, self._trust.chain_id)
        except (Malformed, Rejected) as error:
            raise refusal(INVALID_INPUT, error.message, error, FACT_CHARS_MAX) from error
        shown = await self._light.run(_handed_on(raw))
        if shown != signed.hash:
            reason = f"the node says it took {to_hex(shown)}; it was given {to_hex(signed.hash)}"
            raise Unverified((("verified.hash", reason),))
        self._sent[signed.hash] = signed
        while len(self._sent) > SENT_MAX:
            self._sent.popitem(last=False)
        return to_hex(signed.hash)


def _handed_on(raw: bytes) -> Flow[Digest]:
    reply = yield from ask(Rpc("eth_sendRawTransaction", (to_hex(raw),)))
    return digest_from_hex(as_text(reply, "the reply to eth_sendRawTransaction", bytes_max=66), "the hash")


def tips_paid(block: VerifiedBlock, percentiles: tuple[float, ...]) -> list[int]:
    """The tip per gas below which each percentage of the block's gas was bought; zeros for an empty block."""
    header = block.header
    paid = sorted((each.result.gas_price - header.base_fee, each.result.gas_used) for each in included(block))
    tips: list[int] = []
    at = bought = 0
    for percentile in percentiles:
        while at < len(paid) and bought < header.gas_used * percentile / 100:
            bought += paid[at][1]
            at += 1
        tips.append(paid[max(at - 1, 0)][0] if paid else 0)
    return tips


def _need_newest(block: int | Digest | None, height: int, block_hash: Digest) -> None:
    """Refuse state other than the newest: nodes prove no other."""
    if block in (None, NEWEST, height, block_hash):
        return
    raise Rejected("verified.height", f"state is proved after the newest block alone, {height} now; ask for latest")


def _always(value: Json) -> Callable[[], Awaitable[Json]]:
    async def fixed() -> Json:
        return value

    return fixed


def _read_tag(value: Json, what: str) -> tuple[int | Digest, bool]:
    """Read which block, and whether what waits counts too."""
    return read_block(value, what), value == "pending"


def _read_percentiles(value: Json, what: str) -> tuple[float, ...]:
    found = [_read_percentile(each, what) for each in as_list(value, what, items_max=PERCENTILES_MAX)]
    if found != sorted(found):
        raise Malformed("rpc.params", f"{what}: reward percentiles must rise")
    return tuple(found)


def _read_percentile(value: Json, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise Malformed("rpc.params", f"{what}: a percentile is a number from 0 to 100")
    return float(value)
