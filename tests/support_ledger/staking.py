"""A small chain of validators for tests: blocks of calls of the staking contract, faults, and what consensus is told.

It runs the room's own rules on a state, without gas and nonces, and audits all truths after every block.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support_ledger.world import CHAIN_ID, OPG, PROPOSER, START_S, person

from paraph.core import abi
from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.digest import sha256
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Address
from paraph.ledger.contract import Call, Facts, Log
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.bonds import rules
from paraph.ledger.rooms.bonds.calls import CONTRACT
from paraph.ledger.rooms.bonds.types import DOUBLE_SIGN, Fault, GenesisValidator
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.state import State
from paraph.ledger.truths import broken
from paraph.ledger.versions import BY_ADDRESS

DAY_S = 86_400
LEAST = 10_000 * OPG
GENESIS_BOND = 50_000 * OPG


@cache
def account(name: str) -> Address:
    """A person's address."""
    return person(name).address


def secret(name: str) -> Ed25519PrivateKey:
    """The consensus key of a person, from the name alone."""
    return Ed25519PrivateKey.from_private_bytes(sha256(b"consensus key of " + name.encode()))


@cache
def key(name: str) -> bytes:
    """The public half of it."""
    return secret(name).public_key().public_bytes_raw()


@cache
def proof(name: str, operator: str | None = None, chain_id: int = CHAIN_ID) -> bytes:
    """A consensus key's consent to an operator, who is the same person unless said otherwise."""
    return secret(name).sign(rules.key_proof_digest(chain_id, account(operator or name)))


def genesis_validator(name: str, bond: int = GENESIS_BOND) -> GenesisValidator:
    """A validator of the first block."""
    return GenesisValidator(account(name), key(name), Wei(bond), name)


def event(log: Log) -> tuple[str, tuple[Any, ...]]:
    """A log, decoded by the contract that made it: name, and values in the order of the declaration."""
    declared = next(each for each in BY_ADDRESS[log.address].events if each.topic == log.topics[0])
    topics = iter(log.topics[1:])
    plain = iter(abi.decode(tuple(each for each in declared.inputs if not each.indexed), log.data))
    values = [abi.decode((each,), next(topics))[0] if each.indexed else next(plain) for each in declared.inputs]
    return declared.name, tuple(values)


@dataclass(frozen=True)
class Outcome:
    """What a call did: the code of its refusal (empty on success), its outputs, its events."""

    code: str
    values: Any
    events: list[tuple[str, tuple[Any, ...]]]


class Chain:
    """A chain with validators from genesis and rich people beside them.

    Args:
        validators: those of genesis.
        rich: names of those who share the rest of the supply.
        parameters: those that differ from their defaults.
    """

    def __init__(
        self,
        validators: tuple[GenesisValidator, ...] = (),
        rich: Iterable[str] = ("alice", "bob", "carol"),
        **parameters: int,
    ) -> None:
        self.dump: dict[bytes, bytes] = {}
        self.height, self.now = 0, START_S
        self.told: dict[bytes, int] = {}
        state = self.state = State(self.dump.get)
        params.put(state, parameters)
        rules.begin(state, validators)
        names = list(rich)
        left: int = SUPPLY_WEI - sum(each.bond for each in validators)
        for number, name in enumerate(names):
            part = left // (len(names) - number)
            BALANCES.add(state, account(name), part)
            left -= part
        self.told = {each.key: each.power for each in rules.active_set(state)}
        self._commit()

    def call(self, who: str, method: str, *arguments: Any, value: int = 0) -> Outcome:
        """A call in the block that is being made."""
        declared = CONTRACT.method(method)
        made = Call(self.state, self.facts, account(who), CONTRACT.address, Wei(value), 10**7)
        try:
            if value:
                accounts.move(self.state, made.sender, made.to, value)
            output = CONTRACT.run(made, declared.call(*arguments))
        except (Rejected, Malformed) as error:
            self.state.drop()
            return Outcome(error.code, None, [])
        self.state.keep()
        values = abi.decode(declared.outputs, output)
        return Outcome("", values[0] if len(values) == 1 else values, [event(log) for log in made.logs])

    def must(self, who: str, method: str, *arguments: Any, value: int = 0) -> Outcome:
        """As `call`, and it succeeds."""
        outcome = self.call(who, method, *arguments, value=value)
        assert outcome.code == ""
        return outcome

    def join(self, name: str, bond: int = LEAST) -> Outcome:
        """A person becomes a validator, and their block ends."""
        outcome = self.must(name, "createValidator", key(name), proof(name), name, value=bond)
        self.end()
        return outcome

    def strike(
        self, name: str, kind: int = DOUBLE_SIGN, height: int | None = None, time_s: int | None = None
    ) -> list[tuple[str, tuple[Any, ...]]]:
        """Consensus proves a fault in the block that is being made: of this very block, unless said otherwise."""
        when = self.now if time_s is None else time_s
        fault = Fault(kind, rules.consensus_address(key(name)), self.height if height is None else height, when)
        logs = rules.strike(self.state, self.facts, fault)
        self.state.keep()
        return [event(log) for log in logs]

    def end(self, seconds: int = 1) -> dict[bytes, int]:
        """End the block and begin the next one, `seconds` later. Returns what consensus is told."""
        changes = rules.end_block(self.state)
        assert list(changes) == sorted(changes, key=lambda each: each.key)
        for change in changes:
            assert change.power != self.told.get(change.key, 0)
            if change.power:
                self.told[change.key] = change.power
            else:
                del self.told[change.key]
        self._commit()
        assert self.told == {each.key: each.power for each in rules.active_set(self.state)}
        self.now += seconds
        return {change.key: change.power for change in changes}

    def balance(self, who: Address) -> int:
        """An account's balance in wei."""
        return BALANCES.get(self.state, who)

    @property
    def facts(self) -> Facts:
        """What rules may know of the block that is being made."""
        return Facts(CHAIN_ID, self.height, self.now, PROPOSER, 1)

    def _commit(self) -> None:
        self.state.keep()
        for place, value in self.state.changes().items():
            if value is None:
                self.dump.pop(place, None)
            else:
                self.dump[place] = value
        assert broken(self.dump) == []
        self.state = State(self.dump.get)
        self.height += 1
