"""The ledger beside a plain dictionary: whatever is done in whatever order, both agree, and all truths hold."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support_ledger.world import (
    ALICE,
    BOB,
    BOND,
    CAROL,
    CHAIN_ID,
    GOVERNOR,
    MODEL,
    OPERATOR,
    OPG,
    OWNER,
    PROPOSER,
    ROYALTY_BPS,
    Item,
    World,
    call,
    code,
    events,
    key_proof,
    model_arguments,
    node_arguments,
    person,
    receipt,
    request,
    signed,
    tree_of,
)

from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.ident import ZERO_ADDRESS, ZERO_DIGEST, Address
from paraph.core.keys import PrivateKey
from paraph.ledger.block import Result
from paraph.ledger.genesis import Allocation
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.rooms.nodes.keys import ADDRESS as NODES
from paraph.ledger.rooms.params.types import PARAMETERS
from paraph.ledger.tree import update
from paraph.ledger.truths import broken
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME

PAYERS = (ALICE, BOB, CAROL)
OPERATORS = (OPERATOR, BOB)
TARGETS = (*(who.address for who in PAYERS), PROPOSER, ZERO_ADDRESS, ESCROW, STAKERS)
VOID = (ZERO_ADDRESS, ESCROW, STAKERS)
DEFAULT = {name: parameter.default for name, parameter in PARAMETERS.items()}
WINDOW_S, DELAY_S, DRIFT_S, LIFETIME_S = 3_600, 10_800, 60, 3_600
GAS = 3_000_000

FLAWS = [""] * 8 + [
    "signer",
    "old height",
    "future height",
    "late",
    "in its last seconds",
    "future",
    "endless",
    "longest",
    "old price",
    "unknown price",
    "too dear",
    "cap",
]
people = st.sampled_from(PAYERS)
targets = st.sampled_from(TARGETS)
operators = st.sampled_from(OPERATORS)
amounts = st.one_of(
    st.integers(0, 5_000), st.sampled_from([OPG, 1_000 * OPG, 3_000 * OPG, SUPPLY_WEI, 2**256 - 1]), st.integers(0, OPG)
)


@dataclass
class Model:
    """What the ledger should hold, in plain dictionaries."""

    balances: dict[bytes, int] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    allowances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    escrow: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    nodes: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Bond, and when it may leave."""
    keys: dict[bytes, list[tuple[PrivateKey, int, int, int]]] = field(default_factory=dict)
    """Of each operator: key, first height, last height, time of closing."""
    prices: list[tuple[int, int, int, int]] = field(default_factory=list)
    settled: set[tuple[bytes, int]] = field(default_factory=set)
    batches: int = 0

    def give(self, source: bytes, target: bytes, amount: int) -> None:
        self.balances[source] = self.balances.get(source, 0) - amount
        self.balances[target] = self.balances.get(target, 0) + amount


@dataclass(frozen=True)
class Claim:
    """A receipt as its node would bring it, with what may be wrong about it."""

    payer: PrivateKey
    number: int
    operator: bytes
    hot: PrivateKey
    signer: PrivateKey
    height: int
    started: int
    deadline: int
    version: int
    price: int
    cap: int

    @property
    def place(self) -> tuple[bytes, int]:
        """What is settled once."""
        return self.payer.address, self.number

    def item(self) -> Item:
        """The claim as a batch carries it."""
        node, cap = Address(self.operator), Wei(self.cap)
        asked = request(self.payer, self.number, deadline=self.deadline, max_price=cap, node=node)
        answered = receipt(
            asked,
            self.started,
            signer=self.hot.address,
            price_version=self.version,
            price=Wei(self.price),
            input_units=7,
            output_units=0,
            height=self.height,
        )
        return signed(asked, answered, self.payer, self.signer)


Effect = Callable[[Result], str]
"""Does to the model what a transaction should do, and returns the code it should be refused with."""


class Ledger(RuleBasedStateMachine):
    """Transactions wait in a queue, as they would in a pool, until a rule makes a block of them."""

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        rest: int = SUPPLY_WEI
        shares: list[Allocation] = []
        for who in (*PAYERS, OPERATOR, OWNER):
            shares.append(Allocation(who.address, Wei(5_000 * OPG), "test"))
            rest -= 5_000 * OPG
        shares.append(Allocation(GOVERNOR.address, Wei(rest), "test"))
        self.model.balances = {each.account: int(each.amount) for each in shares}
        self.world = World.new(allocations=tuple(shares))
        self.root = ZERO_DIGEST
        self.tree: dict[bytes, bytes] = {}
        self.grow(dict(self.world.state))
        self.queue: list[tuple[Tx, PrivateKey, Effect]] = []
        self.spare = 0
        data = model_arguments()
        self.add(OWNER, "Models", "register", *data, then=lambda _: self.priced(data[-3:]))
        for operator in OPERATORS:
            self.register(operator)
        for who in PAYERS:
            self.deposit(who, who, 9_000)
        self.block(1, 0)

    # --- making blocks -------------------------------------------------------------------------------------------

    def add(
        self,
        sender: PrivateKey,
        contract: str,
        method: str,
        *arguments: Any,
        value: int = 0,
        then: Effect,
    ) -> None:
        to = BY_NAME[contract].address
        self.push(sender, to, call(contract, method, *arguments), value, then)

    def push(self, sender: PrivateKey, to: Address, data: bytes, value: int, then: Effect, tip: int = 1) -> None:
        waiting = sum(who is sender for _, who, _ in self.queue)
        nonce = self.model.nonces.get(sender.address, 0) + waiting
        fee = 10 * self.world.base_fee()
        self.queue.append((Tx(2, CHAIN_ID, nonce, tip, fee, GAS, to, Wei(value), data), sender, then))

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.block(1, 0)
            self.agrees()
            self.the_tree_is_the_dump()

    @rule(
        seconds=st.sampled_from([1, 0, 12, 600, 3_600, 7_201, 10_800, 15 * 86_400]),
        garbage=st.integers(0, 3),
    )
    def block(self, seconds: int, garbage: int) -> None:
        """A block of all that waits, with garbage between."""
        junk = [b"", b"\x02junk", Tx(2, 1, 0, 0, 10**12, GAS, ALICE.address, Wei(1), b"").sign(BOB)][:garbage]
        queue, self.queue = self.queue, []
        before = self.world.base_fee()
        raw = [tx.sign(who) for tx, who, _ in queue]
        applied = self.world.apply(*junk, *raw, seconds=seconds)
        assert [result.status for result in applied.results[: len(junk)]] == [2] * len(junk)
        for (tx, who, then), result in zip(queue, applied.results[len(junk) :], strict=True):
            self.check(tx, who.address, before, result, then)
        self.grow(applied.changes)

    def check(self, tx: Tx, sender: Address, base_fee: int, result: Result, then: Effect) -> None:
        model = self.model
        if tx.nonce != model.nonces.get(sender, 0):
            # An earlier one of this sender was skipped for want of funds.
            assert code(result) == "tx.nonce"
            return
        if model.balances[sender] < GAS * tx.fee_max + tx.value:
            assert code(result) == "tx.funds"
            return
        assert result.gas_price == base_fee + tx.tip_max
        model.nonces[sender] = tx.nonce + 1
        model.give(sender, TREASURY, GAS * result.gas_price)
        model.give(sender, tx.to, tx.value)
        expected = then(result)
        assert code(result) == expected
        if expected:
            model.give(tx.to, sender, tx.value)
        model.give(TREASURY, sender, (GAS - result.gas_used) * result.gas_price)
        model.give(TREASURY, PROPOSER, result.gas_used * tx.tip_max)

    def grow(self, changes: dict[bytes, bytes | None] | dict[bytes, bytes]) -> None:
        """The tree after a block, from the tree before it."""
        made = update(self.tree.get, self.root, changes)
        self.tree.update(made.added)
        for stale in made.stale:
            del self.tree[stale]
        self.root = made.root

    # --- accounts ------------------------------------------------------------------------------------------------

    @rule(sender=people, to=targets, amount=amounts, tip=st.integers(0, 3))
    def pay(self, sender: PrivateKey, to: Address, amount: int, tip: int) -> None:
        """Native money."""
        in_void = to in VOID
        plain = "call.plain" if to == ESCROW else "accounts.reserved" if amount else ""
        self.push(sender, to, b"", min(amount, SUPPLY_WEI), lambda _: plain if in_void else "", tip)

    @rule(sender=people, to=targets, amount=amounts)
    def transfer(self, sender: PrivateKey, to: Address, amount: int) -> None:
        """The same money as a token."""
        self.add(sender, "Opg", "transfer", to, amount, then=lambda _: self.sent(sender.address, to, amount))

    def sent(self, source: Address, to: Address, amount: int) -> str:
        if to in VOID:
            return "accounts.reserved"
        if self.model.balances[source] < amount:
            return "accounts.balance"
        self.model.give(source, to, amount)
        return ""

    @rule(owner=people, spender=people, amount=amounts)
    def approve(self, owner: PrivateKey, spender: PrivateKey, amount: int) -> None:
        """An allowance."""

        def then(_: Result) -> str:
            self.model.allowances[owner.address, spender.address] = amount
            return ""

        self.add(owner, "Opg", "approve", spender.address, amount, then=then)

    @rule(owner=people, spender=people, to=targets, amount=amounts)
    def transfer_from(self, owner: PrivateKey, spender: PrivateKey, to: Address, amount: int) -> None:
        """A take of an allowance."""

        def then(_: Result) -> str:
            place = (owner.address, spender.address)
            granted = self.model.allowances.get(place, 0)
            if granted < amount:
                return "accounts.allowance"
            refused = self.sent(owner.address, to, amount)
            if not refused and granted != 2**256 - 1:
                self.model.allowances[place] = granted - amount
            return refused

        self.add(spender, "Opg", "transferFrom", owner.address, to, amount, then=then)

    # --- escrow --------------------------------------------------------------------------------------------------

    @rule(sender=people, payer=people, amount=st.integers(0, 9_000))
    def deposit(self, sender: PrivateKey, payer: PrivateKey, amount: int) -> None:
        """Escrow, for oneself or another."""

        def then(_: Result) -> str:
            if not amount:
                return "escrow.amount"
            available, leaving, unlock = self.model.escrow.get(payer.address, (0, 0, 0))
            self.model.escrow[payer.address] = (available + amount, leaving, unlock)
            return ""

        self.add(sender, "Escrow", "depositFor", payer.address, value=amount, then=then)

    @rule(payer=people, amount=st.one_of(st.integers(0, 9_000), st.just(2**256 - 1)))
    def ask_back(self, payer: PrivateKey, amount: int) -> None:
        """A withdrawal asked for."""

        def then(_: Result) -> str:
            available, leaving, _unlock = self.model.escrow.get(payer.address, (0, 0, 0))
            if not 0 < amount <= available:
                return "escrow.amount"
            self.model.escrow[payer.address] = (available - amount, leaving + amount, self.world.now + DELAY_S)
            return ""

        self.add(payer, "Escrow", "requestWithdrawal", amount, then=then)

    @rule(payer=people)
    def cancel(self, payer: PrivateKey) -> None:
        """A withdrawal cancelled."""

        def then(_: Result) -> str:
            available, leaving, _unlock = self.model.escrow.get(payer.address, (0, 0, 0))
            if not leaving:
                return "escrow.amount"
            self.model.escrow[payer.address] = (available + leaving, 0, 0)
            return ""

        self.add(payer, "Escrow", "cancelWithdrawal", then=then)

    @rule(payer=people)
    def withdraw(self, payer: PrivateKey) -> None:
        """A withdrawal taken."""

        def then(_: Result) -> str:
            available, leaving, unlock = self.model.escrow.get(payer.address, (0, 0, 0))
            if not leaving:
                return "escrow.amount"
            if self.world.now < unlock:
                return "escrow.locked"
            self.model.escrow[payer.address] = (available, 0, 0)
            self.model.give(ESCROW, payer.address, leaving)
            return ""

        self.add(payer, "Escrow", "withdraw", then=then)

    # --- nodes and models ----------------------------------------------------------------------------------------

    def new_key(self, operator: PrivateKey) -> PrivateKey:
        self.spare += 1
        return person(f"hot key {self.spare}")

    @rule(operator=operators)
    def register(self, operator: PrivateKey) -> None:
        """A node joins."""
        hot = self.new_key(operator)

        def then(_: Result) -> str:
            if operator.address in self.model.nodes:
                return "nodes.exists"
            self.model.nodes[operator.address] = (BOND, 0)
            self.model.keys[operator.address] = [(hot, self.world.height, 0, 0)]
            return ""

        self.add(operator, "Nodes", "register", *node_arguments(hot, operator), value=BOND, then=then)

    def close(self, operator: bytes) -> None:
        hot, first, _, _ = self.model.keys[operator][-1]
        self.model.keys[operator][-1] = (hot, first, self.world.height, self.world.now)

    def stays(self, operator: bytes) -> str:
        if operator not in self.model.nodes:
            return "nodes.unknown"
        return "nodes.leaving" if self.model.nodes[operator][1] else ""

    @rule(operator=operators)
    def rotate(self, operator: PrivateKey) -> None:
        """A node turns its key."""
        hot = self.new_key(operator)

        def then(_: Result) -> str:
            refused = self.stays(operator.address)
            if not refused:
                self.close(operator.address)
                self.model.keys[operator.address].append((hot, self.world.height, 0, 0))
            return refused

        self.add(operator, "Nodes", "rotateKey", hot.address, key_proof(hot, operator.address), then=then)

    @rule(operator=st.just(BOB))
    def leave(self, operator: PrivateKey) -> None:
        """A node leaves."""

        def then(_: Result) -> str:
            refused = self.stays(operator.address)
            if not refused:
                self.close(operator.address)
                self.model.nodes[operator.address] = (BOND, self.world.now + DEFAULT["unbond_delay_s"])
            return refused

        self.add(operator, "Nodes", "deregister", then=then)

    @rule(operator=operators)
    def take_bond(self, operator: PrivateKey) -> None:
        """A node takes its bond home."""

        def then(_: Result) -> str:
            if operator.address not in self.model.nodes:
                return "nodes.unknown"
            bond, unlock = self.model.nodes[operator.address]
            if not unlock or self.world.now < unlock or not bond:
                return "nodes.bonded"
            self.model.nodes[operator.address] = (0, unlock)
            self.model.give(NODES, operator.address, bond)
            return ""

        self.add(operator, "Nodes", "withdrawBond", then=then)

    @rule(base=st.integers(0, 2_000), per_unit=st.integers(0, 20))
    def set_price(self, base: int, per_unit: int) -> None:
        """The owner changes the price."""
        self.add(OWNER, "Models", "setPrice", MODEL, base, per_unit, 0, then=lambda _: self.priced((base, per_unit, 0)))

    def priced(self, schedule: tuple[int, int, int]) -> str:
        if self.model.prices:
            self.model.prices[-1] = (*self.model.prices[-1][:3], self.world.now)
        self.model.prices.append((*schedule, 0))
        return ""

    # --- settlement ----------------------------------------------------------------------------------------------

    @rule(data=st.data(), size=st.integers(1, 4))
    def settle(self, data: st.DataObject, size: int) -> None:
        """A batch of receipts, good and bad."""
        claims = [self.claim(data) for _ in range(size)]

        def then(result: Result) -> str:
            found = [event for event in events(result) if event[0] in ("ReceiptSettled", "ReceiptRejected")]
            expected = [self.refusal(claim) or self.paid(claim) for claim in claims]
            reasons = [v[-1].partition(":")[0] if name == "ReceiptRejected" else "" for name, v in found]
            assert reasons == expected
            self.model.batches += "" in expected
            return ""

        self.add(OPERATOR, "Settlement", "settle", tuple(claim.item() for claim in claims), then=then)

    def claim(self, data: st.DataObject) -> "Claim":
        """Good in itself or with one flaw; numbers are few, so that replays are common; keys may have been closed."""
        model, now = self.model, self.world.now
        operator = data.draw(st.sampled_from(sorted(model.keys)))
        payer = data.draw(people)
        keys = [key for key, _, _, _ in model.keys[operator]]
        hot = data.draw(st.sampled_from([keys[-1]] * 4 + keys))
        flaw = data.draw(st.sampled_from(FLAWS))
        version = {"old price": 1, "unknown price": len(model.prices) + 1}.get(flaw, len(model.prices))
        base, per_input, _, _ = model.prices[min(version, len(model.prices)) - 1]
        past = {"late": 4_300, "in its last seconds": 4_199}.get(flaw, 0)
        return Claim(
            payer=payer,
            number=data.draw(st.integers(0, 9)),
            operator=operator,
            hot=hot,
            signer=payer if flaw == "signer" else hot,
            height=max(self.world.height - {"old height": 5, "future height": -9}.get(flaw, 0), 0),
            started=now - past + (120 if flaw == "future" else 0),
            deadline=now - past + {"endless": 3_700, "longest": 3_600}.get(flaw, 600),
            version=version,
            price=base + 7 * per_input + (flaw == "too dear"),
            cap=500 if flaw == "cap" else 10_000,
        )

    def refusal(self, claim: "Claim") -> str:
        """Why the rules refuse the claim in the block at hand, before any money is looked at; empty if they do not."""
        model, now, height = self.model, self.world.now, self.world.height
        _, first, last, closed = next(each for each in model.keys[claim.operator] if each[0] is claim.hot)
        for wrong, reason in (
            (claim.place in model.settled, "settlement.replay"),
            (claim.price > claim.cap or claim.started > claim.deadline, "settlement.mismatch"),
            (not first <= claim.height <= (min(last, height) if last else height), "settlement.key"),
            (claim.signer is not claim.hot, "settlement.receipt_signature"),
            (closed and now > closed + LIFETIME_S + WINDOW_S, "settlement.key_closed"),
            (claim.started < claim.deadline - LIFETIME_S, "settlement.early"),
            (now > claim.deadline + WINDOW_S, "settlement.late"),
            (claim.started >= now + DRIFT_S, "settlement.future"),
            (claim.version > len(model.prices), "models.price_unknown"),
        ):
            if wrong:
                return reason
        base, per_input, _, ended = model.prices[claim.version - 1]
        if ended and claim.started > ended:
            return "settlement.price_old"
        return "" if claim.price == base + 7 * per_input else "settlement.price"

    def paid(self, claim: "Claim") -> str:
        """Takes the price from the payer's escrow and splits it."""
        model, payer, price = self.model, claim.payer.address, claim.price
        available, leaving, unlock = model.escrow.get(payer, (0, 0, 0))
        if available + leaving < price:
            return "escrow.empty"
        kept = leaving - max(price - available, 0)
        model.escrow[payer] = (max(available - price, 0), kept, unlock if kept else 0)
        royalty, stakers, treasury = price * ROYALTY_BPS // 10_000, price * 500 // 10_000, price * 200 // 10_000
        model.give(ESCROW, OWNER.address, royalty)
        model.give(ESCROW, STAKERS, stakers)
        model.give(ESCROW, TREASURY, treasury)
        model.give(ESCROW, Address(claim.operator), price - royalty - stakers - treasury)
        model.settled.add(claim.place)
        return ""

    # --- what is always so ---------------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        """After every step the ledger holds what the model holds, and every truth holds."""
        world, model = self.world, self.model
        assert broken(world.state) == []
        assert sum(model.balances.values()) == SUPPLY_WEI
        assert {who: held for who, held in model.balances.items() if held} == table(world, b"accounts/balance/")
        assert {who: used for who, used in model.nonces.items() if used} == table(world, b"accounts/nonce/")
        granted = {owner + spender: amount for (owner, spender), amount in model.allowances.items() if amount}
        assert granted == table(world, b"accounts/allowance/")
        for who in PAYERS:
            assert world.view("Escrow", "account", who.address) == model.escrow.get(who.address, (0, 0, 0))
        assert world.view("Settlement", "batches") == model.batches
        settled = [key for key in world.state if key.startswith(b"settlement/request/")]
        assert len(settled) == len(model.settled)

    @invariant()
    def the_tree_is_the_dump(self) -> None:
        """The tree grown block by block is the tree built from the whole state, node for node."""
        whole = tree_of(self.world.state)
        assert self.root == whole.root
        assert self.tree == whole.added


def table(world: World, prefix: bytes) -> dict[bytes, int]:
    """A table of numbers as it stands in state."""
    return {
        key[len(prefix) :]: int.from_bytes(value, "big") for key, value in world.state.items() if key.startswith(prefix)
    }


TestLedger = Ledger.TestCase
TestLedger.settings = settings(stateful_step_count=50)
