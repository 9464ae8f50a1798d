"""Validators beside a plain dictionary: whatever is done in whatever order, both agree, and all truths hold."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support_ledger.staking import DAY_S, LEAST, Chain, account, genesis_validator, key, proof
from tests.support_ledger.world import OPG

from paraph.core.amount import SUPPLY_WEI
from paraph.ledger.rooms.accounts.keys import TREASURY
from paraph.ledger.rooms.bonds import rules
from paraph.ledger.rooms.bonds.keys import ADDRESS, VALIDATORS
from paraph.ledger.rooms.bonds.types import DOUBLE_SIGN, LIGHT_CLIENT_ATTACK
from paraph.ledger.rooms.params import rules as params

FOUNDERS = ("ann", "ben")
NAMES = (*FOUNDERS, *(f"person {number}" for number in range(5)))
KEYS = (*NAMES, "spare 1", "spare 2")
DELAY_S = 14 * DAY_S

people = st.sampled_from(NAMES)
amounts = st.one_of(
    st.sampled_from([0, 1, OPG - 1, OPG, LEAST - 1, LEAST, LEAST + OPG, 3 * LEAST, SUPPLY_WEI, 2**256 - 1]),
    st.integers(0, 3 * LEAST),
)


@dataclass
class Validator:
    """What is known of one validator."""

    key: str
    bond: int
    put_out: bool = False
    waiting: list[tuple[int, int, int]] = field(default_factory=list)
    """Amount, height, second in which it is due; oldest first."""


class Validators(RuleBasedStateMachine):
    """Calls and faults fall into a block until a rule ends it."""

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.chain = Chain(tuple(genesis_validator(name) for name in FOUNDERS), NAMES, validators_max=size)
        self.balances = {name: self.chain.balance(account(name)) for name in NAMES}
        self.treasury = 0
        self.size = size
        self.bps = 500
        self.validators = {name: Validator(name, 50_000 * OPG) for name in FOUNDERS}
        self.keys = {name: name for name in FOUNDERS}
        self.told = self.best()

    def best(self) -> dict[bytes, int]:
        """The set as sorting all validators finds it."""
        powers = [
            (-(found.bond // OPG), account(name), found.key)
            for name, found in self.validators.items()
            if not found.put_out and found.bond >= OPG
        ]
        return {key(name): -minus for minus, _, name in sorted(powers)[: self.size]}

    # --- calls ---------------------------------------------------------------------------------------------------

    @rule(who=people, name=st.sampled_from(KEYS), signer=people, amount=amounts)
    def create(self, who: str, name: str, signer: str, amount: int) -> None:
        """Someone becomes a validator, with a key of their own, another's, or one that did not consent."""
        made = self.chain.call(who, "createValidator", key(name), proof(name, signer), "x", value=amount)
        for wrong, refusal in (
            (amount > self.balances[who], "accounts.balance"),
            (signer != who, "bonds.key_proof"),
            (who in self.validators, "bonds.exists"),
            (name in self.keys, "bonds.key_used"),
            (amount < LEAST, "bonds.bond"),
        ):
            if wrong:
                assert made.code == refusal
                return
        assert made.code == ""
        self.balances[who] -= amount
        self.validators[who] = Validator(name, amount)
        self.keys[name] = who

    @rule(who=people, amount=st.integers(LEAST, 3 * LEAST))
    def join(self, who: str, amount: int) -> None:
        """Someone becomes a validator with their own key."""
        self.create(who, who, who, amount)

    @rule(who=people, amount=amounts)
    def bond(self, who: str, amount: int) -> None:
        """More of one's own money."""
        made = self.chain.call(who, "bond", value=amount)
        found = self.validators.get(who)
        if amount > self.balances[who]:
            assert made.code == "accounts.balance"
        elif found is None:
            assert made.code == "bonds.unknown"
        elif found.put_out:
            assert made.code == "bonds.tombstoned"
        elif not found.bond:
            assert made.code == "bonds.left"
        elif not amount:
            assert made.code == "bonds.amount"
        else:
            assert made.code == ""
            self.balances[who] -= amount
            found.bond += amount

    @rule(who=people, amount=amounts)
    def unbond(self, who: str, amount: int) -> None:
        """Some of it leaves."""
        made = self.chain.call(who, "unbond", amount)
        found = self.validators.get(who)
        if found is None:
            assert made.code == "bonds.unknown"
        elif not 0 < amount <= found.bond:
            assert made.code == "bonds.amount"
        elif 0 < found.bond - amount < LEAST:
            assert made.code == "bonds.bond"
        elif len(found.waiting) == 7:
            assert made.code == "bonds.queue"
        else:
            assert made.code == ""
            found.bond -= amount
            found.waiting.append((amount, self.chain.height, self.chain.now + DELAY_S))

    @rule(who=people)
    def leave(self, who: str) -> None:
        """All of it leaves."""
        if who in self.validators:
            self.unbond(who, self.validators[who].bond)

    @rule(who=people)
    def withdraw(self, who: str) -> None:
        """What is due is paid."""
        made = self.chain.call(who, "withdraw")
        found = self.validators.get(who)
        if found is None:
            assert made.code == "bonds.unknown"
            return
        due = [each for each in found.waiting if each[2] <= self.chain.now]
        if not due:
            assert made.code == "bonds.locked"
            return
        assert made.code == ""
        self.balances[who] += sum(amount for amount, _, _ in due)
        found.waiting = [each for each in found.waiting if each[2] > self.chain.now]

    # --- consensus -----------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(KEYS),
        kind=st.sampled_from([DOUBLE_SIGN, LIGHT_CLIENT_ATTACK, 9]),
        blocks=st.integers(0, 4),
        seconds=st.sampled_from([0, DAY_S, DELAY_S, DELAY_S + 1]),
    )
    def strike(self, name: str, kind: int, blocks: int, seconds: int) -> None:
        """A fault of some blocks and seconds ago is proved against a key."""
        height = max(self.chain.height - blocks, 1)
        found = self.validators.get(self.keys.get(name, ""))
        events = self.chain.strike(name, kind, height, self.chain.now - seconds)
        if found is None or found.put_out or kind == 9 or seconds > DELAY_S:
            assert events == []
            return
        lost = found.bond * self.bps // 10_000
        found.bond -= lost
        found.put_out = True
        for at, (amount, begun, due) in enumerate(found.waiting):
            if begun >= height - 1:
                lost += amount * self.bps // 10_000
                found.waiting[at] = (amount - amount * self.bps // 10_000, begun, due)
        found.waiting = [each for each in found.waiting if each[0]]
        self.treasury += lost
        assert events[-1] == ("Slashed", (account(self.keys[name]), kind, height, lost))

    @rule(size=st.integers(1, 4), bps=st.sampled_from([100, 500, 10_000]))
    def govern(self, size: int, bps: int) -> None:
        """The size of the set and the price of a fault change."""
        params.put(self.chain.state, {"validators_max": size, "slash_double_sign_bps": bps})
        self.chain.state.keep()
        self.size, self.bps = size, bps

    @rule(seconds=st.sampled_from([0, 1, DAY_S, DELAY_S - 1, DELAY_S]))
    def end(self, seconds: int) -> None:
        """The block ends: truths are audited, and consensus is told what is new."""
        self.told = self.best() or self.told
        self.chain.end(seconds)

        assert self.chain.told == self.told
        for name, found in self.validators.items():
            read = self.chain.must(name, "validator", account(name)).values
            power = 0 if found.put_out else found.bond // OPG
            assert read[2:5] == (found.bond, power, key(found.key) in self.told)

    # --- what is always so ---------------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        """After every step the chain holds what the dictionary holds."""
        chain = self.chain
        held = 0
        for name in NAMES:
            assert chain.balance(account(name)) == self.balances[name]
            stored = VALIDATORS.get(chain.state, account(name))
            waiting = rules._unbondings(chain.state, account(name))
            if stored is None:
                assert name not in self.validators
                assert not waiting
                continue
            found = self.validators[name]
            assert (stored.key, stored.bond, stored.tombstoned_s > 0) == (key(found.key), found.bond, found.put_out)
            assert [(each.amount, each.height, each.mature_s) for each in waiting] == found.waiting
            held += stored.bond + sum(each.amount for each in waiting)
        assert chain.balance(ADDRESS) == held
        assert chain.balance(TREASURY) == self.treasury
        assert sum(self.balances.values()) + held + self.treasury == SUPPLY_WEI

    def teardown(self) -> None:
        if hasattr(self, "told"):
            self.end(0)
            self.agrees()


TestValidators = Validators.TestCase
TestValidators.settings = settings(stateful_step_count=50)
