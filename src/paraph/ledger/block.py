"""One block, from committed state to changed state. Read this first.

A block is a height, a time, a proposer, raw transactions and proved faults. Applying it is a pure function: the same
state and block give the same changes, results and base fee on every machine.

 1. The block follows the last one: next height, no earlier time. The rules are those of the version in force.
 2. Validators that consensus proved to have signed two blocks are slashed.
 3. Each transaction in order: check its form; check nonce and funds; buy the gas; move the value; run the native
    contract called; give unused gas back; pay the tip to the proposer and the base fee to the treasury.
    What a failed call wrote is dropped, its gas is paid. What could not be paid for is skipped and leaves no trace.
 4. The validator set follows the bonds.
 5. The next base fee follows from how full the block was (EIP-1559).
 6. The state keeps the block's own head, and the hash of the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from paraph.core import rlp
from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected, must
from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.core.keys import Recover, recover
from paraph.core.limits import TIME_S_MAX
from paraph.core.merkle import root as merkle_root
from paraph.ledger.contract import Call, Facts, Log, OutOfGas, revert_data
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import NONCES, TREASURY
from paraph.ledger.rooms.bonds import rules as bonds
from paraph.ledger.rooms.bonds.types import Fault, SetChange
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import BASE_FEE_MIN_WEI, GAS_LIMIT
from paraph.ledger.state import Numbers, Read, State
from paraph.ledger.tx import Form, SignedTx, check_form
from paraph.ledger.versions import RULES, Rules
from paraph.proofs.header import HEAD_KEY, Head, hash_key
from paraph.proofs.quotes.evidence import CHECKS, Checks

BASE_FEE: Final = Numbers(b"chain/base_fee")

LATER: Final = ("tx.block_full", "tx.fee", "tx.nonce")
"""Why a transaction may be skipped and still go in later: no room left, a base fee that will fall again, or one of
these happened to the one before it. What is never to go in, by its nonce, leaves the pool with the block."""

BASE_FEE_CHANGE_DENOMINATOR: Final = 8
ELASTICITY: Final = 2
"""EIP-1559: the base fee moves by at most an eighth, around half of the gas limit."""


@dataclass(frozen=True, slots=True)
class Block:
    """What an engine decides, and the hash of the header before: everything else follows.

    Args:
        height: the last one's, and one.
        time_s: Unix seconds; never before the last block's.
        proposer: the account that receives the tips.
        transactions: raw, in order.
        parent: hash of the header before.
        faults: what consensus proved against validators.
    """

    height: int
    time_s: int
    proposer: Address
    transactions: tuple[bytes, ...]
    parent: Digest
    faults: tuple[Fault, ...] = ()


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
        """The result's RLP, as the block store keeps it."""
        return rlp.encode([*self._head(), self.output, self.error.encode(), _logs_rlp(self.logs)])

    def leaf(self) -> bytes:
        """The result as the header's results root commits to it: of a failure the code alone.

        Sentences are for people and may be worded anew; a word of them in consensus would be a fork.
        """
        code, _, _ = self.error.partition(":")
        output = self.output if self.status == 1 else b""
        return rlp.encode([*self._head(), output, code.encode(), _logs_rlp(self.logs)])

    def _head(self) -> list[rlp.Rlp]:
        number = rlp.from_uint
        return [number(self.status), self.hash, number(self.gas_used), number(self.gas_price)]


def _logs_rlp(logs: tuple[Log, ...]) -> list[rlp.Rlp]:
    return [[log.address, list(log.topics), log.data] for log in logs]


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
    """What a block did.

    Args:
        changes: of state; None removes.
        results: one per transaction.
        leaves: each result as the head's results root commits to it.
        head: the block as its state tells it.
        powers: changes of the validator set, which consensus puts in force two blocks later.
        version: of the rules that applied it.
    """

    changes: dict[bytes, bytes | None]
    results: tuple[Result, ...]
    leaves: tuple[bytes, ...]
    head: Head
    powers: tuple[SetChange, ...]
    version: int


def apply_block(
    read: Read,
    block: Block,
    recover: Recover = recover,
    versions: Mapping[int, Rules] = RULES,
    form: Form = check_form,
    checks: Checks = CHECKS,
) -> Applied:
    """Apply a block to committed state.

    Args:
        read: committed state.
        block: the next block.
        recover: finds the signer of a signature; one that remembers saves the cost of looking twice.
        versions: the rules that this software knows.
        form: reads a transaction and finds its sender; one that remembers saves the cost of reading twice.
        checks: of what enclaves' platforms signed, and of proofs; ones that remember save the cost of looking twice.

    Raises:
        Rejected: `block.order`: not the next height, or time runs backwards; `block.time`: no such time;
            `block.proposer`: no account may be paid there; `block.version`: rules that this software does not know.
    """
    state = State(read)
    # 1
    last = head_of(state)
    if block.height != last.height + 1 or block.time_s < last.time_s:
        raise Rejected(
            "block.order",
            f"block {block.height} at {block.time_s} s cannot follow block {last.height} at {last.time_s} s",
        )
    if block.time_s > TIME_S_MAX:
        raise Rejected("block.time", f"no block is made at {block.time_s} s, beyond {TIME_S_MAX}")
    if accounts.reserved(block.proposer):
        raise Rejected("block.proposer", "tips paid to a native contract's address would be lost")
    rules = _rules(state, block.height, versions)
    facts = facts_of(state, block.height, block.time_s, block.proposer)
    gas_limit = params.get(state, GAS_LIMIT)
    # 2
    for fault in block.faults:
        # Its events have no transaction to stand in; the validator's record tells what happened.
        bonds.strike(state, facts, fault)
        state.keep()
    # 3
    results: list[Result] = []
    gas_used = 0
    for raw in block.transactions:
        result = _apply_transaction(state, facts, raw, gas_limit - gas_used, rules, recover, form, checks)
        gas_used += result.gas_used
        results.append(result)
    # 4
    powers = bonds.end_block(state)
    # 5
    floor = params.get(state, BASE_FEE_MIN_WEI)
    BASE_FEE.put(state, b"", next_base_fee(facts.base_fee, gas_used, gas_limit, floor))
    # 6
    leaves = tuple(result.leaf() for result in results)
    head = Head(
        facts.chain_id,
        last.genesis,
        block.height,
        block.time_s,
        block.parent,
        block.proposer,
        merkle_root(block.transactions),
        merkle_root(leaves),
        gas_used,
        gas_limit,
        facts.base_fee,
    )
    state.put(HEAD_KEY, head.encode())
    state.put(hash_key(last.height), block.parent)
    state.keep()
    return Applied(state.changes(), tuple(results), leaves, head, powers, rules.version)


def head_of(state: State) -> Head:
    """The last block as the state tells it."""
    found = state.get(HEAD_KEY)
    must(found is not None, "a state has a head")
    return Head.decode(found or b"")


def facts_of(state: State, height: int, time_s: int, proposer: Address) -> Facts:
    """What rules may know of a block at that height and time."""
    return Facts(head_of(state).chain_id, height, time_s, proposer, BASE_FEE.get(state))


def _rules(state: State, height: int, versions: Mapping[int, Rules]) -> Rules:
    """The rules in force at that height, which an upgrade may have brought."""
    params.upgrade(state, height)
    state.keep()
    version = params.version(state)
    if version not in versions:
        raise Rejected(
            "block.version",
            f"block {height} is made by the rules of version {version}; this software knows up to {max(versions)}:"
            " install a release that knows it, and start again",
            needed=version,
        )
    return versions[version]


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
    got, expected = signed.tx.nonce, accounts.nonce(state, signed.sender)
    if got != expected:
        side = "was used already" if got < expected else "is ahead: earlier ones are missing"
        raise Rejected("tx.nonce", f"nonce {got} {side}; the next is {expected}", expected=expected, got=got)
    check_funds(state, signed, base_fee)


def check_funds(state: State, signed: SignedTx, base_fee: int) -> None:
    """What a transaction must be able to pay, whenever its turn comes.

    Raises:
        Rejected: `tx.fee` below the base fee, `tx.funds`.
    """
    tx = signed.tx
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


def _apply_transaction(
    state: State, facts: Facts, raw: bytes, gas_left: int, rules: Rules, recover: Recover, form: Form, checks: Checks
) -> Result:
    tx_hash = ZERO_DIGEST
    try:
        signed = form(raw, facts.chain_id)
        tx_hash = signed.hash
        check_state(state, signed, facts.base_fee)
        if signed.tx.gas_limit > gas_left:
            raise Rejected("tx.block_full", f"the block has {gas_left} gas left; the limit is {signed.tx.gas_limit}")
    except (Malformed, Rejected) as error:
        return Result(2, tx_hash, 0, 0, b"", f"{error.code}: {error.message}", ())
    return _run(state, facts, signed, rules, recover, checks)


def _run(state: State, facts: Facts, signed: SignedTx, rules: Rules, recover: Recover, checks: Checks) -> Result:
    tx, sender = signed.tx, signed.sender
    price = tx.price(facts.base_fee)
    # The nonce and the whole gas limit are taken in a layer of their own: a failed call undoes neither.
    NONCES.put(state, sender, tx.nonce + 1)
    accounts.move(state, sender, TREASURY, tx.gas_limit * price)
    state.keep()
    call = Call(state, facts, sender, tx.to, tx.value, tx.gas_limit, tx.intrinsic_gas(), recover=recover, checks=checks)
    output, error, status = b"", "", 1
    try:
        output = execute(call, tx.data, rules)
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


def execute(call: Call, data: bytes, rules: Rules) -> bytes:
    """Move the value, and run the contract called, if the recipient is one. Returns its output.

    Raises:
        Rejected, Malformed: what the contract refuses.
    """
    contract = rules.by_address.get(call.to)
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
    read: Read,
    facts: Facts,
    sender: Address,
    to: Address,
    value: Wei,
    data: bytes,
    gas_limit: int,
    checks: Checks = CHECKS,
) -> Simulated:
    """Run a call on committed state and keep nothing: what `eth_call` and `eth_estimateGas` show.

    Args:
        read: committed state.
        facts: of the block that the call is made in.
        sender: who calls, unsigned.
        to: the contract called, or who gets the value.
        value: wei that go with it.
        data: calldata.
        gas_limit: the most it may use.
        checks: of what enclaves' platforms signed, and of proofs.

    Raises:
        Rejected, Malformed: what the call would revert with.
    """
    state = State(read)
    call = Call(state, facts, sender, to, value, gas_limit, checks=checks)
    output = execute(call, data, _rules(state, facts.height, RULES))
    return Simulated(output, call.gas_used, tuple(call.logs))
