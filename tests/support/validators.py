"""A network of real validators on this machine: a node and its engine each, as processes with homes of their own.

Tests of faults start it, hurt it and look at what it agreed on. It ends no process that it did not start.
"""

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import httpx
from tests.support.cometbft import cometbft_binary
from tests.support.cut import Cut
from tests.support.loopback import Loopback
from tests.support.member import PATIENCE_S, Member, until
from tests.support_ledger.world import CHAIN_ID, PEOPLE, person

from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.full_node.config import Config, Consensus, Metrics, Rpc, Store, Sync
from paraph.full_node.limits import Limits
from paraph.full_node.setup import make_home, make_keys
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator

BOND: Final = Wei(20_000 * WEI_PER_OPG)
HELD: Final = Wei(1_000_000 * WEI_PER_OPG)
"""What each operator has beside its bond."""
NOBODY_PORT: Final = 1
"""A port where nobody listens: what a node tells others of itself where all connections are to go through cuts."""
LOUD: Final = Limits(cost_per_s=10**9, cost_burst=10**9, requests_per_client_max=256)
"""A door that counts nothing: one machine asks for all."""


@dataclass(eq=False)
class Network:
    """Validators, and nodes that follow them.

    Args:
        folder: all homes lie in it.
        validators: how many; of equal power.
        followers: how many nodes beside them.
        pause_ms: after each block, which sets their rhythm.
        parameters: of the genesis, that differ from their defaults.
        cuttable: validators reach each other through cuts alone.
        store: of all nodes' configurations.
        form_workers: processes that check signatures, in each node.
        propose_wait_ms: for a proposal; the next one is then in turn.
    """

    folder: Path
    validators: int = 4
    followers: int = 0
    pause_ms: int = 200
    parameters: dict[str, int] = field(default_factory=dict)
    cuttable: bool = False
    store: Store = Store(index="")  # noqa: RUF009  frozen
    form_workers: int = 0
    propose_wait_ms: int = 1_000
    members: list[Member] = field(default_factory=list)
    cuts: dict[tuple[int, int], Cut] = field(default_factory=dict)
    genesis: Genesis = field(init=False)
    loopback: Loopback = field(default_factory=Loopback)

    def __post_init__(self) -> None:
        cometbft_binary()
        for number in range(self.validators + self.followers):
            self._add(f"validator{number}" if number < self.validators else f"follower{number - self.validators}")
        bonded = tuple(
            GenesisValidator(each.operator.address, each.key, BOND, each.name)
            for each in self.members[: self.validators]
        )
        held = {each.operator.address: HELD for each in self.members} | {who.address: HELD for who in PEOPLE}
        # Nodes that join later are known by name, too.
        held |= {person(f"joiner{number}").address: HELD for number in range(4)}
        rest = SUPPLY_WEI - sum(held.values()) - sum(each.bond for each in bonded)
        held[person("rest").address] = Wei(rest)
        self.genesis = Genesis(
            network="test",
            chain_id=CHAIN_ID,
            time_s=int(time.time()) - 5,
            producers=(),
            governor=person("governor").address,
            devnet=True,
            allocations=tuple(Allocation(who, amount, "test") for who, amount in held.items()),
            parameters=self.parameters,
            validators=bonded,
        )
        for member in self.members:
            self._make(member)

    def _add(self, name: str) -> Member:
        home = self.folder / name
        made = make_keys(home)
        place = self.loopback
        config = Config(
            rpc=Rpc(listen=place.free()),
            limits=LOUD,
            metrics=Metrics(listen=place.free()),
            consensus=Consensus(
                moniker=name,
                listen=place.free(),
                private_network=True,
                block_pause_ms=self.pause_ms,
                propose_wait_ms=self.propose_wait_ms,
                rpc_listen=place.free(),
                form_workers=self.form_workers,
            ),
            store=self.store,
        )
        member = Member(name, home, made.node_id, made.validator_key, config)
        self.members.append(member)
        return member

    def _make(self, member: Member) -> None:
        number = self.members.index(member)
        peers = tuple(self._way(number, other) for other in range(len(self.members)) if other != number)
        changes: dict[str, Any] = {"peers": tuple(filter(None, peers))}
        if self.cuttable:
            changes["external_address"] = f"127.0.0.1:{NOBODY_PORT}"
        member.config = replace(member.config, consensus=replace(member.config.consensus, **changes))
        member.genesis = self.genesis
        make_home(member.home, self.genesis, member.config)

    def _way(self, number: int, other: int) -> str:
        """How one member reaches another; empty where the other one dials."""
        member = self.members[other]
        if not self.cuttable:
            return member.peer
        if number > other:
            return ""
        host, _, port = member.config.consensus.listen.rpartition(":")
        cut = self.cuts[number, other] = Cut(host, int(port))
        return f"{member.node_id}@127.0.0.1:{cut.port}"

    def join(self, name: str, sync: Sync | None = None) -> Member:
        """One more node's home, of which nobody knows yet; it dials all others."""
        member = self._add(name)
        member.config = replace(member.config, sync=sync or Sync())
        self._make(member)
        return member

    def twin(self, of: Member, name: str) -> Member:
        """A second node that votes with a member's key: what nobody must run."""
        member = self.join(name)
        key = Path("comet/config/priv_validator_key.json")
        (member.home / key).write_bytes((of.home / key).read_bytes())
        member.key = of.key
        return member

    # --- all at once ---

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            if member.process is not None:
                with suppress(ProcessLookupError):
                    member.resume()
                member.process.terminate()
        for member in self.members:
            if member.process is not None:
                try:
                    member.wait(30)
                except subprocess.TimeoutExpired:
                    member.process.kill()
                    member.wait(30)
        for cut in self.cuts.values():
            cut.close()

    def start(self, height: int = 2) -> None:
        """Start all, and wait until they make blocks."""
        for member in self.members:
            member.launch()
        for member in self.members:
            self.answers(member)
        self.reach(height)

    def answers(self, member: Member) -> None:
        """Wait until a member that was launched answers."""
        until(f"{member.name} answers", lambda: member.answer("eth_chainId"), lambda: self.tails([member]))

    def running(self) -> list[Member]:
        """Those that run."""
        return [member for member in self.members if member.process is not None]

    def tails(self, members: Sequence[Member] | None = None) -> str:
        """The ends of their logs."""
        return "\n".join(member.tail for member in (members or self.members))

    def reach(self, height: int, members: Sequence[Member] | None = None, patience_s: float = PATIENCE_S) -> None:
        """Wait until they all have a block of that height."""
        for member in members or self.running():
            until(
                f"{member.name} has block {height}",
                lambda member=member: member.height() >= height,  # type: ignore[misc]
                lambda: self.heights() + "\n" + self.tails(),
                patience_s,
            )

    def heights(self) -> str:
        """The height of each one that answers, for messages."""
        found = {}
        for member in self.running():
            with suppress(httpx.HTTPError, AssertionError):
                found[member.name] = member.height()
        return str(found)

    def grow(self, blocks: int, members: Sequence[Member] | None = None) -> int:
        """Wait until they all have so many blocks more than the highest has now; that height."""
        chosen = members or self.running()
        height = max(member.height() for member in chosen) + blocks
        self.reach(height, chosen)
        return height

    def agree(self, members: Sequence[Member] | None = None) -> int:
        """They have the same block and the same state at the height that all have; that height.

        A block's hash covers its parent's, so that the whole history is the same.
        """
        chosen = members or self.running()
        height = min(member.height() for member in chosen)
        found = {(block["hash"], block["stateRoot"]) for block in (each.block(height) for each in chosen)}
        assert len(found) == 1, f"at {height}: {found}\n{self.tails()}"
        return height

    # --- transactions ---

    def included(self, tx_hash: str, at: Member | None = None, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until a transaction is in a block; its receipt."""
        member = at or self.running()[0]
        return until(
            f"{tx_hash} is in a block",
            lambda: member.ask("eth_getTransactionReceipt", tx_hash),
            lambda: self.heights() + "\n" + self.tails(),
            patience_s,
        )

    def send(self, tx: bytes, to: Member | None = None) -> str:
        """Hand in a transaction; its hash."""
        return str((to or self.running()[0]).ask("eth_sendRawTransaction", "0x" + tx.hex()))

    def must(self, tx: bytes, to: Member | None = None) -> dict[str, Any]:
        """Hand in a transaction, and wait until it has succeeded; its receipt."""
        found = self.included(self.send(tx, to), to)
        assert found["status"] == "0x1", found
        return found
