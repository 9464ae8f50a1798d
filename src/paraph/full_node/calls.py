"""The chain's state over JSON-RPC: balances, calls and what they would cost, now and for some blocks back."""

from paraph.adapters.ethereum.rpc import INVALID_INPUT, INVALID_PARAMS, NOT_FOUND, REVERTED, Method, RpcError, refusal
from paraph.adapters.ethereum.wire import quantity
from paraph.core.digest import keccak256
from paraph.core.encode import Json
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, Address, to_hex
from paraph.flows.mempool import Mempool
from paraph.flows.ports import Clock
from paraph.flows.verified.calls import CallRequest
from paraph.full_node.blocks import find_block
from paraph.full_node.chain import Chain
from paraph.full_node.wire import Named, Tag, read_address, read_call, read_data, read_tag
from paraph.ledger.block import Simulated, facts_of, head_of, simulate
from paraph.ledger.contract import OutOfGas, revert_data
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import GAS_LIMIT
from paraph.ledger.state import State
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_ADDRESS

CODE = b"\xfe"
"""What `eth_getCode` shows for a native contract: one INVALID instruction. Clients refuse to call an address without
code; nothing ever runs it."""


class Calls:
    """Reads of state, and simulated calls.

    Args:
        chain: the committed state.
        mempool: waiting transactions, which `pending` counts.
        clock: what time a simulated block would have.
    """

    def __init__(self, chain: Chain, mempool: Mempool, clock: Clock) -> None:
        self._chain = chain
        self._mempool = mempool
        self._clock = clock

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        of_account = (read_address, read_tag)
        return {
            "eth_getBalance": Method(self.balance, of_account, 1),
            "eth_getTransactionCount": Method(self.nonce, of_account, 1),
            "eth_getCode": Method(self.code, of_account, 1),
            "eth_getStorageAt": Method(self.storage, (read_address, _read_slot, read_tag), 2),
            "eth_call": Method(self.call, (read_call, read_tag, _read_nothing, _read_nothing), 1),
            "eth_estimateGas": Method(self.estimate, (read_call, read_tag, _read_nothing), 1),
            "web3_sha3": Method(self.sha3, (read_data,), 1),
        }

    def balance(self, account: Address, tag: Tag | None) -> Json:
        """`eth_getBalance`."""
        return quantity(accounts.balance(self._state(tag), account))

    def nonce(self, account: Address, tag: Tag | None) -> Json:
        """`eth_getTransactionCount`: `pending` counts the unbroken run of waiting transactions too."""
        committed = accounts.nonce(self._state(tag), account)
        return quantity(self._mempool.next_nonce(account, committed) if tag is Named.PENDING else committed)

    def code(self, account: Address, tag: Tag | None) -> Json:
        """`eth_getCode`."""
        self._state(tag)
        return to_hex(CODE if account in BY_ADDRESS else b"")

    def storage(self, _account: Address, _slot: bytes, tag: Tag | None) -> Json:
        """`eth_getStorageAt`: no account has storage; state is read by `paraph_getProof`."""
        self._state(tag)
        return to_hex(bytes(32))

    def sha3(self, data: bytes) -> Json:
        """`web3_sha3`."""
        return to_hex(keccak256(data))

    def call(self, asked: CallRequest, tag: Tag | None, *_overrides: None) -> Json:
        """`eth_call`."""
        at = self._height(tag)
        limit = self._gas_limit()
        return to_hex(self._simulate(asked, limit if asked.gas is None else min(asked.gas, limit), at).output)

    def estimate(self, asked: CallRequest, tag: Tag | None, _overrides: None) -> Json:
        """`eth_estimateGas`: exact, since gas depends on the call's bytes and arguments alone."""
        at = self._height(tag)
        limit = self._gas_limit() if asked.gas is None else min(asked.gas, self._gas_limit())
        try:
            used = self._simulate(asked, self._gas_limit(), at).gas_used + _intrinsic(asked)
        except OutOfGas as error:
            raise refusal(INVALID_INPUT, f"gas required exceeds allowance ({limit})", error) from error
        if used > limit:
            raise RpcError(INVALID_INPUT, f"gas required exceeds allowance ({limit})")
        return quantity(used)

    def _simulate(self, asked: CallRequest, gas: int, height: int) -> Simulated:
        if asked.to is None:
            raise RpcError(INVALID_INPUT, "contracts cannot be created on this chain: name a recipient in `to`")
        read = self._chain.read_at(height)
        self._need_funds(State(read), asked, gas)
        intrinsic = _intrinsic(asked)
        if gas < intrinsic:
            raise RpcError(INVALID_INPUT, f"intrinsic gas too low: gas {gas}, minimum needed {intrinsic}")
        head = head_of(State(read))
        now_s = self._clock.now_ms() // 1000 if height == self._chain.height else head.time_s
        # Nobody is paid a tip in a simulation: its proposer is nobody.
        facts = facts_of(State(read), height + 1, max(now_s, head.time_s), ZERO_ADDRESS)
        try:
            return simulate(
                read, facts, asked.sender, asked.to, asked.value, asked.data, gas - intrinsic, self._chain.checks
            )
        except OutOfGas as error:
            raise refusal(INVALID_INPUT, f"out of gas: {error.message}", error) from error
        except (Rejected, Malformed) as error:
            told = f"execution reverted: {error.code}: {error.message}"
            raise RpcError(REVERTED, told, to_hex(revert_data(error))) from error

    def _need_funds(self, state: State, asked: CallRequest, gas: int) -> None:
        # As geth: a call that names a fee must afford it, one that names none is free.
        needed = asked.value + (asked.fee * gas if asked.gas is not None else 0)
        held = accounts.balance(state, asked.sender)
        if held < needed:
            raise RpcError(
                INVALID_INPUT,
                f"insufficient funds for gas * price + value: address {to_hex(asked.sender)} have {held} want {needed}",
            )

    def _state(self, tag: Tag | None) -> State:
        return State(self._chain.read_at(self._height(tag)))

    def _height(self, tag: Tag | None) -> int:
        if tag is None or tag is Named.HEAD or tag is Named.PENDING:
            return self._chain.height
        found = find_block(self._chain, tag)
        if found is None:
            raise RpcError(NOT_FOUND, "header not found: there is no such block")
        height, first = found.header.height, self._chain.state_first
        if height < first:
            raise RpcError(
                NOT_FOUND,
                f"state of block {height} is not available: this node keeps that of block {first} on; ask for latest",
            )
        return height

    def _gas_limit(self) -> int:
        return params.get(State(self._chain.read), GAS_LIMIT)


def _intrinsic(asked: CallRequest) -> int:
    to = Address(asked.to or b"")
    return Tx(2, 0, 0, 0, 0, 0, to, asked.value, asked.data, asked.access_list).intrinsic_gas()


def _read_slot(value: Json, what: str) -> bytes:
    """Read a storage slot: a quantity or up to 32 bytes, as clients send either."""
    if not isinstance(value, str) or not value.startswith("0x") or not 2 < len(value) <= 66:
        raise Malformed("rpc.params", f"{what} must be a storage slot of at most 32 bytes")
    return read_data("0x" + value[2:].rjust(64, "0"), what)


def _read_nothing(value: Json, what: str) -> None:
    """Read state or block overrides, of which only none can be honoured."""
    if value != {}:
        raise RpcError(INVALID_PARAMS, f"{what}: overrides are not supported by this node")
