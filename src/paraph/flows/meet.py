"""Meeting an enclave before the first word is said to it: the ledger's record, then its own attestation, live.

 1. The ledger knows an enclave of the node: open, in time, running code that is approved, of a platform worth enough.
 2. Whoever answers at the node's address holds the TLS key that the record names; no certificate authority is asked.
    By a relay, it can open what is sealed to the record's key.
 3. It shows an attestation over a nonce of ours, of the same keys, made just now.

Only then may a prompt leave. There is no way on without: what fails here raises.
"""

from dataclasses import dataclass, field
from typing import Final

from paraph.core.encode import Json, take
from paraph.core.errors import Unavailable, Unverified
from paraph.core.ident import Address, Digest, ModelId, to_hex
from paraph.core.keys import checksummed
from paraph.core.ohttp import NO_MODEL, Binding
from paraph.flows import registry
from paraph.flows.effect import Draw, Flow, Now, Post, Sealing, Wait, ask
from paraph.flows.registry import Snapshot
from paraph.ledger.rooms.measurements.keys import REVOKED, stands_on
from paraph.ledger.rooms.nodes.keys import CURRENT
from paraph.proofs.attestation import Attestation, attestation_from_json, keyset_of, prove
from paraph.proofs.meeting import AGE_MS_MAX, STATE_AGE_S_MAX, Meeting
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.binding import Keyset
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse
from paraph.proofs.quotes.evidence import CHECKS, Checks
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.records import Enclave, Release, enclave_key, release_key

PATH: Final = "/paraph/v1/attestation"
REMEMBERED_MS: Final = 5 * 60_000
"""How long an enclave that was met need not be met again."""
TURNED: Final = ("meet.closed", "meet.keyset")
"""What is found of an enclave that is just being registered anew."""
TRIES: Final = 2
TURN_MS: Final = 300
REMEMBERED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """How a node is reached so that nobody else hears: by whom the connection ends, and to whom bodies are sealed."""

    tls_key: Digest | None = None
    sealing: Sealing | None = None


PLAIN: Final = Line()
"""Whoever certificate authorities know by the address."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of an enclave and of the code it runs, and the proofs of both."""

    enclave: Enclave
    release: Release
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Met:
    """An enclave that was met.

    Args:
        known: what the ledger knows of it.
        keyset: its keys.
        shown: its live attestation; `claims` what that proves.
        at_ms: when, Unix milliseconds.
    """

    known: Known
    keyset: Keyset
    shown: Attestation
    claims: Claims
    at_ms: int

    def line(self, model_id: ModelId, relay: str, *, sealed: bool) -> Line:
        """How it is asked for a model: by its TLS key; sealed where that is wanted; by a relay, by its key alone."""
        return _line(self.keyset, model_id, relay, sealed=sealed)

    def document(self) -> Meeting:
        """The meeting, to be kept and checked again offline."""
        snapshot = self.known.snapshot
        enclave = snapshot.values[enclave_key(self.keyset.receipt_key)]
        release = snapshot.values[release_key(self.known.enclave.release)]
        return Meeting(self.keyset.node, self.at_ms, self.shown, snapshot.seal, enclave, release)


@dataclass(slots=True)
class Memory:
    """Enclaves met a moment ago. It is asked by what was demanded, too: who wants more must meet again.

    Args:
        met: those.
        checks: of signatures; ones that remember save the cost of looking twice at authorities and at evidence.
    """

    met: dict[tuple[Address, str, TrustClass], Met] = field(default_factory=dict)
    checks: Checks = CHECKS

    def find(self, node: Address, endpoint: str, least: TrustClass, now_ms: int) -> Met | None:
        """Who was met, while it may be remembered."""
        found = self.met.get((node, endpoint, least))
        if found is None or not 0 <= now_ms - found.at_ms <= REMEMBERED_MS:
            return None
        return found if now_ms <= found.known.enclave.expires_s * 1000 else None

    def keep(self, node: Address, endpoint: str, least: TrustClass, met: Met) -> None:
        """Remember."""
        if len(self.met) >= REMEMBERED_MAX:
            self.met.clear()
        self.met[node, endpoint, least] = met

    def holds(self, node: Address) -> bool:
        """True when some enclave of the node is remembered."""
        return any(place[0] == node for place in self.met)

    def forget(self, node: Address) -> None:
        """Meet it again next time."""
        for place in [place for place in self.met if place[0] == node]:
            del self.met[place]


def _line(keyset: Keyset, model_id: ModelId, relay: str, *, sealed: bool) -> Line:
    if not sealed and not relay:
        return Line(keyset.tls_key)
    binding = Binding(keyset.chain_id, keyset.node, keyset.digest())
    return Line(None if relay else keyset.tls_key, Sealing(keyset.hpke_key, binding, model_id, relay))


def meet(trust: Trust, node: Address, endpoint: str, least: TrustClass, memory: Memory, relay: str = "") -> Flow[Met]:
    """An enclave that may be spoken to.

    Args:
        trust: the network.
        node: whose enclave.
        endpoint: where the node says that it answers.
        least: what its platform's word must be worth.
        memory: of whom was met before.
        relay: the base URL of who carries the meeting, sealed; empty for nobody.

    Raises:
        Unverified: `meet.…`, `envelope.…`, `quote.…`, `policy.…`, `binding.…`, `registry.…`;
            `tls.key`: another answers in its place. Unavailable: `meet.stale`; it cannot be reached.
    """
    now_ms = yield from ask(Now())
    remembered = memory.find(node, endpoint, least, now_ms)
    if remembered is not None:
        return remembered
    left = TRIES
    while True:
        left -= 1
        try:
            met = yield from _met(trust, node, endpoint, least, memory.checks, relay)
        except Unverified as error:
            # Its keys may just have been turned: then the ledger shows the new ones in a moment.
            if error.code not in TURNED or left == 0:
                raise
            yield from ask(Wait(TURN_MS))
        else:
            memory.keep(node, endpoint, least, met)
            return met


def _met(trust: Trust, node: Address, endpoint: str, least: TrustClass, checks: Checks, relay: str) -> Flow[Met]:
    now_ms = yield from ask(Now())
    found = yield from known(trust, node)
    enclave, release = found.enclave, found.release
    age_s = now_ms // 1000 - found.snapshot.seal.time_s
    if age_s > STATE_AGE_S_MAX:
        raise Unavailable(
            "meet.stale",
            f"the newest block that the server shows is {age_s} s old: the enclave may have been closed since; ask"
            " another full node",
            age_s=age_s,
        )
    keyset = keyset_of(enclave.keyset)
    _need_worthy(trust, node, enclave, release, keyset, least, now_ms)
    if not endpoint.startswith("https://"):
        refuse("meet.plain", f"{endpoint} is not https: what is said there can be read on the way")
    nonce = Digest((yield from ask(Draw(32))))
    question: dict[str, Json] = {"nonce": to_hex(nonce)}
    line = _line(keyset, NO_MODEL, relay, sealed=bool(relay))
    post = Post(endpoint.rstrip("/") + PATH, question, line.tls_key, line.sealing)
    (reply,) = take((yield from ask(post)), "the reply", "attestation")
    shown = attestation_from_json(reply)
    if shown.nonce != nonce:
        refuse("meet.nonce", "the attestation is not for our nonce")
    if (shown.keyset, shown.release) != (keyset, enclave.release):
        refuse("meet.keyset", "the enclave shows other keys, or another release, than the ledger registered")
    expected = Policy((release.measurements,), least, AGE_MS_MAX, versions_min=release.versions_min)
    at_ms = yield from ask(Now())
    claims = prove(shown, expected, trust.simulated_root, at_ms // 1000, checks)
    if (claims.platform, int(claims.trust)) != (enclave.platform, enclave.trust):
        refuse("meet.platform", f"the ledger registered {enclave.platform}; what answers is {claims.platform}")
    return Met(found, keyset, shown, claims, at_ms)


def known(trust: Trust, node: Address) -> Flow[Known]:
    """What the ledger knows of a node's enclave, all proved against one state.

    Raises:
        Unverified: `meet.unknown`: it knows none; `meet.revoked`: it is believed no more.
    """
    current = CURRENT + node
    found = (yield from registry.read(trust, current)).values.get(current)
    if found is None:
        refuse("meet.unknown", f"the ledger knows no enclave of {checksummed(node)}")
    place = enclave_key(Address(found.value))
    named = (yield from registry.read(trust, place)).record(place, Enclave)
    if named is None:
        refuse("meet.unknown", f"the ledger knows no enclave of {checksummed(node)}")
    code = release_key(named.release)
    revocations = [REVOKED.prefix + name for name in stands_on(named)]
    snapshot = yield from registry.read(trust, current, place, code, *revocations)
    enclave, release = snapshot.record(place, Enclave), snapshot.record(code, Release)
    if enclave is None or release is None:
        refuse("meet.unknown", "the ledger knows not what the enclave runs")
    if any(each in snapshot.values for each in revocations):
        refuse("meet.revoked", "a certificate of the enclave, or its machine, was revoked since it was registered")
    return Known(enclave, release, snapshot)


def _need_worthy(
    trust: Trust, node: Address, enclave: Enclave, release: Release, keyset: Keyset, least: TrustClass, now_ms: int
) -> None:
    if (keyset.chain_id, keyset.node, enclave.node) != (trust.chain_id, node, node):
        refuse("meet.keyset", "the keys that the ledger shows are of another node or network")
    if enclave.height_last or release.height_last:
        refuse("meet.closed", "the enclave was closed, or the code that it runs was revoked")
    if now_ms > enclave.expires_s * 1000:
        refuse("meet.expired", f"the enclave's keys ended at {enclave.expires_s}, and it did not attest anew")
    if enclave.trust < least:
        has = TrustClass(enclave.trust).word
        refuse("meet.trust", f"the enclave is {has}; at least {least.word} is wanted (--min-trust {has} accepts it)")
