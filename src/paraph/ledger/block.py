"""One block, from committed state to changed state. Read this first.

A block is a height, a time, a proposer and raw transactions. Applying it is a pure function: the same state and block
give the same changes, results and base fee on every machine.

 1. The block follows the last one: next height, no earlier time.
 2. Each transaction in order: check its form; check nonce and funds; buy the gas; move the value; run the native
    contract called; give unused gas back; pay the tip to the proposer and the base fee to the treasury.
    What a failed call wrote is dropped, its gas is paid. What could not be paid for is skipped and leaves no trace.
 3. The next base fee follows from how full the block was (EIP-1559).
"""

from dataclasses import dataclass
from typing import Final

from paraph.core import rlp
from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected, must
from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.ledger.contract import Call, Facts, Log, OutOfGas, revert_data
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import NONCES, TREASURY
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import BASE_FEE_MIN_WEI, GAS_LIMIT
from paraph.ledger.state import Numbers, Read, State
from paraph.ledger.tx import SignedTx, check_form
from paraph.ledger.versions import BY_ADDRESS

HEIGHT: Final = Numbers(b"chain/height")
TIME_S: Final = Numbers(b"chain/time_s")
BASE_FEE: Final = Numbers(b"chain/base_fee")
CHAIN_ID: Final = Numbers(b"chain/id")

BASE_FEE_CHANGE_DENOMINATOR: Final = 8
ELASTICITY: Final = 2
"""EIP-1559: the base fee moves by at most an eighth, around half of the gas limit."""


@dataclass(frozen=True, slots=True)
class Block:
    """What an engine decides: everything else follows."""

    height: int
    time_s: int
    proposer: Address
    transactions: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one transaction.

    Args:
        status: 1 succeeded, 0 reverted (gas paid), 2 skipped (no trace in state).
        hash: transaction hash; zero when the bytes did not parse.
        gas_used, gas_price: gas, and wei paid per gas.
        output: return data, or revert data.
        error: `code: sentence` of what failed; empty on success.
        logs: events, none unless it succeeded.
    """

    status: int
    hash: Digest
    gas_used: int
    gas_price: int
    output: bytes
    error: str
    logs: tuple[Log, ...]

    def encode(self) -> bytes:
        """The result's RLP: a leaf of the header's results root, and what the block store keeps."""
        number = rlp.from_uint
        logs: list[rlp.Rlp] = [[log.address, list(log.topics), log.data] for log in self.logs]
        head = [number(self.status), self.hash, number(self.gas_used), number(self.gas_price)]
        return rlp.encode([*head, self.output, self.error.encode(), logs])


def result_from_rlp(data: bytes) -> Result:
    """Read what `Result.encode` wrote. Raises `Malformed` (`result.form`, `rlp.…`)."""
    status, tx_hash, gas_used, gas_price, output, error, logs = _parts(rlp.decode(data), "a result", 7)
    try:
        sentence = rlp.as_bytes(error, "error").decode()
    except UnicodeDecodeError as failure:
        raise Malformed("result.form", "a result's error must be UTF-8") from failure
    return Result(
        rlp.to_uint(status, "status"),
        Digest(rlp.as_bytes(tx_hash, "hash", 32)),
        rlp.to_uint(gas_used, "gas used"),
        rlp.to_uint(gas_price, "gas price"),
        rlp.as_bytes(output, "output"),
        sentence,
        tuple(_log(log) for log in rlp.as_list(logs, "logs")),
    )


def _log(item: rlp.Rlp) -> Log:
    address, topics, data = _parts(item, "a log", 3)
    found = tuple(rlp.as_bytes(topic, "topic", 32) for topic in rlp.as_list(topics, "topics"))
    return Log(Address(rlp.as_bytes(address, "address", 20)), found, rlp.as_bytes(data, "data"))


def _parts(item: rlp.Rlp, what: str, size: int) -> list[rlp.Rlp]:
    parts = rlp.as_list(item, what)
    if len(parts) != size:
        raise Malformed("result.form", f"{what} is a list of {size} items, not {len(parts)}")
    return parts


@dataclass(frozen=True, slots=True)
class Applied:
    """What a block did: state changes (None removes), one result per transaction, gas and base fee of this block."""

    changes: dict[bytes, bytes | None]
    results: tuple[Result, ...]
    gas_used: int
    gas_limit: int
    base_fee: int


def apply_block(read: Read, block: Block) -> Applied:
    """Apply a block to committed state.

    Raises:
        Rejected: `block.order`: not the next height, or time runs backwards.
    """
    state = State(read)
    # 1
    height, time_s = HEIGHT.get(state), TIME_S.get(state)
    if block.height != height + 1 or block.time_s < time_s:
        raise Rejected(
            "block.order", f"block {block.height} at {block.time_s} s cannot follow block {height} at {time_s} s"
        )
    facts = facts_of(state, block.height, block.time_s, block.proposer)
    gas_limit = params.get(state, GAS_LIMIT)
    # 2
    results: list[Result] = []
    gas_used = 0
    for raw in block.transactions:
        result = _apply_transaction(state, facts, raw, gas_limit - gas_used)
        gas_used += result.gas_used
        results.append(result)
    # 3
    HEIGHT.put(state, b"", block.height)
    TIME_S.put(state, b"", block.time_s)
    floor = params.get(state, BASE_FEE_MIN_WEI)
    BASE_FEE.put(state, b"", next_base_fee(facts.base_fee, gas_used, gas_limit, floor))
    state.keep()
    return Applied(state.changes(), tuple(results), gas_used, gas_limit, facts.base_fee)


def facts_of(state: State, height: int, time_s: int, proposer: Address) -> Facts:
    """What rules may know of a block at that height and time."""
    return Facts(CHAIN_ID.get(state), height, time_s, proposer, BASE_FEE.get(state))


def next_base_fee(base_fee: int, gas_used: int, gas_limit: int, floor: int) -> int:
    """The base fee of the block after one that used so much gas (EIP-1559), never below the floor."""
    target = gas_limit // ELASTICITY
    if gas_used > target:
        rise = base_fee * (gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
        return max(base_fee + max(rise, 1), floor)
    fall = base_fee * (target - gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR
    return max(base_fee - fall, floor)


def check_state(state: State, signed: SignedTx, base_fee: int) -> None:
    """What a transaction needs of state before anything is written: the exact nonce, and funds for gas and value.

    Raises:
        Rejected: `tx.nonce`, `tx.fee` below the base fee, `tx.funds`.
    """
    tx = signed.tx
    expected = accounts.nonce(state, signed.sender)
    if tx.nonce != expected:
        side = "was used already" if tx.nonce < expected else "is ahead: earlier ones are missing"
        raise Rejected("tx.nonce", f"nonce {tx.nonce} {side}; the next is {expected}", expected=expected, got=tx.nonce)
    if tx.fee_max < base_fee:
        raise Rejected(
            "tx.fee", f"pays at most {tx.fee_max} wei per gas; the base fee is {base_fee}", base_fee=base_fee
        )
    needed = tx.gas_limit * tx.fee_max + tx.value
    held = accounts.balance(state, signed.sender)
    if held < needed:
        raise Rejected(
            "tx.funds", f"the sender holds {held} wei; gas and value may take {needed}", held=held, needed=needed
        )


def _apply_transaction(state: State, facts: Facts, raw: bytes, gas_left: int) -> Result:
    tx_hash = ZERO_DIGEST
    try:
        signed = check_form(raw, facts.chain_id)
        tx_hash = signed.hash
        check_state(state, signed, facts.base_fee)
        if signed.tx.gas_limit > gas_left:
            raise Rejected("tx.block_full", f"the block has {gas_left} gas left; the limit is {signed.tx.gas_limit}")
    except (Malformed, Rejected) as error:
        return Result(2, tx_hash, 0, 0, b"", f"{error.code}: {error.message}", ())
    return _run(state, facts, signed)


def _run(state: State, facts: Facts, signed: SignedTx) -> Result:
    tx, sender = signed.tx, signed.sender
    price = tx.price(facts.base_fee)
    # The nonce and the whole gas limit are taken in a layer of their own: a failed call undoes neither.
    NONCES.put(state, sender, tx.nonce + 1)
    accounts.move(state, sender, TREASURY, tx.gas_limit * price)
    state.keep()
    call = Call(state, facts, sender, tx.to, tx.value, tx.gas_limit, tx.intrinsic_gas())
    output, error, status = b"", "", 1
    try:
        output = execute(call, tx.data)
    except OutOfGas as failure:
        error, status, call.gas_used = f"{failure.code}: {failure.message}", 0, tx.gas_limit
    except (Rejected, Malformed) as failure:
        output, error, status = revert_data(failure), f"{failure.code}: {failure.message}", 0
    if status == 0:
        state.drop()
        call.logs.clear()
    accounts.move(state, TREASURY, sender, (tx.gas_limit - call.gas_used) * price)
    accounts.move(state, TREASURY, facts.proposer, call.gas_used * (price - facts.base_fee))
    state.keep()
    must(call.gas_used <= tx.gas_limit, "gas used is within the limit")
    return Result(status, signed.hash, call.gas_used, price, output, error, tuple(call.logs))


def execute(call: Call, data: bytes) -> bytes:
    """Move the value, and run the contract called, if the recipient is one. Returns its output.

    Raises:
        Rejected, Malformed: what the contract refuses.
    """
    contract = BY_ADDRESS.get(call.to)
    if contract is None:
        if call.value and accounts.reserved(call.to):
            raise Rejected("accounts.reserved", "money sent to this address would be lost")
        if call.value:
            accounts.pay(call, call.sender, call.to, call.value)
        return b""
    if call.value:
        accounts.pay(call, call.sender, call.to, Wei(call.value))
    return contract.run(call, data)


@dataclass(frozen=True, slots=True)
class Simulated:
    """The outcome of a simulated call: output, gas beyond the intrinsic, and logs."""

    output: bytes
    gas_used: int
    logs: tuple[Log, ...]


def simulate(
    read: Read, facts: Facts, sender: Address, to: Address, value: Wei, data: bytes, gas_limit: int
) -> Simulated:
    """Run a call on committed state and keep nothing: what `eth_call` and `eth_estimateGas` show.

    Raises:
        Rejected, Malformed: what the call would revert with.
    """
    call = Call(State(read), facts, sender, to, value, gas_limit)
    output = execute(call, data)
    return Simulated(output, call.gas_used, tuple(call.logs))
