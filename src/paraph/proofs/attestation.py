"""The attestation: what an enclave shows to be believed. Its keys, a nonce, and evidence over both from its platform.

The same statement serves three readers: validators who register the keys, a client before its first prompt, and whoever
checks an answer later, for whom it is the evidence beside the receipt. Specified in docs/spec/attestation.md.
"""

from dataclasses import dataclass
from typing import Final

from paraph.core.encode import Json, JsonObject, take
from paraph.core.errors import Malformed
from paraph.core.ident import Digest, digest_from_hex, from_hex, to_hex
from paraph.proofs.quotes import binding, evidence, policy
from paraph.proofs.quotes.binding import Keyset
from paraph.proofs.quotes.claims import Claims
from paraph.proofs.quotes.evidence import CHECKS, Checks, Evidence, decode_evidence
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.receipt import evidence_digest

LAYER: Final = "tee"
KEYSET_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Attestation:
    """An enclave's statement of its keys, not yet believed.

    Args:
        release: what it says it runs, by which the ledger's record of that code is found.
        keyset: its keys.
        nonce: what it was asked to include.
        evidence: what its platform signed.
    """

    release: Digest
    keyset: Keyset
    nonce: Digest
    evidence: Evidence

    def as_json(self) -> JsonObject:
        """The attestation as JSON: the evidence of a receipt of the layer `tee`."""
        return {
            "layer": LAYER,
            "release": to_hex(self.release),
            "keyset": to_hex(self.keyset.encode()),
            "nonce": to_hex(self.nonce),
            "evidence": to_hex(self.evidence.encode()),
        }

    def digest(self) -> Digest:
        """What receipts sign of it."""
        return evidence_digest(self.as_json())


def attestation_from_json(value: Json) -> Attestation:
    """Read what `Attestation.as_json` wrote.

    Raises:
        Malformed: `attestation.layer`, `attestation.keyset`, `evidence.…`, `record.…`, `json.…`.
    """
    layer, release, keyset, nonce, shown = take(
        value, "an attestation", "layer", "release", "keyset", "nonce", "evidence"
    )
    if layer != LAYER:
        raise Malformed("attestation.layer", f"an attestation is evidence of the layer {LAYER}")
    return Attestation(
        digest_from_hex(release, "release"),
        keyset_of(from_hex(keyset, None, "keyset")),
        digest_from_hex(nonce, "nonce"),
        decode_evidence(from_hex(shown, None, "evidence")),
    )


def keyset_of(data: bytes) -> Keyset:
    """Read a keyset from a stranger. Raises `Malformed` (`attestation.keyset`, `record.…`, `rlp.…`)."""
    if len(data) > KEYSET_BYTES_MAX:
        raise Malformed("attestation.keyset", f"a keyset has at most {KEYSET_BYTES_MAX} bytes, not {len(data)}")
    found = Keyset.decode(data)
    sizes = len(found.node), len(found.tls_key), len(found.hpke_key), len(found.receipt_key)
    if sizes != (20, 32, binding.HPKE_KEY_BYTES, 20):
        raise Malformed("attestation.keyset", "the keys of a keyset have 32 bytes, its addresses 20")
    return found


def prove(shown: Attestation, expected: Policy, simulated: bytes, now_s: int, checks: Checks = CHECKS) -> Claims:
    """What an attestation proves, if it is of approved code and binds the keys it names.

    The caller compares chain, node, nonce and release with those it wants.

    Args:
        shown: the attestation.
        expected: of its code, its platform, its age.
        simulated: the root of simulated enclaves that is believed; `evidence.NO_ROOT` for none.
        now_s: the verifier's clock, or a block's time, Unix seconds.
        checks: of signatures.

    Raises:
        Unverified: `envelope.…`, `quote.…`, `policy.…`, `binding.…`. Malformed: `policy.empty`.
    """
    claims = evidence.verify(shown.evidence, simulated, now_s, checks)
    policy.check(claims, expected, now_s * 1000)
    binding.check(claims, shown.keyset, shown.nonce, shown.evidence.devices, now_s)
    return claims
