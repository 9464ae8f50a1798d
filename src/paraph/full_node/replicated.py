"""The chain under CometBFT: what the engine asks, answered by the same ledger that runs alone on a laptop.

Transactions wait in our own pool: the engine's spreads them and keeps no order. A block is judged by working it out:
whoever proposes one with a transaction that would leave no trace, or a receipt that is forged, proposes for nothing.
"""

from collections.abc import Awaitable, Iterator
from threading import Lock
from typing import Final

import structlog

from paraph.adapters.comet.application import (
    Checked,
    Executed,
    Finalized,
    Found,
    Kept,
    Power,
    Proposed,
    Snapshot,
)
from paraph.core.digest import keccak256
from paraph.core.encode import JsonObject, canonical, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, must
from paraph.core.ident import Digest, to_hex
from paraph.flows.mempool import Mempool
from paraph.full_node.chain import Chain, Decided
from paraph.full_node.forms import Forms
from paraph.full_node.proofs import KEY_BYTES_MAX
from paraph.full_node.snapshots import Snapshots
from paraph.full_node.tables import SKIPPED
from paraph.ledger.block import BASE_FEE, LATER, Applied, Result
from paraph.ledger.genesis import Genesis
from paraph.ledger.rooms.bonds import rules as bonds
from paraph.ledger.rooms.bonds.types import Fault
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import GAS_LIMIT, UNBOND_DELAY_S
from paraph.ledger.state import State
from paraph.ledger.tx import SignedTx, check_form

LARGE_BYTES: Final = 8 * 1024
"""A transaction larger than this is a settlement of many receipts, or nothing."""
REFUSED: Final = 1
"""The code of a transaction that is not taken or failed; the sentence says why."""
EVIDENCE_S_MIN: Final = 60
"""The shortest time in which misbehaviour can be proved, on networks for tests whose bonds come back at once."""
CODES: Final = {1: 0, 0: 1, SKIPPED: 2}
"""A result's status as the engine's code: 0 is success there."""

_log = structlog.get_logger()


class Replicated:
    """A chain as CometBFT drives it (`adapters.comet.application.Application`).

    Args:
        chain: the chain.
        forms: checks transactions' forms.
        snapshots: writes and reads snapshots of the chain.
    """

    def __init__(self, chain: Chain, forms: Forms, snapshots: Snapshots) -> None:
        self.chain: Final = chain
        self.mempool: Final = Mempool()
        self._forms = forms
        self._snapshots = snapshots
        self._told: set[Digest] = set()
        # The pool is asked by the event loop and by the thread of consensus.
        self._lock = Lock()

    # --- consensus ---

    def begin(self, genesis: bytes, powers: tuple[Power, ...]) -> bytes:
        """See `Consensus.begin`.

        Raises:
            Rejected: `chain.genesis`: the engine's genesis was not made from this chain's.
        """
        wanted = {power.key: power.power for power in first_powers(self.chain.genesis)}
        if decode(genesis) != app_state(self.chain.genesis) or {each.key: each.power for each in powers} != wanted:
            raise Rejected("chain.genesis", "the engine starts from another genesis than this node")
        return self.chain.header(0).state_root

    def propose(self, block: Proposed, bytes_max: int) -> tuple[bytes, ...]:
        """See `Consensus.propose`. By tip, and nothing that would leave no trace."""
        state = State(self.chain.read)
        with self._lock:
            chosen = self.mempool.select(self.chain.next_nonce, params.get(state, GAS_LIMIT), BASE_FEE.get(state))
        kept = list(_fitting(chosen, bytes_max))
        applied = self.chain.preview(self._decided(block, tuple(signed.raw for signed in kept)))
        good = [(signed, result) for signed, result in zip(kept, applied.results, strict=True)]
        with self._lock:
            for signed, result in good:
                if result.status == SKIPPED and not result.error.startswith(LATER):
                    self.mempool.drop(signed)
        return tuple(signed.raw for signed, result in good if result.status != SKIPPED)

    def judge(self, block: Proposed) -> str:
        """See `Consensus.judge`. Why a block is refused is logged: its proposer is broken, or hostile."""
        reason = self._fault_of(block)
        if reason:
            _log.warning("proposal.refused", height=block.height, proposer=block.proposer.hex(), reason=reason)
        return reason

    def _fault_of(self, block: Proposed) -> str:
        try:
            self._forms.prepare(block.transactions)
            for raw in block.transactions:
                self._forms.check_now(raw)
            applied = self.chain.preview(self._decided(block, block.transactions))
        except (Malformed, Rejected) as error:
            if error.code == "block.version":
                raise  # nobody can judge by rules that it does not know: the node stops, and says so
            return str(error)
        return next((result.error for result in applied.results if result.status == SKIPPED), "")

    def finalize(self, block: Proposed) -> Finalized:
        """See `Consensus.finalize`."""
        must(block.height == self.chain.height + 1, "the engine decides the next block")
        self._forms.prepare(block.transactions)
        outcome = self.chain.finalize(self._decided(block, block.transactions))
        applied = outcome.applied
        return Finalized(
            tuple(_executed(result, leaf) for result, leaf in zip(applied.results, applied.leaves, strict=True)),
            tuple(Power(change.key, change.power) for change in applied.powers),
            outcome.header.state_root,
            applied.version,
            self._evidence_age(applied),
        )

    def commit(self) -> int:
        """See `Consensus.commit`."""
        stored = self.chain.commit()
        with self._lock:
            self.mempool.forget(self.chain.next_nonce)
            for signed in self.mempool.next_in_turn(self.chain.next_nonce):
                if not self._can_pay(signed):
                    self.mempool.drop(signed)
            self._told = {each for each in self._told if self.mempool.get(each) is not None}
        self._snapshots.committed(stored)
        return 0

    def extend(self, height: int, block_hash: bytes) -> bytes:  # noqa: ARG002  the engine's signature
        """See `Consensus.extend`. Nothing is reported by votes yet."""
        return b""

    def judge_extension(self, height: int, validator: bytes, extension: bytes) -> str:  # noqa: ARG002  as above
        """See `Consensus.judge_extension`."""
        return "no extension is expected" if extension else ""

    # --- transactions ---

    async def admit(self, raw: bytes) -> SignedTx:
        """Take a transaction into the pool.

        Raises:
            Malformed, Rejected, Unavailable: it can never or not now be included.
        """
        if len(raw) > LARGE_BYTES:
            # Whether it could pay is asked first: the signatures inside a large one cost more than the asking.
            self.chain.check(check_form(raw, self.chain.genesis.chain_id, self.chain.recover))
        signed = await self._forms.check(raw)
        with self._lock:
            self.chain.check(signed)
            self.mempool.add(signed, self.chain.next_nonce(signed.sender))
        return signed

    def check(self, raw: bytes, again: bool) -> Checked | Awaitable[Checked]:
        """See `Pool.check`. What waits still, was checked; what does not, was included, replaced or let go."""
        tx_hash = keccak256(raw)
        with self._lock:
            waiting = self.mempool.get(tx_hash)
        if waiting is not None:
            return Checked(0, "", waiting.tx.gas_limit)
        if again:
            return Checked(REFUSED, "mempool.gone: no longer waits", 0)
        return self._checked(raw)

    async def _checked(self, raw: bytes) -> Checked:
        try:
            signed = await self.admit(raw)
        except ParaphError as error:
            return Checked(REFUSED, f"{error.code}: {error.message}", 0)
        return Checked(0, "", signed.tx.gas_limit)

    def insert(self, raw: bytes) -> Checked | Awaitable[Checked]:
        """See `Pool.insert`."""
        return self.check(raw, again=False)

    async def reap(self, bytes_max: int, gas_max: int) -> tuple[bytes, ...]:
        """See `Pool.reap`."""
        with self._lock:
            new = [signed for signed in self.mempool if signed.hash not in self._told]
            found = tuple(_fitting(new, bytes_max or 2**63, gas_max or 2**63))
            self._told.update(signed.hash for signed in found)
        return tuple(signed.raw for signed in found)

    # --- reading ---

    def kept(self) -> Kept:
        """See `Reading.kept`."""
        header = self.chain.head.header
        version = self.chain.version
        return Kept(header.height, header.state_root if header.height else b"", version)

    def query(self, path: str, data: bytes, height: int, prove: bool) -> Found:
        """See `Reading.query`. The path `/state` reads a state key, with its SMT proof as canonical JSON.

        Strangers ask this through the engine's RPC: whatever they ask, it is answered, and stops nothing.
        """
        at = height if height > 0 else self.chain.height
        if path != "/state":
            return Found(REFUSED, f"query.path: there is no {path[:80]!r}; /state reads a key", data, b"", at, ())
        if not 0 < len(data) <= KEY_BYTES_MAX:
            return Found(REFUSED, f"query.key: a state key has 1 to {KEY_BYTES_MAX} bytes", b"", b"", at, ())
        try:
            value, proved = self.chain.prove(data, at)
        except ParaphError as error:
            return Found(REFUSED, f"{error.code}: {error.message}", data, b"", at, ())
        except Exception:  # noqa: BLE001  see above
            _log.exception("query.failed", height=at)
            return Found(REFUSED, "query.failed: a fault of ours; the node's log says which", data, b"", at, ())
        proof = ((PROOF_TYPE, data, canonical(proved.proof.as_json())),) if prove else ()
        return Found(0, "" if value is not None else "absent", data, proved.value, at, proof)

    # --- snapshots ---

    def snapshots(self) -> tuple[Snapshot, ...]:
        """See `Snapshots.snapshots`."""
        return self._snapshots.listed()

    def load(self, height: int, kind: int, chunk: int) -> bytes:
        """See `Snapshots.load`."""
        return self._snapshots.chunk(height, kind, chunk)

    def offer(self, snapshot: Snapshot, root: bytes) -> str:
        """See `Snapshots.offer`."""
        return self._snapshots.offer(snapshot, root)

    def apply(self, index: int, chunk: bytes, sender: str) -> str:  # noqa: ARG002  the engine's signature
        """See `Snapshots.apply`."""
        return self._snapshots.apply(index, chunk)

    # --- both ways ---

    def _evidence_age(self, applied: Applied) -> int | None:
        """The new age up to which misbehaviour can be proved, where this block changes it."""
        changed, read = applied.changes, self.chain.read
        before = evidence_s_max(State(read))
        after = evidence_s_max(State(lambda key: changed[key] if key in changed else read(key)))
        return None if after == before else after

    def _can_pay(self, signed: SignedTx) -> bool:
        try:
            self.chain.check(signed)
        except Rejected as error:
            return error.code.startswith(LATER)
        return True

    def _decided(self, block: Proposed, transactions: tuple[bytes, ...]) -> Decided:
        proposer = bonds.operator_of(State(self.chain.read), block.proposer)
        if proposer is None:
            raise Rejected("block.proposer", f"no validator has the address {block.proposer.hex()}")
        faults = tuple(Fault(each.kind, each.validator, each.height, each.time_s) for each in block.misbehaviour)
        return Decided(block.time_s, proposer, transactions, faults)


PROOF_TYPE: Final = "paraph:smt"


def app_state(genesis: Genesis) -> JsonObject:
    """What the engine's genesis carries for us: the digest of our own."""
    return {"paraph_genesis": to_hex(genesis.digest())}


def evidence_s_max(state: State) -> int:
    """For how long misbehaviour can be proved: as long as bonds can be slashed for it. The engine wants some time."""
    return max(params.get(state, UNBOND_DELAY_S), EVIDENCE_S_MIN)


def first_powers(genesis: Genesis) -> tuple[Power, ...]:
    """The first validators and their powers, as the engine's genesis names them."""
    state = State(genesis.state().get)
    return tuple(Power(each.key, each.power) for each in bonds.active_set(state))


def _fitting(chosen: tuple[SignedTx, ...] | list[SignedTx], bytes_max: int, gas_max: int = 2**63) -> Iterator[SignedTx]:
    """Those that fit, in order: as the engine counts, each with a tag and its length before it."""
    for signed in chosen:
        size = len(signed.raw)
        takes = size + 1 + (size.bit_length() + 6) // 7
        if takes <= bytes_max and signed.tx.gas_limit <= gas_max:
            bytes_max -= takes
            gas_max -= signed.tx.gas_limit
            yield signed


def _executed(result: Result, leaf: bytes) -> Executed:
    return Executed(CODES[result.status], keccak256(leaf), result.error, 0, result.gas_used)
