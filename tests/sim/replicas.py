"""Validators without sockets: the real application behind a simulated agreement, in virtual time.

Each replica has its own store and its own pool. What people send reaches replicas late, twice, out of order or never.
A proposer, honest or not, proposes; replicas judge; what more than two thirds of the power accept is decided, and each
replica applies it when it gets to it. Replicas die between any two calls and come back with what their store kept.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.support_ledger.staking import genesis_validator, proof
from tests.support_ledger.staking import key as consensus_key
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
    START_S,
    call,
    genesis,
    model_arguments,
    node_arguments,
    person,
    receipt,
    request,
    signed,
)

from paraph.adapters.comet.application import Checked, Misbehaviour, Proposed
from paraph.adapters.fakes.store import MemoryStore
from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
from paraph.flows.ports import KeyValue
from paraph.full_node.chain import Chain
from paraph.full_node.forms import Forms, Signatures
from paraph.full_node.replicated import Replicated
from paraph.full_node.snapshots import Snapshots
from paraph.ledger.block import BASE_FEE
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.bonds.rules import consensus_address
from paraph.ledger.rooms.settlement.keys import SETTLED
from paraph.ledger.state import State
from paraph.ledger.truths import broken
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME

NAMES: Final = ("one", "two", "three", "four")
LATER: Final = ("five", "six")
"""Who may become a validator on the way."""
PAYERS: Final = (ALICE, BOB, CAROL, GOVERNOR, OWNER, OPERATOR)
POWER_BOND: Final = 50_000 * OPG


def network() -> Genesis:
    """A genesis with four validators; everyone else holds a share."""
    people = (*PAYERS, *(person(name) for name in (*NAMES, *LATER)))
    rest = SUPPLY_WEI - len(NAMES) * POWER_BOND
    share = rest // len(people)
    held = [share] * (len(people) - 1) + [rest - share * (len(people) - 1)]
    allocations = tuple(Allocation(who.address, Wei(part), "test") for who, part in zip(people, held, strict=True))
    return genesis(
        producers=(),
        allocations=allocations,
        validators=tuple(genesis_validator(name, POWER_BOND) for name in NAMES),
        parameters={"unbond_delay_s": 60},
    )


async def told(found: Checked | Awaitable[Checked]) -> Checked:
    """What a check said, at once or later."""
    return found if isinstance(found, Checked) else await found


@dataclass
class Replica:
    """One validator's node: what survives a crash (the store), and what does not."""

    name: str
    folder: Path
    store: KeyValue = field(default_factory=MemoryStore)
    up: bool = True

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start from what the store kept."""
        signatures = Signatures()
        self.chain = Chain(self.store, network(), recover=signatures, form=signatures.form)
        snapshots = Snapshots(self.chain, self.folder / self.name, 0, 2)
        self.application = Replicated(self.chain, Forms(CHAIN_ID, signatures, 0), snapshots)
        self.up = True


@dataclass
class Decided:
    """A block as it was decided, and the root that every replica must reach."""

    block: Proposed
    root: bytes


class Network:
    """The replicas, what is under way to them, and the blocks decided so far."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.now_s = START_S + 10
        self.replicas = [Replica(name, folder) for name in NAMES]
        self.history: list[Decided] = []
        self.powers = {consensus_key(name): POWER_BOND // OPG for name in NAMES}
        """The set in force, with what blocks of the last height changed to come."""
        self.mail: list[tuple[int, Replica, bytes]] = []
        self.nonces: dict[Address, int] = {}
        self.asked = 0
        self._open()

    def _open(self) -> None:
        """A model, a node and an escrow, in the first block."""
        opening = (
            self._call(OWNER, "Models", "register", *model_arguments()),
            self._call(OPERATOR, "Nodes", "register", *node_arguments(), value=BOND),
            self._call(ALICE, "Escrow", "deposit", value=OPG),
        )
        self.mail = [(self.now_s, replica, raw) for replica in self.replicas for raw in opening]
        self._deliver()
        self._round(honest=True)

    # --- one step ---

    def step(self) -> None:
        """Something happens, and then everything is audited."""
        self.now_s += self.chance.randrange(1, 4)
        self._deliver()
        what: list[tuple[int, Callable[[], None]]] = [
            (8, self._send),
            (14, self._round),
            (2, self._crash),
            (3, self._restart),
            (4, self._catch_up),
            (1, self._join),
        ]
        self.chance.choices([act for _, act in what], [weight for weight, _ in what])[0]()
        self.audit()

    def audit(self) -> None:
        """All truths hold in every replica, and each has the root that was decided for its height."""
        for replica in self.replicas:
            if not replica.up:
                continue
            chain = replica.chain
            assert broken(chain.dump()) == [], replica.name
            if chain.height:
                assert chain.head.header.state_root == self.history[chain.height - 1].root, replica.name

    def settle_down(self) -> None:
        """Everyone comes back and catches up; some more blocks are made of what waits."""
        for replica in self.replicas:
            if not replica.up:
                replica.start()
        for _ in range(4):
            self.now_s += 2
            self._all_follow()
            self._deliver()
            self._round(honest=True)
        self._all_follow()
        self.audit()
        assert len({replica.chain.head.header.hash() for replica in self.replicas}) == 1

    def _all_follow(self) -> None:
        for replica in self.replicas:
            while replica.chain.height < len(self.history):
                if not replica.up:
                    replica.start()
                self._follow(replica, len(self.history))

    # --- blocks ---

    def _round(self, honest: bool | None = None) -> None:
        height = len(self.history) + 1
        ready = [each for each in self.replicas if each.up and each.chain.height == height - 1]
        voters = [each for each in ready if consensus_key(each.name) in self.powers]
        if not voters:
            return
        proposer = self.chance.choice(voters)
        block = Proposed(height, self.now_s, consensus_address(consensus_key(proposer.name)), ())
        if height > 3 and self.chance.random() < 0.05:
            block = replace(block, misbehaviour=self._fault(height))
        chosen = proposer.application.propose(block, 1 << 20)
        liar = self.chance.random() < 0.25 if honest is None else not honest
        block = replace(block, transactions=self._spoilt(chosen) if liar else chosen)
        verdicts = {each.name: each.application.judge(block) for each in ready}
        assert len({bool(verdict) for verdict in verdicts.values()}) == 1, verdicts
        if not liar:
            assert not any(verdicts.values()), verdicts
        power = sum(self.powers[consensus_key(each.name)] for each in voters if not verdicts[each.name])
        if 3 * power <= 2 * sum(self.powers.values()):
            return
        # What is decided is decided, though nobody may have applied it yet.
        probe = voters[0]
        finalized = probe.application.finalize(block)
        self.history.append(Decided(block, finalized.root))
        for change in finalized.powers:
            self.powers[change.key] = change.power
            if not change.power:
                del self.powers[change.key]
        assert self.powers, "the set is never empty"
        for replica in ready:
            if self.chance.random() < 0.85:
                self._follow(replica, height)

    def _follow(self, replica: Replica, height: int) -> None:
        """A replica applies what was decided, up to a height; it may die on the way."""
        while replica.up and replica.chain.height < height:
            decided = self.history[replica.chain.height]
            found = replica.application.finalize(decided.block)
            assert found.root == decided.root, replica.name
            if self.chance.random() < 0.02:
                replica.up = False  # between FinalizeBlock and Commit: nothing of the block was kept
                return
            replica.application.commit()

    def _spoilt(self, chosen: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What a hostile proposer makes of a block."""
        kinds: list[Callable[[], tuple[bytes, ...]]] = [
            lambda: (*chosen, b"garbage"),
            lambda: (*chosen, *chosen[:1], self._transfer(ALICE, nonce=10**6)),
            lambda: (*chosen, self._transfer(ALICE, value=SUPPLY_WEI, nonce=self._committed(ALICE.address))),
            lambda: tuple(raw[:-1] + bytes((raw[-1] ^ 1,)) for raw in chosen) or (b"\xc0",),
            lambda: (*chosen, self._forged_settlement()),
        ]
        return self.chance.choice(kinds)()

    def _fault(self, height: int) -> tuple[Misbehaviour, ...]:
        name = self.chance.choice((*NAMES, *LATER))
        address = consensus_address(consensus_key(name))
        # Never so many that nobody is left who would not be slashed.
        if len(self.powers) < 4:
            return ()
        return (Misbehaviour(1, address, 1, height - 2, self.now_s - 4, 4),)

    # --- transactions ---

    def _send(self) -> None:
        """Somebody signs something, and it sets out to the replicas."""
        for _ in range(self.chance.randrange(1, 4)):
            raw = self._anything()
            for replica in self.replicas:
                if self.chance.random() < 0.9:
                    self.mail.append((self.now_s + self.chance.randrange(8), replica, raw))
                if self.chance.random() < 0.1:
                    self.mail.append((self.now_s + self.chance.randrange(20), replica, raw))

    def _deliver(self) -> None:
        due = [each for each in self.mail if each[0] <= self.now_s]
        self.mail = [each for each in self.mail if each[0] > self.now_s]
        self.chance.shuffle(due)
        for _, replica, raw in due:
            if replica.up:
                asyncio.run(told(replica.application.check(raw, again=self.chance.random() < 0.1)))

    def _anything(self) -> bytes:
        makers: list[tuple[int, Callable[[], bytes]]] = [
            (5, lambda: self._transfer(self.chance.choice(PAYERS))),
            (3, self._settlement),
            (1, self._stake),
            (1, lambda: self._call(ALICE, "Escrow", "deposit", value=self.chance.randrange(1, OPG))),
            (1, lambda: self._call(GOVERNOR, "Params", "set", "treasury_bps", self.chance.randrange(3_000))),
            (1, self._forged_settlement),
            (1, lambda: self.chance.randbytes(self.chance.randrange(200))),
        ]
        return self.chance.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

    def _committed(self, sender: Address) -> int:
        return max(each.chain.next_nonce(sender) for each in self.replicas)

    def _sign(self, who: PrivateKey, to: Address, data: bytes, value: int, nonce: int | None = None) -> bytes:
        sender = who.address
        if nonce is None:
            committed = self._committed(sender)
            # Some that were lost leave a gap; then the sender begins again from what is committed.
            nonce = max(self.nonces.get(sender, 0), committed)
            if nonce > committed + 5 or self.chance.random() < 0.2:
                nonce = committed
            self.nonces[sender] = nonce + 1
        fee = 4 * BASE_FEE.get(State(self.replicas[0].chain.read)) + self.chance.randrange(10**9)
        gas = 21_000 if not data else 1_500_000
        return Tx(2, CHAIN_ID, nonce, self.chance.randrange(1, 10**6), fee, gas, to, Wei(value), data).sign(who)

    def _transfer(self, who: PrivateKey, value: int | None = None, nonce: int | None = None) -> bytes:
        amount = self.chance.randrange(OPG) if value is None else value
        return self._sign(who, self.chance.choice(PAYERS).address, b"", amount, nonce)

    def _call(self, who: PrivateKey, contract: str, method: str, *arguments: object, value: int = 0) -> bytes:
        return self._sign(who, BY_NAME[contract].address, call(contract, method, *arguments), value)

    def _settlement(self) -> bytes:
        items = []
        for _ in range(self.chance.randrange(1, 4)):
            # Some requests are settled again: they must not be paid twice.
            self.asked += self.chance.random() < 0.8
            asked = request(number=self.asked, now=self.now_s, model_id=MODEL)
            items.append(signed(asked, receipt(asked, self.now_s - 2, height=1)))
        return self._call(OPERATOR, "Settlement", "settle", tuple(items))

    def _forged_settlement(self) -> bytes:
        asked = request(number=10**6 + self.asked, now=self.now_s)
        item = signed(asked, receipt(asked, self.now_s), payer=BOB)
        return self._call(OPERATOR, "Settlement", "settle", (item,))

    def _stake(self) -> bytes:
        name = self.chance.choice((*NAMES, *LATER))
        who = person(name)
        if name in LATER and self.chance.random() < 0.5:
            arguments = (consensus_key(name), proof(name), name)
            return self._call(who, "Staking", "createValidator", *arguments, value=20_000 * OPG)
        if self.chance.random() < 0.4:
            return self._call(who, "Staking", "unbond", self.chance.randrange(1, 40_000) * OPG)
        if self.chance.random() < 0.4:
            return self._call(who, "Staking", "withdraw")
        return self._call(who, "Staking", "bond", value=self.chance.randrange(1, 5_000) * OPG)

    # --- faults ---

    def _crash(self) -> None:
        up = [each for each in self.replicas if each.up]
        if len(up) > 2:
            self.chance.choice(up).up = False

    def _restart(self) -> None:
        down = [each for each in self.replicas if not each.up]
        if down:
            self.chance.choice(down).start()

    def _catch_up(self) -> None:
        behind = [each for each in self.replicas if each.up and each.chain.height < len(self.history)]
        if behind:
            self._follow(self.chance.choice(behind), len(self.history))

    def _join(self) -> None:
        """A newcomer starts from another's snapshot, or from genesis."""
        joined = {each.name for each in self.replicas}
        names = [name for name in LATER if name not in joined]
        sources = [each for each in self.replicas if each.up and each.chain.height > 1]
        if not names or not sources:
            return
        newcomer = Replica(names[0], self.replicas[0].folder)
        source = self.chance.choice(sources)
        if self.chance.random() < 0.7:
            source.application._snapshots.write_now()
            offered = source.application.snapshots()[0]
            root = self.history[offered.height - 1].root
            assert newcomer.application.offer(offered, bytes(32)) == "reject"
            assert newcomer.application.offer(offered, root) == "accept"
            for index in range(offered.chunks):
                chunk = source.application.load(offered.height, offered.format, index)
                assert newcomer.application.apply(index, chunk, "") == "accept"
            assert newcomer.chain.height == offered.height
        self.replicas.append(newcomer)

    def settled(self) -> int:
        """How many requests are settled."""
        return sum(key.startswith(SETTLED.prefix) for key in self.replicas[0].chain.dump())
