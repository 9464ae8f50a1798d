"""Native contracts: a room of the ledger spoken to as a contract, at a fixed address, with a Solidity ABI.

One declaration of a method (its Solidity signature, its rule, its gas) gives dispatch, decoding, the JSON ABI, the
Solidity interface and the reference page. Callers' errors become reverts with `Error(string)` data.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from paraph.core import abi
from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Address
from paraph.core.keys import Recover, recover
from paraph.ledger.state import State
from paraph.proofs.quotes.evidence import CHECKS, Checks


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule may know of the block it runs in: the only time and place there are."""

    chain_id: int
    height: int
    time_s: int
    proposer: Address
    base_fee: int


@dataclass(frozen=True, slots=True)
class Log:
    """An event as Ethereum stores it."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(slots=True)
class Call:
    """One call of a contract: who, with how much, in which block, with how much gas.

    Mutable in two places only, both growing: the gas spent and the logs. `recover` finds the signer of a signature, and
    `checks` look at what enclaves' platforms signed and at proofs of exact models; they are here so that what was
    checked before needs no second look.
    """

    state: State
    facts: Facts
    sender: Address
    to: Address
    value: Wei
    gas_limit: int
    gas_used: int = 0
    logs: list[Log] = field(default_factory=list)
    recover: Recover = recover
    checks: Checks = CHECKS

    def charge(self, gas: int) -> None:
        """Spend gas. Raises `Rejected` (`gas.out`) beyond the limit."""
        self.gas_used += gas
        if self.gas_used > self.gas_limit:
            raise OutOfGas(self.gas_used, self.gas_limit)

    def emit(self, address: Address, event: abi.Event, *values: abi.Value) -> None:
        """Add a log."""
        topics, data = event.log(*values)
        self.logs.append(Log(address, topics, data))


class OutOfGas(Rejected):
    """The gas limit does not suffice: everything is undone and the whole limit is paid."""

    def __init__(self, used: int, limit: int) -> None:
        super().__init__("gas.out", f"out of gas: needs {used}, limit {limit}", used=used, limit=limit)


@dataclass(frozen=True)
class Bound:
    """A method with its rule and gas. The rule takes the call and the decoded arguments; it returns the outputs."""

    method: abi.Method
    rule: Callable[..., abi.Value]
    gas: int


def bind(declaration: str, rule: Callable[..., abi.Value], gas: int, **structs: abi.Type) -> Bound:
    """Bind a Solidity signature to its rule. `gas` is charged before the rule runs."""
    return Bound(abi.method(declaration, structs), rule, gas)


@dataclass(frozen=True)
class Contract:
    """A native contract: where it answers, and to what."""

    name: str
    address: Address
    summary: str
    methods: tuple[Bound, ...]
    events: tuple[abi.Event, ...] = ()

    @cached_property
    def by_selector(self) -> dict[bytes, Bound]:
        """The dispatch table."""
        return {bound.method.selector: bound for bound in self.methods}

    @cached_property
    def abi_json(self) -> list[dict[str, object]]:
        """The JSON ABI that wallets and web3.py read."""
        return [bound.method.as_json() for bound in self.methods] + [event.as_json() for event in self.events]

    def method(self, name: str) -> abi.Method:
        """The method of that name (the first of an overloaded one)."""
        return next(bound.method for bound in self.methods if bound.method.name == name)

    def run(self, call: Call, data: bytes) -> bytes:
        """Dispatch calldata to its rule.

        Raises:
            Rejected: `call.…` for an unknown method or value sent to a method that takes none, and what the rule
                raises; Malformed: the arguments do not decode.
        """
        bound = self.by_selector.get(data[:4])
        if bound is None:
            if not data:
                raise Rejected("call.plain", f"{self.name} takes no plain transfers: what is sent here would be lost")
            raise Rejected("call.method", f"{self.name} has no method with selector 0x{data[:4].hex()}")
        if call.value and bound.method.mutability != "payable":
            raise Rejected("call.value", f"{bound.method.name} is not payable; send no value with it")
        call.charge(bound.gas)
        arguments = abi.decode(bound.method.inputs, data[4:])
        outputs = bound.rule(call, *arguments)
        if len(bound.method.outputs) == 1:
            outputs = (outputs,)
        return abi.encode(bound.method.outputs, outputs or ())


REVERT: Final = abi.method("Error(string message)")


def revert_data(error: Rejected | Malformed) -> bytes:
    """The revert data of a refusal: Solidity's `Error(string)`, with the code in front of the sentence."""
    return REVERT.call(f"{error.code}: {error.message}")
