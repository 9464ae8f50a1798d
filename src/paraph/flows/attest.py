"""Registering an enclave's keys: what it must be asked for, which release it runs, and the transaction."""

from typing import Final

from paraph.core.amount import Wei
from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Address, Digest
from paraph.flows import registry
from paraph.flows.effect import Flow, Wait, ask
from paraph.flows.transact import Sent, transact
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.keys import ATTESTED
from paraph.proofs.attestation import Attestation
from paraph.proofs.header import hash_key
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.binding import registration_nonce
from paraph.proofs.quotes.claims import Claims
from paraph.proofs.records import Enclave, Release, enclave_key, release_key

TRIES: Final = 50
WAIT_MS: Final = 200
"""Together ten seconds: a server that is behind catches up within a few blocks."""


def question(trust: Trust, node: Address) -> Flow[tuple[Digest, int]]:
    """The nonce that an enclave of the node must include to be registered now, and the height of the nonce's block.

    Raises:
        Unavailable: `attest.early`: no block was made yet.
    """
    place = ATTESTED.prefix + node
    snapshot = yield from registry.read(trust, place)
    height = snapshot.seal.height - 1
    if height < 0:
        raise Unavailable("attest.early", "the nonce is made of a block's hash, and none is known yet; ask again")
    counted = snapshot.values.get(place)
    sequence = 0 if counted is None else int.from_bytes(counted.value, "big")
    found = (yield from registry.read(trust, hash_key(height))).values.get(hash_key(height))
    if found is None:
        raise Unavailable("attest.early", f"the ledger does not show the hash of block {height}; ask again")
    return registration_nonce(Digest(found.value), node, sequence), height


def release_of(trust: Trust, claims: Claims) -> Flow[Digest]:
    """The approved release whose measurements an enclave has.

    Raises:
        Rejected: `attest.release`: the network approved no such code.
    """
    for release_id, release in (yield from registry.releases(trust)).items():
        approved = release.platform == claims.platform and not release.height_last
        if approved and release.measurements.items() <= claims.measurements.items():
            return release_id
    measured = ", ".join(f"{name} {claims.measurements[name].hex()[:16]}…" for name in sorted(claims.measurements)[:3])
    raise Rejected(
        "attest.release",
        f"{trust.network} approved no release for {claims.platform} with these measurements ({measured}):"
        " `paraph measurement list` shows those it did",
    )


def register(trust: Trust, sender: Address, shown: Attestation, height: int) -> Flow[Sent]:
    """Register an attestation whose nonce is made of the block at `height`. Raises as `transact` does."""
    data = NODES.method("attest").call(
        shown.keyset.node, shown.release, shown.keyset.encode(), shown.evidence.encode(), height
    )
    return (yield from transact(trust.chain_id, sender, NODES.address, Wei(0), data))


def expiry(trust: Trust, receipt_key: Address) -> Flow[int]:
    """When the ledger ends the keys of an enclave that was registered, Unix seconds.

    Raises:
        Unavailable: `attest.pending`: the server does not show the enclave yet.
    """
    place = enclave_key(receipt_key)
    tries = TRIES
    while True:
        found = (yield from registry.read(trust, place)).record(place, Enclave)
        if found is not None:
            return found.expires_s
        if tries == 0:
            raise Unavailable("attest.pending", "the ledger does not show the enclave that was registered; ask again")
        tries -= 1
        yield from ask(Wait(WAIT_MS))


def is_open(trust: Trust, receipt_key: Address) -> Flow[bool]:
    """Whether the ledger takes receipts by that key: its enclave is not closed, nor the code that it runs revoked."""
    place = enclave_key(receipt_key)
    found = (yield from registry.read(trust, place)).record(place, Enclave)
    if found is None or found.height_last:
        return False
    place = release_key(found.release)
    release = (yield from registry.read(trust, place)).record(place, Release)
    return release is not None and not release.height_last
