"""What a bundle of the layer `tee` claims: that an enclave vouched for the key that signed, and how much that is worth.

The ledger's record says when validators verified the enclave's attestation. It is verified here once more, as of then,
down to the signature of the silicon: nobody's word is taken for it.
"""

from collections.abc import Iterator
from typing import Final

from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import to_hex
from paraph.core.keys import checksummed
from paraph.core.limits import ENCLAVE_SLACK_S
from paraph.core.smt import proves
from paraph.proofs.attestation import Attestation, attestation_from_json, prove
from paraph.proofs.bundle import Bundle, Chain
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.receipt import Receipt
from paraph.proofs.records import Enclave, Release, enclave_key, release_key
from paraph.proofs.verdict import Claim, Outcome, claim

PLATFORMS: Final = {
    "nitro": "AWS Nitro",
    "snp": "AMD SEV-SNP",
    "tdx": "Intel TDX",
    "sgx": "Intel SGX",
    "tpm": "virtual TPM",
}


def described(enclave: Enclave) -> str:
    """An enclave by platform and trust class, for people; who reads it cannot miss that one is simulated."""
    if enclave.trust == TrustClass.SIMULATED:
        return "an enclave that is SIMULATED (no hardware)"
    return f"an enclave of {PLATFORMS.get(enclave.platform, enclave.platform)} ({_word(enclave.trust)})"


def worth(chain: Chain) -> TrustClass | None:
    """The trust class that the ledger's record names; None where no enclave signed, or the record cannot be read."""
    if chain.release is None:
        return None
    return worth_of(chain.key.value)


def worth_of(record: bytes) -> TrustClass | None:
    """The trust class in an enclave's record; None where it cannot be read."""
    try:
        return TrustClass(Enclave.decode(record).trust)
    except (Malformed, ValueError):
        return None


def records_of(chain: Chain) -> tuple[Enclave, Release]:
    """The ledger's records of the enclave and of the code it runs, not yet proved. Raises `Malformed` (`record.…`)."""
    if chain.release is None:
        raise Malformed("record.form", "the release that the enclave runs is not shown")
    return Enclave.decode(chain.key.value), Release.decode(chain.release.value)


def registered(chain: Chain, receipt: Receipt, enclave: Enclave, release: Release) -> Iterator[Claim]:
    """`registry.key` and `registry.release`: what the ledger knows of the enclave and of its code."""
    root, height = chain.seal.state_root, chain.seal.height
    ends = [time_s for time_s in (enclave.expires_s, enclave.closed_s, release.revoked_s) if time_s]
    in_time = receipt.started_ms <= (min(ends) + ENCLAVE_SLACK_S) * 1000 if ends else False
    yield claim(
        "registry.key",
        proves(root, enclave_key(receipt.signer), chain.key.value, chain.key.proof)
        and enclave.node == receipt.node
        and enclave.valid_at(receipt.height)
        and receipt.height <= height
        and in_time
        and enclave.evidence == receipt.evidence_digest,
        f"the key is registered for an enclave of node {checksummed(receipt.node)} at block {receipt.height}",
        "not shown by the ledger: the key is of an enclave of the node, registered with this evidence, and in time",
    )
    shown = chain.release
    yield claim(
        "registry.release",
        shown is not None
        and proves(root, release_key(enclave.release), shown.value, shown.proof)
        and release.platform == enclave.platform
        and release.valid_at(receipt.height),
        f"the release {release.name!r} was approved at block {receipt.height}; its source: {release.source}",
        "not shown by the ledger: the code that the enclave runs was approved at the receipt's block",
    )


def evidence(bundle: Bundle, trust: Trust, least: TrustClass, checks: Checks) -> Iterator[Claim]:
    """`evidence.layer` and `evidence.trust`: what the platform signed, and how much its word is worth."""
    receipt = bundle.answer.receipt.receipt
    try:
        enclave, release = records_of(bundle.chain)
        shown = attestation_from_json(bundle.answer.evidence)
        claims = _proved(shown, receipt, enclave, release, trust, checks)
    except (Malformed, Unverified) as error:
        reason = f"the enclave's attestation does not hold: {error.message} [{error.code}]"
        yield Claim("evidence.layer", Outcome.FAIL, reason)
        return
    yield Claim(
        "evidence.layer",
        Outcome.PASS,
        f"layer tee: {described(enclave)} that runs {release.name!r} vouches for the key that signed",
    )
    yield claim(
        "evidence.trust",
        claims.trust >= least,
        f"the enclave's trust class is {claims.trust.word}",
        f"the enclave's trust class is {claims.trust.word}; at least {least.word} is wanted",
    )


def _proved(
    shown: Attestation, receipt: Receipt, enclave: Enclave, release: Release, trust: Trust, checks: Checks
) -> Claims:
    keys = shown.keyset
    if (keys.chain_id, keys.node, keys.receipt_key) != (trust.chain_id, receipt.node, receipt.signer):
        raise Malformed("binding.keyset", "the keys are for another network, another node, or another signer")
    if (shown.release, keys.encode()) != (enclave.release, enclave.keyset):
        raise Malformed("binding.keyset", "the keys or the release are not those that the ledger registered")
    expected = Policy((release.measurements,), TrustClass.SIMULATED, versions_min=release.versions_min)
    claims = prove(shown, expected, trust.simulated_root, enclave.time_s, checks)
    if (claims.platform, int(claims.trust), claims.module) != (enclave.platform, enclave.trust, enclave.module):
        raise Malformed("binding.record", "the ledger's record of the enclave says something else than its evidence")
    return claims


def answers(bundle: Bundle) -> Iterator[tuple[Outcome, str]]:
    """The answers to the four questions in their order, where no claim failed."""
    enclave, release = records_of(bundle.chain)
    where = described(enclave)
    yield Outcome.PASS, f"{to_hex(bundle.answer.receipt.receipt.model_id)}, signs a key born in {where}"
    if enclave.trust > TrustClass.SIMULATED:
        yield Outcome.PASS, f"no: {where} runs {release.name!r}, which loads files by the model's id alone"
        yield Outcome.PASS, f"by {release.name!r}, in {where}, which its host cannot look into"
    else:
        nothing = "not shown: the enclave is SIMULATED, and no hardware stands behind it"
        yield Outcome.SKIP, nothing
        yield Outcome.SKIP, nothing
    yield Outcome.PASS, UNALTERED


UNALTERED: Final = "no: it is, byte for byte, what was signed"


def not_checked(bundle: Bundle) -> Iterator[str]:
    """What is left to trust."""
    enclave, release = records_of(bundle.chain)
    if bundle.chain.settled is None:
        yield "when it was: height and time of an answer that is not settled are its signer's own word"
    if enclave.trust == TrustClass.HARDWARE_DEGRADED:
        yield "that known faults of the platform's version were not used: its maker calls it out of date"
    if enclave.trust == TrustClass.SIMULATED:
        yield "that any hardware stands behind the enclave: it is SIMULATED"
    yield "that no certificate or machine it stands on was revoked since: the record tells once somebody closed it"
    yield f"that {release.name!r} does what its source says: build {release.source} and compare the measurements"
    yield "that nobody broke the platform itself: docs/concepts/trust.md has the known attacks, by platform"


def _word(trust: int) -> str:
    try:
        return TrustClass(trust).word
    except ValueError:
        return f"of no known class, {trust}"
