"""What an enclave shows of itself, whatever its platform, and the one door to the platforms' verifiers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from paraph.core.errors import Malformed
from paraph.proofs.quotes import nitro, snp, tdx
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse
from paraph.proofs.quotes.ecdsa import Signed, p384_sha384
from paraph.proofs.quotes.roots import AMD_GENOA, AMD_TURIN, AWS_NITRO, INTEL_SGX
from paraph.proofs.quotes.rsa import pss_sha384
from paraph.proofs.records import Record
from paraph.proofs.zk.statement import Statement
from paraph.proofs.zk.verify import Opened
from paraph.proofs.zk.verify import verify as verify_proof

EVIDENCE_BYTES_MAX: Final = 64 * 1024
PARTS_MAX: Final = 16
"""Pieces of collateral, and devices."""


Verify: TypeAlias = Callable[[Statement, bytes], Opened]
"""Looks at a proof of an exact model. Raises `Unverified` (`zk.…`), `Malformed` (`zk.size`)."""


@dataclass(frozen=True, slots=True)
class Evidence(Record):
    """Evidence of an enclave, not yet believed.

    Args:
        platform: `nitro`, `simulated`, `snp`, `tdx`, `sgx`.
        document: what the platform signed.
        collateral: what its verification needs besides: for SNP the chain of certificates, root first; for TDX and SGX
            Intel's word on the chip, in nine pieces (`intel_collateral.PARTS`).
        devices: the evidence of each device that the enclave uses.
    """

    platform: str
    document: bytes
    collateral: tuple[bytes, ...] = ()
    devices: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Checks:
    """How signatures and proofs are checked. Ones that remember save the cost of looking twice; others are faster.

    Args:
        ecdsa, pss: signatures under platforms' certificates.
        zk: proofs of exact models.
    """

    ecdsa: Signed = p384_sha384
    pss: Signed = pss_sha384
    zk: Verify = verify_proof


PLATFORMS: Final = ("nitro", "simulated", "snp", "tdx", "sgx")
CHECKS: Final = Checks()
NO_ROOT: Final = b""
"""In place of a simulated root: nothing simulated is believed."""


def decode_evidence(data: bytes) -> Evidence:
    """Read evidence from a stranger.

    Raises:
        Malformed: `evidence.size`, `evidence.parts`, `record.form`, `rlp.…`.
    """
    if len(data) > EVIDENCE_BYTES_MAX:
        raise Malformed("evidence.size", f"evidence has at most {EVIDENCE_BYTES_MAX} bytes, not {len(data)}")
    found = Evidence.decode(data)
    if max(len(found.collateral), len(found.devices)) > PARTS_MAX:
        raise Malformed("evidence.parts", f"evidence has at most {PARTS_MAX} devices and pieces of collateral")
    return found


def verify(evidence: Evidence, simulated: bytes, now_s: int, checks: Checks = CHECKS) -> Claims:
    """What evidence proves.

    Args:
        evidence: as `decode_evidence` gives it.
        simulated: the root (DER) of simulated enclaves on a development network; `NO_ROOT` everywhere else.
        now_s: by which certificates must hold, Unix seconds: the verifier's clock, or a block's time.
        checks: of signatures.

    Raises:
        Unverified: `envelope.platform`: not one that is known here; `envelope.devices`, `envelope.collateral`; what
            its verifier raises.
    """
    if evidence.devices:
        refuse("envelope.devices", "this version cannot check evidence of devices")
    if evidence.platform not in PLATFORMS:
        refuse("envelope.platform", f"{evidence.platform[:40]!a} is no platform that is known here")
    if evidence.platform == "nitro":
        return _nitro(evidence, nitro.Root(AWS_NITRO, TrustClass.HARDWARE), now_s, checks)
    if evidence.platform == "simulated":
        if simulated == NO_ROOT:
            refuse("quote.root", "this network believes no simulated enclave")
        return _nitro(evidence, nitro.Root(simulated, TrustClass.SIMULATED), now_s, checks)
    if evidence.platform == "snp":
        return _snp(evidence, now_s, checks)
    return _intel(evidence, now_s)


def _nitro(evidence: Evidence, root: nitro.Root, now_s: int, checks: Checks) -> Claims:
    if evidence.collateral:
        refuse("envelope.collateral", "a Nitro document brings its chain itself; nothing stands beside it")
    return nitro.verify(nitro.read(evidence.document), root, now_s, checks.ecdsa)


def _snp(evidence: Evidence, now_s: int, checks: Checks) -> Claims:
    chain = evidence.collateral
    product = _PRODUCTS.get(chain[0]) if chain else None
    if product is None:
        refuse("quote.root", "the chain does not begin at a root of AMD's that is believed")
    root = snp.Root(chain[0], TrustClass.HARDWARE, product)
    return snp.verify(snp.read(evidence.document), chain, root, now_s, checks.pss, checks.ecdsa)


def _intel(evidence: Evidence, now_s: int) -> Claims:
    quote = tdx.read(evidence.document)
    if quote.platform != evidence.platform:
        refuse("envelope.platform", f"the quote is of {quote.platform}, not of {evidence.platform}")
    return tdx.verify(quote, evidence.collateral, tdx.Root(INTEL_SGX, TrustClass.HARDWARE), now_s)


_PRODUCTS: Final = {AMD_GENOA: snp.GENOA, AMD_TURIN: snp.TURIN}
