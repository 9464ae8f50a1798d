"""Meetings with enclaves for tests: a ledger that registered one, its state under a seal, a live document."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from tests.support.build import Tree
from tests.support.nitro import NOW_S, Document
from tests.support_ledger.enclaves import RELEASE_ID, ROOT, Shown, believing
from tests.support_ledger.world import CHAIN_ID, OPERATOR, person

from paraph.core.digest import sha256
from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.proofs.attestation import Attestation
from paraph.proofs.bundle import Proved
from paraph.proofs.header import Header, SignedHeader
from paraph.proofs.meeting import Meeting
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.binding import bound
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.records import Enclave, Release, enclave_key, release_key
from paraph.proofs.seal import ProducerSeal

PRODUCER: Final = person("producer")
GENESIS: Final = Digest(sha256(b"genesis"))
NONCE: Final = Digest(b"\x5e" * 32)
SIGNER: Final = person("born in the enclave")
TRUST: Final = Trust("test", CHAIN_ID, GENESIS, (PRODUCER.address,), True, simulated_root=ROOT)
AT_MS: Final = (NOW_S + 10) * 1000


@dataclass(frozen=True)
class Case:
    """A meeting, and what is pinned."""

    meeting: Meeting
    trust: Trust


@cache
def registered() -> Mapping[bytes, bytes]:
    """The state of a ledger on which the enclave is registered."""
    world = believing()
    assert Shown(world).register().error == ""
    return world.state


def live(**said: Any) -> Attestation:
    """What the enclave shows for `NONCE`; `said` stands in its document in place of what it says otherwise."""
    keyset = Shown(believing()).keyset
    document = Document(
        said={
            "timestamp": AT_MS,
            "public_key": keyset.hpke_key,
            "nonce": NONCE,
            "user_data": bound(keyset, NONCE, ZERO_DIGEST),
            **said,
        }
    )
    return Attestation(RELEASE_ID, keyset, NONCE, Evidence("simulated", document.made()))


def met(
    *,
    shown: Attestation | None = None,
    enclave: Mapping[str, Any] | None = None,
    release: Mapping[str, Any] | None = None,
    node: Address = OPERATOR.address,
    at_ms: int = AT_MS,
) -> Case:
    """A meeting; what is given differs from a good one: the ledger's records by their fields."""
    state: dict[bytes, bytes | None] = dict(registered())
    keyset = live().keyset
    places = enclave_key(keyset.receipt_key), release_key(RELEASE_ID)
    state[places[0]] = replace(Enclave.decode(state[places[0]] or b""), **(enclave or {})).encode()
    state[places[1]] = replace(Release.decode(state[places[1]] or b""), **(release or {})).encode()
    tree = Tree()
    tree.put(state)
    head = Header(
        chain_id=CHAIN_ID,
        genesis=GENESIS,
        height=9,
        time_s=NOW_S + 6,
        parent=sha256(b"parent"),
        proposer=PRODUCER.address,
        state_root=tree.root,
        transactions_root=sha256(b"transactions"),
        results_root=sha256(b"results"),
        gas_used=21_000,
        gas_limit=60_000_000,
        base_fee=10**9,
    )
    seal = ProducerSeal(SignedHeader(head, PRODUCER.sign(head.hash())))
    records = [Proved(state[place] or b"", tree.prove(place)) for place in places]
    return Case(Meeting(node, at_ms, shown or live(), seal, *records), TRUST)
