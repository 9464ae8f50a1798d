"""A small world for tests of the ledger: a state, people with keys, blocks of signed transactions, receipts.

After every block the whole state is audited, so that any test of a rule is also a test of all truths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paraph.core import abi
from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.core.digest import keccak256
from paraph.core.eip712 import signing_digest
from paraph.core.ident import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, ModelId, RequestKey
from paraph.core.keys import PrivateKey
from paraph.ledger.block import Applied, Block, Result, Simulated, apply_block, facts_of, simulate
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.bonds.rules import key_proof_digest as consensus_key_proof
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.ledger.rooms.params.types import BASE_FEE_MIN_WEI
from paraph.ledger.state import State
from paraph.ledger.tree import Update, update
from paraph.ledger.truths import broken
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_ADDRESS, BY_NAME
from paraph.proofs.quotes.evidence import CHECKS, Checks
from paraph.proofs.receipt import SIGNATURE_DIGEST, Receipt, SignedReceipt
from paraph.proofs.request import Layer, Request, SignedRequest

CHAIN_ID: Final = 20_826
START_S: Final = 1_750_000_000
OPG: Final = WEI_PER_OPG
GAS: Final = 1_000_000
PROPOSER: Final = Address(b"\x77" * 20)
MODEL: Final = ModelId(keccak256(b"a model's files"))
MANIFEST: Final = Digest(keccak256(b"a manifest"))
BOND: Final = 1_000 * OPG
BASE, PER_INPUT, PER_OUTPUT = 1_000, 10, 30
ROYALTY_BPS: Final = 1_000
NODE_HEIGHT: Final = 2
"""The height at which `World.open` registers its node."""


def person(name: str) -> PrivateKey:
    """The key of a person, from the name alone."""
    return PrivateKey(keccak256(b"a person called " + name.encode()))


ALICE, BOB, CAROL = person("alice"), person("bob"), person("carol")
GOVERNOR, OWNER, OPERATOR, HOT = person("governor"), person("owner"), person("operator"), person("hot")
PEOPLE: Final = (ALICE, BOB, CAROL, GOVERNOR, OWNER, OPERATOR)


def genesis(**changes: Any) -> Genesis:
    """A small network's genesis: six people share the supply."""
    share = SUPPLY_WEI // len(PEOPLE)
    parts = [share] * (len(PEOPLE) - 1) + [SUPPLY_WEI - share * (len(PEOPLE) - 1)]
    found = Genesis(
        "test",
        CHAIN_ID,
        START_S,
        (PROPOSER,),
        GOVERNOR.address,
        True,
        tuple(Allocation(who.address, Wei(part), "test") for who, part in zip(PEOPLE, parts, strict=True)),
    )
    return replace(found, **changes)


def tree_of(state: Mapping[bytes, bytes]) -> Update:
    """The tree of a whole state, built from nothing."""
    return update(lambda _: None, ZERO_DIGEST, state)


def key_proof(hot: PrivateKey, node: Address, chain_id: int = CHAIN_ID) -> bytes:
    """A hot key's consent to sign for a node."""
    return hot.sign(key_proof_digest(chain_id, node))


def call(contract: str, method: str, *arguments: abi.Value) -> bytes:
    """Calldata for a method of a native contract."""
    return BY_NAME[contract].method(method).call(*arguments)


def code(result: Result) -> str:
    """The stable code of what failed; empty on success."""
    return result.error.partition(":")[0]


def sentence(result: Result) -> str:
    """The sentence of an `Error(string)` in the revert data."""
    (message,) = abi.decode((abi.Field("message", abi.Type("string")),), result.output[4:])
    return str(message)


def request(payer: PrivateKey = ALICE, number: int = 1, now: int = START_S, **changes: Any) -> Request:
    """A request as `payer` would make it; `changes` are fields that differ."""
    found = Request(
        RequestKey(keccak256(b"request %d" % number)),
        payer.address,
        OPERATOR.address,
        MODEL,
        Digest(keccak256(b"a body")),
        Layer.SIGNATURE,
        Wei(10_000),
        now + 600,
    )
    return replace(found, **changes)


def receipt(asked: Request, now: int = START_S, **changes: Any) -> Receipt:
    """A receipt that answers a request by the first price schedule; `changes` are fields that differ."""
    found = Receipt(
        asked.key,
        asked.hash(),
        asked.payer,
        asked.node,
        HOT.address,
        asked.model_id,
        Digest(keccak256(b"given")),
        Digest(keccak256(b"response")),
        ZERO_DIGEST,
        Digest(keccak256(b"profile")),
        ZERO_DIGEST,
        asked.layer,
        SIGNATURE_DIGEST,
        7,
        11,
        1,
        Wei(BASE + 7 * PER_INPUT + 11 * PER_OUTPUT),
        NODE_HEIGHT,
        now * 1000,
        now * 1000 + 500,
    )
    return replace(found, **changes)


Item = tuple[tuple[object, ...], bytes, tuple[object, ...], bytes]


def signed(
    asked: Request, answered: Receipt, payer: PrivateKey = ALICE, signer: PrivateKey = HOT, chain_id: int = CHAIN_ID
) -> Item:
    """One item of a batch: a request and a receipt, both signed."""
    left = SignedRequest(chain_id, asked, payer.sign(asked.signing_digest(chain_id)))
    right = SignedReceipt(answered, signer.sign(answered.signing_digest(chain_id)))
    return (left.request.values(), left.signature, right.receipt.values(), right.signature)


@dataclass
class World:
    """A ledger in a dict.

    Args:
        state: committed state.
        audited: check all truths after each block.
        checks: of what platforms signed, and of proofs.
    """

    state: dict[bytes, bytes] = field(default_factory=dict)
    audited: bool = True
    checks: Checks = CHECKS
    height: int = 0
    now: int = START_S
    last: Applied | None = None

    @classmethod
    def new(cls, **changes: Any) -> "World":
        """A world at genesis."""
        found = cls()
        found.commit(genesis(**changes).state())
        return found

    @classmethod
    def open(cls, **changes: Any) -> "World":
        """A world with one model, one node, and Alice's escrow of 100 OPG."""
        found = cls.new(**changes)
        found.must(OWNER, "Models", "register", *model_arguments())
        found.must(OPERATOR, "Nodes", "register", *node_arguments(), value=BOND)
        found.must(ALICE, "Escrow", "deposit", value=100 * OPG)
        return found

    @classmethod
    def whole(cls) -> "World":
        """A world in which every room holds something, and every kind of key is there."""
        found = cls.open()
        found.must(BOB, "Nodes", "register", *node_arguments(person("bob's hot key"), BOB), value=BOND)
        found.must(BOB, "Nodes", "deregister")
        new = person("new hot")
        found.must(OPERATOR, "Nodes", "rotateKey", new.address, key_proof(new, OPERATOR.address))
        found.must(OWNER, "Models", "setPrice", MODEL, 1, 2, 3)
        begun = found.now - 3
        for number in range(2):
            asked = request(number=number, now=begun)
            found.settle(signed(asked, receipt(asked, begun)))
        found.must(GOVERNOR, "Params", "set", "treasury_bps", 0)
        found.must(GOVERNOR, "Params", "scheduleUpgrade", 2, 10**6)
        found.must(CAROL, "Staking", "createValidator", *_validator_arguments(CAROL), value=20_000 * OPG)
        found.must(CAROL, "Staking", "unbond", 5 * OPG)
        found.must(ALICE, "Escrow", "requestWithdrawal", 5)
        found.must(ALICE, "Opg", "approve", CAROL.address, 5)
        permit = (ALICE.address, BOB.address, 1, 0, found.now + 9)
        found.must(CAROL, "Opg", "permit", *permit[:3], permit[4], *_signed_parts(accounts._PERMIT.hash(permit)))
        cancelled = (ALICE.address, bytes(32))
        found.must(CAROL, "Opg", "cancelAuthorization", *cancelled, *_signed_parts(accounts._CANCEL.hash(cancelled)))
        return found

    def commit(self, changes: dict[bytes, bytes | None]) -> None:
        """Write what a block changed."""
        for key, value in changes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def apply(self, *raw: bytes, seconds: int = 1, proposer: Address = PROPOSER) -> Applied:
        """A block of raw transactions, `seconds` after the last one."""
        block = Block(self.height + 1, self.now + seconds, proposer, raw, ZERO_DIGEST)
        applied = apply_block(self.state.get, block, checks=self.checks)
        self.commit(applied.changes)
        self.height, self.now, self.last = block.height, block.time_s, applied
        if self.audited:
            assert broken(self.state) == []
        return applied

    def wait(self, seconds: int) -> None:
        """An empty block after `seconds`."""
        self.apply(seconds=seconds)

    def base_fee(self) -> int:
        """The base fee of the next block."""
        return facts_of(State(self.state.get), self.height + 1, self.now, PROPOSER).base_fee

    def balance(self, account: Address) -> int:
        """An account's balance in wei."""
        return int.from_bytes(self.state.get(b"accounts/balance/" + account, b""), "big")

    def nonce(self, account: Address) -> int:
        """An account's next nonce."""
        return int.from_bytes(self.state.get(b"accounts/nonce/" + account, b""), "big")

    def tx(self, sender: PrivateKey, to: Address, data: bytes = b"", value: int = 0, **changes: Any) -> Tx:
        """A transaction that fits the state; `changes` are fields that differ."""
        fee = 2 * self.base_fee()
        found = Tx(2, CHAIN_ID, self.nonce(sender.address), 1, fee, GAS, to, Wei(value), data)
        return replace(found, **changes)

    def send(
        self, sender: PrivateKey, to: Address, data: bytes = b"", value: int = 0, *, seconds: int = 1, **changes: Any
    ) -> Result:
        """A block with one transaction; what became of it."""
        return self.apply(self.tx(sender, to, data, value, **changes).sign(sender), seconds=seconds).results[0]

    def call(
        self, sender: PrivateKey, contract: str, method: str, *arguments: abi.Value, value: int = 0, seconds: int = 1
    ) -> Result:
        """A block in which `sender` calls a method."""
        data = call(contract, method, *arguments)
        return self.send(sender, BY_NAME[contract].address, data, value, seconds=seconds)

    def must(self, sender: PrivateKey, contract: str, method: str, *arguments: abi.Value, value: int = 0) -> Result:
        """As `call`, and it succeeds."""
        result = self.call(sender, contract, method, *arguments, value=value)
        assert result.error == ""
        return result

    def simulate(
        self, sender: Address, to: Address, data: bytes, value: int = 0, gas_limit: int = 30_000_000
    ) -> Simulated:
        """What a call would do in the next block."""
        facts = facts_of(State(self.state.get), self.height + 1, self.now, ZERO_ADDRESS)
        return simulate(self.state.get, facts, sender, to, Wei(value), data, gas_limit, self.checks)

    def view(self, contract: str, method: str, *arguments: abi.Value) -> abi.Value:
        """The outputs of a view: the value itself where there is one."""
        found = BY_NAME[contract]
        output = self.simulate(ZERO_ADDRESS, found.address, call(contract, method, *arguments)).output
        values = abi.decode(found.method(method).outputs, output)
        return values[0] if len(values) == 1 else values

    def settle(self, *items: Item, sender: PrivateKey = OPERATOR, seconds: int = 1) -> tuple[list[str], Result]:
        """Settle a batch. Returns for each receipt the code of its refusal, empty when accepted, and the result."""
        data = call("Settlement", "settle", items)
        to = BY_NAME["Settlement"].address
        result = self.send(sender, to, data, seconds=seconds, gas_limit=20_000_000)
        if result.status != 1:
            return [code(result)] * len(items), result
        found = [event for event in events(result) if event[0] in ("ReceiptSettled", "ReceiptRejected")]
        return [values[-1] if name == "ReceiptRejected" else "" for name, values in found], result


def _validator_arguments(operator: PrivateKey) -> tuple[bytes, bytes, str]:
    """The arguments of Staking.createValidator: a consensus key, its consent, a moniker."""
    key = Ed25519PrivateKey.from_private_bytes(keccak256(b"consensus key of " + operator.address))
    consent = key.sign(consensus_key_proof(CHAIN_ID, operator.address))
    return key.public_key().public_bytes_raw(), consent, "a validator"


def _signed_parts(struct_hash: Digest) -> tuple[int, bytes, bytes]:
    """v, r, s of Alice's signature under OPG's domain."""
    made = ALICE.sign(signing_digest(accounts.domain(CHAIN_ID), struct_hash))
    return made[64], made[:32], made[32:64]


def differing(one: World, other: World) -> set[bytes]:
    """The keys of state that two worlds do not have alike."""
    return {key for key in one.state.keys() | other.state.keys() if one.state.get(key) != other.state.get(key)}


def events(result: Result) -> list[tuple[str, tuple[Any, ...]]]:
    """A result's logs, decoded by the contract that made them: name and values in the order of the declaration."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    for log in result.logs:
        event = next(each for each in BY_ADDRESS[log.address].events if each.topic == log.topics[0])
        topics = iter(log.topics[1:])
        plain = iter(abi.decode(tuple(each for each in event.inputs if not each.indexed), log.data))
        values = [abi.decode((each,), next(topics))[0] if each.indexed else next(plain) for each in event.inputs]
        found.append((event.name, tuple(values)))
    return found


def model_arguments(**changes: Any) -> tuple[Any, ...]:
    """The arguments of Models.register for the test's model."""
    found = {
        "model_id": MODEL,
        "manifest": MANIFEST,
        "name": "test/model",
        "kind": "text",
        "royalty_bps": ROYALTY_BPS,
        "layers": 1,
        "base": BASE,
        "per_input": PER_INPUT,
        "per_output": PER_OUTPUT,
    }
    return tuple((found | changes).values())


def node_arguments(hot: PrivateKey = HOT, operator: PrivateKey = OPERATOR, **changes: Any) -> tuple[Any, ...]:
    """The arguments of Nodes.register for the test's node."""
    found = {
        "endpoint": "http://127.0.0.1:8000",
        "hot_key": hot.address,
        "proof": key_proof(hot, operator.address),
        "layers": 1,
        "models": (MODEL,),
    }
    return tuple((found | changes).values())


BASE_FEE_FLOOR: Final = BASE_FEE_MIN_WEI.default
