"""A meeting with an enclave, kept: what it showed, what the ledger knew of it, and when. One file, checked offline.

A client meets an enclave before its first prompt. This is the proof that it did, and of whom it met: the evidence, the
ledger's records with their proofs, and the time by the client's clock. Specified in docs/spec/attestation.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from paraph.core.encode import Json, as_integer, as_object, canonical, decode_exact, take
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Address, address_from_hex, to_hex
from paraph.core.keys import checksummed
from paraph.core.smt import proves
from paraph.proofs.attestation import Attestation, attestation_from_json, prove
from paraph.proofs.attested import described
from paraph.proofs.bundle import Proved, proved_from_json
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.records import Enclave, Release, enclave_key, release_key
from paraph.proofs.seal import Seal, believe, seal_from_json
from paraph.proofs.verdict import Claim, Outcome, Verdict, claim

FORMAT: Final = "paraph/meeting/1"
AGE_MS_MAX: Final = 60_000
"""Of a live document: it is made for a nonce that was just drawn."""
STATE_AGE_S_MAX: Final = 600
"""How old the ledger's newest block may be: an old state is a true one, of an enclave that was closed since."""
TIME_MS_MAX: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting with an enclave. Hostile until judged.

    Args:
        node: whose enclave was looked for.
        at_ms: when, by the clock of who met it, Unix milliseconds.
        shown: what the enclave showed for a nonce of his.
        seal: why the state of the ledger is believed.
        enclave, release: the ledger's records, proved against that state.
    """

    node: Address
    at_ms: int
    shown: Attestation
    seal: Seal
    enclave: Proved
    release: Proved

    def as_json(self) -> dict[str, Json]:
        """The meeting as JSON."""
        return {
            "format": FORMAT,
            "node": to_hex(self.node),
            "at_ms": self.at_ms,
            "attestation": self.shown.as_json(),
            "seal": self.seal.as_json(),
            "enclave": self.enclave.as_json(),
            "release": self.release.as_json(),
        }

    def encode(self) -> bytes:
        """The file's canonical bytes."""
        return canonical(self.as_json())


def decode_meeting(data: bytes) -> Meeting:
    """Read a meeting from untrusted bytes. Raises `Malformed` (`meeting.format`, and what each part raises)."""
    found = as_object(decode_exact(data), "the meeting")
    if found.get("format") != FORMAT:
        raise Malformed("meeting.format", f"not a meeting with an enclave: its format must be {FORMAT}")
    _, node, at_ms, shown, seal, enclave, release = take(
        found, "meeting", "format", "node", "at_ms", "attestation", "seal", "enclave", "release"
    )
    return Meeting(
        address_from_hex(node, "node"),
        as_integer(at_ms, "at_ms", 0, TIME_MS_MAX),
        attestation_from_json(shown),
        seal_from_json(seal),
        proved_from_json(enclave, "enclave"),
        proved_from_json(release, "release"),
    )


def judge_meeting(meeting: Meeting, trust: Trust, least: TrustClass = TrustClass.HARDWARE) -> Verdict:
    """Whether the enclave could be spoken to when it was met.

    Args:
        meeting: from anybody.
        trust: what is pinned.
        least: what its platform's word must be worth.
    """
    claims = tuple(_claims(meeting, trust, least))
    try:
        enclave = Enclave.decode(meeting.enclave.value)
    except Malformed:
        return Verdict(claims, (), ())
    simulated = enclave.trust == TrustClass.SIMULATED
    left = (
        *(("that any hardware stands behind the enclave: it is SIMULATED",) if simulated else ()),
        "the clock of whoever met it, and that he drew the nonce himself: he alone knows",
        "that the code does what its source says: build it, and compare the measurements",
        "that nobody broke the platform itself: docs/concepts/trust.md has the known attacks, by platform",
    )
    failed = ", ".join(sorted(each.code for each in claims if each.outcome is Outcome.FAIL))
    who = f"Who was met? {described(enclave)}, of node {checksummed(meeting.node)}"
    answer = (
        Claim("met", Outcome.FAIL, f"Who was met? Not shown: {failed}") if failed else Claim("met", Outcome.PASS, who)
    )
    return Verdict(claims, (answer,), left)


def _claims(meeting: Meeting, trust: Trust, least: TrustClass) -> Iterator[Claim]:
    try:
        yield Claim("chain.seal", Outcome.PASS, believe(meeting.seal, trust))
    except Unverified as error:
        yield Claim("chain.seal", Outcome.FAIL, f"the state shown is not believable: {error.message}")
    apart_s = abs(meeting.at_ms // 1000 - meeting.seal.time_s)
    yield claim(
        "chain.fresh",
        apart_s <= STATE_AGE_S_MAX,
        f"that state was {apart_s} s old",
        f"that state was {apart_s} s apart from the meeting; at most {STATE_AGE_S_MAX} are taken",
    )
    try:
        enclave, release = Enclave.decode(meeting.enclave.value), Release.decode(meeting.release.value)
    except Malformed as error:
        yield Claim("registry.records", Outcome.FAIL, f"a record of the ledger cannot be read: {error.message}")
        return
    shown, root = meeting.shown, meeting.seal.state_root
    yield claim(
        "registry.key",
        proves(root, enclave_key(shown.keyset.receipt_key), meeting.enclave.value, meeting.enclave.proof)
        and (enclave.node, enclave.height_last) == (meeting.node, 0)
        and meeting.at_ms <= enclave.expires_s * 1000,
        f"{described(enclave)} is registered for node {checksummed(meeting.node)} until {enclave.expires_s}",
        "not shown by the ledger: an open enclave of this node with these keys",
    )
    yield claim(
        "registry.release",
        proves(root, release_key(enclave.release), meeting.release.value, meeting.release.proof)
        and release.height_last == 0,
        f"it runs {release.name!r}, which is approved; its source: {release.source}",
        "not shown by the ledger: that the code it runs is approved",
    )
    try:
        found = _proved(meeting, enclave, release, trust)
    except (Malformed, Unverified) as error:
        yield Claim("evidence.layer", Outcome.FAIL, f"its attestation does not hold: {error.message} [{error.code}]")
        return
    yield Claim("evidence.layer", Outcome.PASS, f"{described(enclave)} signed these keys, for this nonce, just then")
    yield claim(
        "evidence.trust",
        found >= least,
        f"its trust class is {found.word}",
        f"its trust class is {found.word}; at least {least.word} is wanted",
    )


def _proved(meeting: Meeting, enclave: Enclave, release: Release, trust: Trust) -> TrustClass:
    shown = meeting.shown
    if (shown.keyset.chain_id, shown.keyset.node) != (trust.chain_id, meeting.node):
        raise Malformed("binding.keyset", "the keys are for another network or another node")
    if (shown.release, shown.keyset.encode()) != (enclave.release, enclave.keyset):
        raise Malformed("binding.keyset", "the keys or the release are not those that the ledger registered")
    expected = Policy((release.measurements,), TrustClass.SIMULATED, AGE_MS_MAX, versions_min=release.versions_min)
    claims = prove(shown, expected, trust.simulated_root, meeting.at_ms // 1000)
    if (claims.platform, int(claims.trust)) != (enclave.platform, enclave.trust):
        raise Malformed("binding.record", "the ledger's record of the enclave says something else than its evidence")
    return claims.trust
