"""AWS Nitro Enclaves: attestation documents, from bytes to claims.

A document is a COSE_Sign1 structure (RFC 9052) around a CBOR map, signed by a certificate that lives three hours, whose
chain ends at the one root that AWS publishes. What may be in it: AWS, "Verifying the root of trust" and the nsm-api
sources; what really is in it was read off recorded ones.

A signature (r, s) has a twin (r, n − s) that verifies, too: never name anything by a document's hash.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from paraph.core import cbor
from paraph.core.cbor import Cbor, Key
from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse
from paraph.proofs.quotes.ecdsa import Signed, raw_signature
from paraph.proofs.quotes.x509 import ECDSA_SHA384, P384, certificate_of, check_path

DOCUMENT_BYTES_MAX: Final = 16_896
"""A payload of 16 384 bytes, and what stands around it. Real documents have five kilobytes."""
PAYLOAD_BYTES_MAX: Final = 16_384
CERTIFICATE_BYTES_MAX: Final = 1_024
AUTHORITIES_MAX: Final = 8
"""Real documents have four: the root, a region's, a zone's, a machine's."""
FIELD_BYTES_MAX: Final = 1_024
"""Of what the enclave and its caller put in."""
PCR_BYTES: Final = 48
PCRS_MAX: Final = 32
SECRET_PCRS: Final = (0, 1, 2)
"""Zero in an enclave that was started for debugging: its host reads its console."""
SIGNATURE_BYTES: Final = 96
TIME_MS_MAX: Final = 2**53

SIGN1: Final = 18
"""The tag that COSE allows in front; the hypervisor leaves it out."""
PROTECTED: Final = cbor.encode({1: -35})
"""The one header: the algorithm is ES384."""
MODULE: Final = re.compile(r"(sim-)?i-[0-9a-f]{8,17}-enc[0-9a-f]{1,24}")
"""The name of an enclave; that of a machine's TPM, which the same root signs, has `-tpm` there."""
SIMULATED: Final = "sim-"


@dataclass(frozen=True, slots=True)
class Document:
    """An attestation document, read and not yet believed."""

    payload: bytes
    signature: bytes
    module: str
    time_ms: int
    pcrs: Mapping[int, bytes]
    certificate: bytes
    authorities: tuple[bytes, ...]
    key: bytes
    data: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Root:
    """A root that is believed, and what its word is worth.

    Args:
        certificate: its DER, whole: another certificate of the same name and key is another root.
        trust: `TrustClass.SIMULATED` for a root that no hardware stands behind; its documents must say so, too.
    """

    certificate: bytes
    trust: TrustClass


def read(data: bytes) -> Document:
    """Read a document from a stranger.

    Raises:
        Unverified: `envelope.size`, `envelope.cbor`, `envelope.cose`, `envelope.algorithm`, `envelope.unprotected`,
            `envelope.signature`, `envelope.payload`, `envelope.module`, `envelope.tpm`, `envelope.digest`,
            `envelope.time`, `envelope.pcrs`, `envelope.certificate`, `envelope.authorities`, `envelope.field`.
    """
    if not 0 < len(data) <= DOCUMENT_BYTES_MAX:
        refuse("envelope.size", f"a Nitro document has 1 to {DOCUMENT_BYTES_MAX} bytes, not {len(data)}")
    parts = _decoded(data, SIGN1)
    if not isinstance(parts, list) or len(parts) != 4:
        refuse("envelope.cose", "a Nitro document is a COSE_Sign1 structure, an array of four")
    protected, unprotected, payload, signature = parts
    if protected != PROTECTED:
        refuse("envelope.algorithm", "the protected header of a Nitro document says ES384 and nothing else")
    if unprotected != {}:
        refuse("envelope.unprotected", "a Nitro document has no unprotected header")
    if not isinstance(payload, bytes) or not 0 < len(payload) <= PAYLOAD_BYTES_MAX:
        refuse("envelope.cose", f"the payload of a Nitro document is 1 to {PAYLOAD_BYTES_MAX} bytes, inside it")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        refuse("envelope.signature", f"the signature of a Nitro document has {SIGNATURE_BYTES} bytes")
    said = _decoded(payload, None)
    if not isinstance(said, dict):
        refuse("envelope.payload", "the payload of a Nitro document is a map")
    return _document(payload, signature, said)


def _decoded(data: bytes, tag: int | None) -> Cbor:
    try:
        return cbor.decode(data, tag)
    except Malformed as error:
        refuse("envelope.cbor", error.message)


def _document(payload: bytes, signature: bytes, said: Mapping[Key, Cbor]) -> Document:
    if "nitrotpm_pcrs" in said:
        refuse("envelope.tpm", "this is a document of a NitroTPM, whose host can sign what it likes, not of an enclave")
    module, time_ms = said.get("module_id"), said.get("timestamp")
    if not isinstance(module, str) or not MODULE.fullmatch(module):
        refuse("envelope.module", "the document does not name an enclave")
    if said.get("digest") != "SHA384":
        refuse("envelope.digest", "the measurements of a Nitro document are SHA-384")
    if isinstance(time_ms, bool) or not isinstance(time_ms, int) or not 0 < time_ms < TIME_MS_MAX:
        refuse("envelope.time", "the document's time is no number of milliseconds")
    certificate, authorities = said.get("certificate"), said.get("cabundle")
    if not _is_certificate(certificate):
        refuse("envelope.certificate", f"the document's certificate has 1 to {CERTIFICATE_BYTES_MAX} bytes")
    if not isinstance(authorities, list) or not 0 < len(authorities) <= AUTHORITIES_MAX:
        refuse("envelope.authorities", f"the document names 1 to {AUTHORITIES_MAX} authorities, the root first")
    found = tuple(each for each in authorities if _is_certificate(each))
    if len(found) != len(authorities):
        refuse("envelope.authorities", f"an authority's certificate has 1 to {CERTIFICATE_BYTES_MAX} bytes")
    return Document(
        payload,
        signature,
        module,
        time_ms,
        _pcrs(said.get("pcrs")),
        certificate,
        found,
        _field(said.get("public_key"), "public_key"),
        _field(said.get("user_data"), "user_data"),
        _field(said.get("nonce"), "nonce"),
    )


def _is_certificate(value: Cbor) -> TypeGuard[bytes]:
    return isinstance(value, bytes) and 0 < len(value) <= CERTIFICATE_BYTES_MAX


def _pcrs(value: Cbor) -> dict[int, bytes]:
    if not isinstance(value, dict) or not value:
        refuse("envelope.pcrs", "the document has no measurements")
    found: dict[int, bytes] = {}
    for index, pcr in value.items():
        if not isinstance(index, int) or not 0 <= index < PCRS_MAX:
            refuse("envelope.pcrs", f"a measurement's index is 0 to {PCRS_MAX - 1}, not {index!a}")
        if not isinstance(pcr, bytes) or len(pcr) != PCR_BYTES:
            refuse("envelope.pcrs", f"the measurement {index} has not {PCR_BYTES} bytes")
        found[index] = pcr
    return found


def _field(value: Cbor, name: str) -> bytes:
    """What may be absent, null or empty, which all mean the same."""
    if value is None:
        return b""
    if not isinstance(value, bytes) or len(value) > FIELD_BYTES_MAX:
        refuse("envelope.field", f"{name} is at most {FIELD_BYTES_MAX} bytes, or null")
    return value


def verify(document: Document, root: Root, now_s: int, signed: Signed) -> Claims:
    """What a document proves.

    Args:
        document: as `read` gives it.
        root: the one that is believed.
        now_s: by which its certificates must hold, Unix seconds: the verifier's clock, or a block's time.
        signed: checks ECDSA over P-384 and SHA-384, signatures as r ‖ s.

    Raises:
        Unverified: `quote.root`: the chain begins at another root; `quote.certificate`: a certificate cannot be read,
            or is of another kind; `quote.chain.…`; `quote.name`: the leaf is another enclave's; `quote.signature`;
            `quote.simulated`: it says otherwise of itself than its root.
    """
    if document.authorities[0] != root.certificate:
        refuse("quote.root", "the document's chain does not begin at the root that is believed")
    chain = (*document.authorities, document.certificate)
    path = [certificate_of(each, place, (ECDSA_SHA384,), P384) for place, each in enumerate(chain)]
    try:
        check_path(path, now_s, lambda key, message, signature: signed(key, message, raw_signature(signature, 48)))
    except Malformed as error:
        refuse("quote.certificate", error.message)
    leaf = path[-1]
    if len(leaf.common_names) != 1 or not leaf.common_names[0].startswith(f"{document.module}."):
        refuse("quote.name", f"the document is of {document.module}; its certificate is of another enclave")
    if not signed(leaf.key, signing_input(document.payload), document.signature):
        refuse("quote.signature", "the document is not signed by its certificate's key")
    simulated = root.trust is TrustClass.SIMULATED
    if document.module.startswith(SIMULATED) != simulated:
        refuse("quote.simulated", "what a simulated root signs must name itself so, and nothing else may")
    return Claims(
        "simulated" if simulated else "nitro",
        root.trust,
        document.time_ms,
        not all(any(document.pcrs.get(index, b"")) for index in SECRET_PCRS),
        {f"pcr{index}": document.pcrs[index] for index in sorted(document.pcrs)},
        {},
        document.data,
        document.nonce,
        document.key,
        document.module,
        tuple((each.issuer, each.serial) for each in path[1:]),
    )


def signing_input(payload: bytes) -> bytes:
    """The bytes that a document's signature is over (RFC 9052, section 4.4)."""
    return cbor.encode(["Signature1", PROTECTED, b"", payload])
