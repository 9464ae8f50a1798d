"""Enclaves for tests of the ledger: a network that believes a simulated root, code it approved, documents that bind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.support import nitro
from tests.support.nitro import MODULE, NOW_S, PCRS, Document
from tests.support_ledger.world import CHAIN_ID, OPERATOR, World, person

from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.core.keys import PrivateKey
from paraph.ledger.block import Result
from paraph.ledger.rooms.measurements.rules import GenesisRelease
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.keys import ATTESTED
from paraph.ledger.state import State
from paraph.proofs.attestation import Attestation
from paraph.proofs.header import hash_key
from paraph.proofs.quotes.binding import Keyset, bound, registration_nonce
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.records import release_id

ROOT: Final = Document().certificates()[0]
MEASURED: Final = {f"pcr{index}": PCRS[index] for index in range(3)}
RELEASE: Final = GenesisRelease("simulated", "node 1", MEASURED, "commit 1", Digest(b"p" * 32))
RELEASE_ID: Final = release_id("simulated", MEASURED)


def believing(**changes: Any) -> World:
    """A world with a model of all layers, a node, and simulated enclaves believed, at the time of the documents."""
    world = World.open(**{"releases": (RELEASE,), "simulated_root": ROOT, **changes})
    world.wait(NOW_S - world.now)
    return world


@dataclass(frozen=True)
class Shown:
    """What an enclave shows to be registered.

    Args:
        world: where.
        node: whose it says it is.
        receipt_key: signs its receipts.
        keys: of its keyset, in place of others.
        said: in its document, in place of what it says otherwise.
        nonce: what it includes; None: what it is asked to.
        changes: of the evidence.
    """

    world: World
    node: Address = OPERATOR.address
    receipt_key: PrivateKey = field(default_factory=lambda: person("born in the enclave"))
    keys: Mapping[str, Any] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    nonce: Digest | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    module: str = MODULE

    @property
    def keyset(self) -> Keyset:
        """Its keys."""
        found = Keyset(CHAIN_ID, self.node, Digest(b"t" * 32), b"h" * 32, self.receipt_key.address, NOW_S + 10 * 86_400)
        return replace(found, **self.keys)

    @property
    def height(self) -> int:
        """The block of the nonce: the one before the last."""
        return self.world.height - 1

    @property
    def asked(self) -> Digest:
        """What it is asked to include."""
        if self.nonce is not None:
            return self.nonce
        block_hash = Digest(self.world.state[hash_key(self.height)])
        return registration_nonce(block_hash, self.node, ATTESTED.get(State(self.world.state.get), self.node))

    @property
    def attestation(self) -> Attestation:
        """The whole."""
        keyset, nonce = self.keyset, self.asked
        made = Document(
            leaf=replace(nitro.LEAF, name=f"{self.module}.region.sim"),
            said={
                "module_id": self.module,
                "public_key": keyset.hpke_key,
                "nonce": nonce,
                "user_data": bound(keyset, nonce, ZERO_DIGEST),
                **self.said,
            },
        )
        evidence = replace(Evidence("simulated", made.made()), **self.changes)
        return Attestation(RELEASE_ID, keyset, nonce, evidence)

    def arguments(self, **changes: Any) -> tuple[Any, ...]:
        """The arguments of Nodes.attest; `changes` are those that differ."""
        shown = self.attestation
        found = {
            "node": self.node,
            "release": shown.release,
            "keyset": shown.keyset.encode(),
            "evidence": shown.evidence.encode(),
            "height": self.height,
        }
        return tuple((found | changes).values())

    def register(self, sender: PrivateKey = OPERATOR, **changes: Any) -> Result:
        """A block in which it is registered, or refused."""
        return attest(self.world, sender, self.arguments(**changes))


def attest(world: World, sender: PrivateKey, arguments: tuple[Any, ...]) -> Result:
    """A block with a call of Nodes.attest, with gas enough."""
    return world.send(sender, NODES.address, NODES.method("attest").call(*arguments), gas_limit=2_000_000)
