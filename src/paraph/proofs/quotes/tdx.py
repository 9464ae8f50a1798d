"""Intel TDX and SGX: quotes, from bytes to claims.

A quote is a report of a virtual machine (TDX) or of an enclave (SGX), signed by Intel's quoting enclave on the same
chip, whose key the chip's own key (PCK) vouches for, whose certificate Intel issues. Layout: Intel, "TDX DCAP Quoting
Library API" and "SGX ECDSA QuoteLib Reference"; version 5 puts a type and a size before the report. It tells no
time.

A library compiled from Rust checks signatures, revocation and security versions; one version of it, so that validators
agree. What it would let pass is checked here: bytes that follow, other spellings, what a machine must not be allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import dcap_qvl  # type: ignore[import-untyped]

from paraph.core.encode import Json, as_integer, as_list, as_object, as_text, decode
from paraph.core.errors import Malformed, Unavailable
from paraph.proofs.quotes import pem
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse
from paraph.proofs.quotes.intel_collateral import AGE_S_MAX, Collateral, check_age, collateral_of
from paraph.proofs.quotes.x509 import Certificate, read_certificate

LIBRARY_VERSION: Final = "0.7.0"
QUOTE_BYTES_MAX: Final = 16 * 1024
"""Real ones have 4.6 to 5 kB, most of it the chain of certificates."""

HEADER_BYTES: Final = 48
ECDSA_P256: Final = 2
SGX, TDX = 0x00, 0x81
VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""Intel's quoting enclave."""
TD_1_0, TD_1_5 = 2, 3
QE_CERTIFICATION, PCK_CHAIN = 6, 5
QE_REPORT_BYTES: Final = 384
QE_AUTHENTICATION_BYTES: Final = 32
PPID_BYTES: Final = 16

SEPT_VE_DISABLE: Final = (1 << 28).to_bytes(8, "little")
TD_DEBUG, SGX_DEBUG = 1 << 0, 1 << 1
SGX_INITIALISED: Final = 1 << 0

Place = tuple[int, int]
"""Where a field starts, and how many bytes it has."""
TD_1_0_FIELDS: Final[Mapping[str, Place]] = {
    "tee_tcb_svn": (0, 16),
    "mr_seam": (16, 48),
    "mr_signer_seam": (64, 48),
    "seam_attributes": (112, 8),
    "td_attributes": (120, 8),
    "xfam": (128, 8),
    "mr_td": (136, 48),
    "mr_config_id": (184, 48),
    "mr_owner": (232, 48),
    "mr_owner_config": (280, 48),
    "rtmr0": (328, 48),
    "rtmr1": (376, 48),
    "rtmr2": (424, 48),
    "rtmr3": (472, 48),
    "report_data": (520, 64),
}
TD_1_5_FIELDS: Final = {**TD_1_0_FIELDS, "tee_tcb_svn2": (584, 16), "mr_service_td": (600, 48)}
SGX_FIELDS: Final[Mapping[str, Place]] = {
    "cpu_svn": (0, 16),
    "misc_select": (16, 4),
    "attributes": (48, 16),
    "mr_enclave": (64, 32),
    "mr_signer": (128, 32),
    "config_id": (192, 64),
    "isv_prod_id": (256, 2),
    "isv_svn": (258, 2),
    "config_svn": (260, 2),
    "report_data": (320, 64),
}

ACCEPTED: Final = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
"""What Intel may say of a chip's security version. All but the first make the evidence worth less; the one that is not
here, `Revoked`, makes it worth nothing."""
GRACE_S_MAX: Final = 2 * 365 * 24 * 3_600
"""How old a security version may be that Intel calls out of date. Intel dates it by what it was good against; one of
March 2024 was current until the summer of 2025, so that whoever must renew has half a year to do so."""

_CODES: Final = (
    ("TCB status", "quote.tcb"),
    ("TCB too old", "quote.tcb"),
    ("expired", "quote.collateral_time"),
    ("in the future", "quote.collateral_time"),
    ("Signature is invalid for tcb_info", "quote.collateral_signature"),
    ("Signature is invalid for qe_identity", "quote.collateral_signature"),
    ("CertRevoked", "quote.revoked"),
    ("CRL", "quote.collateral"),
    ("Failed to decode", "quote.collateral"),
    ("Invalid TCB level", "quote.collateral"),
    ("component count mismatch", "quote.collateral"),
    ("Failed to parse", "quote.certificate"),
    ("Intel extension not found", "quote.certificate"),
    ("Failed to verify certificate chain", "quote.chain"),
    ("Unsupported QE Identity", "quote.collateral_platform"),
    ("TCB info in the collateral", "quote.collateral_platform"),
    ("Fmspc mismatch", "quote.collateral_platform"),
    ("Signature is invalid for qe_report", "quote.qe_signature"),
    ("QE report hash mismatch", "quote.qe_key"),
    ("QE ", "quote.qe_identity"),
    ("ISV enclave report signature is invalid", "quote.signature"),
    ("TDX module", "quote.seam"),
    ("No matching TCB level", "quote.tcb"),
)
"""What the library's sentences hold, in this version of it, and how that is called here; the first that fits."""


@dataclass(frozen=True, slots=True)
class Root:
    """A root that is believed, and what its word is worth: Intel's, or one of a test."""

    certificate: bytes
    trust: TrustClass


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote, read and not yet believed.

    Args:
        raw: its bytes.
        platform: `tdx` or `sgx`.
        version: of its form.
        fields: of the report, by name.
        chain: the chip's certificate, the authority's and the root's, as DER.
    """

    raw: bytes
    platform: str
    version: int
    fields: Mapping[str, bytes]
    chain: tuple[bytes, ...]


def check_library(version: str = dcap_qvl.__version__) -> None:
    """Check that the library is the one version that all validators have.

    Raises:
        Unavailable: `quote.library`.
    """
    if version != LIBRARY_VERSION:
        sentence = f"dcap-qvl {version} is installed; validators agree with {LIBRARY_VERSION} only: install that"
        raise Unavailable("quote.library", sentence)


def read(data: bytes) -> Quote:
    """Read a quote from a stranger.

    Raises:
        Unverified: `envelope.size`: cut off, too large, or something follows; `envelope.version`,
            `envelope.algorithm`, `envelope.vendor`, `envelope.body`, `envelope.signature`, `envelope.certificates`.
    """
    if len(data) > QUOTE_BYTES_MAX:
        refuse("envelope.size", f"a quote has at most {QUOTE_BYTES_MAX} bytes, not {len(data)}")
    size = size_of(data)
    if len(data) != size:
        refuse("envelope.size", f"the quote says that it has {size} bytes; there are {len(data)}")
    version = _number(data, 0, 2)
    start, length, places = _body(data)
    try:
        # Quoting enclaves end the text with a zero, as C does, or not.
        chain = pem.certificates(_certificates(data[start + length + 4 :], version).removesuffix(b"\0"), "the chain")
    except Malformed as error:
        refuse("envelope.certificates", error.message)
    if len(chain) != 3:
        refuse("envelope.certificates", f"a quote's chain is chip, authority and root; there are {len(chain)}")
    body = data[start : start + length]
    return Quote(
        raw=data,
        platform="sgx" if places is SGX_FIELDS else "tdx",
        version=version,
        fields={name: body[at : at + size] for name, (at, size) in places.items()},
        chain=chain,
    )


def size_of(data: bytes) -> int:
    """How many bytes the quote has that `data` begins with: drivers put it into a larger buffer.

    Raises:
        Unverified: as `read`.
    """
    start, length, _ = _body(data)
    end = start + length + 4
    if len(data) < end:
        refuse("envelope.size", f"a quote of this kind has more than {end} bytes, not {len(data)}")
    return end + _number(data, end - 4, 4)


def _body(data: bytes) -> tuple[int, int, Mapping[str, Place]]:
    """Where the report starts, how many bytes it has, and its fields."""
    if len(data) < HEADER_BYTES + 6:
        refuse("envelope.size", f"a quote has more than {HEADER_BYTES + 6} bytes, not {len(data)}")
    version, algorithm, tee = _number(data, 0, 2), _number(data, 2, 2), _number(data, 4, 4)
    if (version, tee) not in {(3, SGX), (4, TDX), (5, TDX)}:
        refuse("envelope.version", f"a quote of version {version} for a TEE of type {tee:#x} is not read")
    if algorithm != ECDSA_P256:
        refuse("envelope.algorithm", "a quote is signed by ECDSA over P-256 with SHA-256")
    if data[12:28] != VENDOR:
        refuse("envelope.vendor", "the quote is not of Intel's quoting enclave")
    match version:
        case 3:
            return HEADER_BYTES, 384, SGX_FIELDS
        case 4:
            return HEADER_BYTES, 584, TD_1_0_FIELDS
        case _:
            kind, size = _number(data, HEADER_BYTES, 2), _number(data, HEADER_BYTES + 2, 4)
            if (kind, size) not in {(TD_1_0, 584), (TD_1_5, 648)}:
                refuse("envelope.body", f"a report of type {kind} with {size} bytes is not read")
            return HEADER_BYTES + 6, size, TD_1_5_FIELDS if kind == TD_1_5 else TD_1_0_FIELDS


def _certificates(data: bytes, version: int) -> bytes:
    """What stands at the end of a signature's parts, which must fill it."""
    at = 128
    if version > 3:
        at += 6
        if _number(data, 128, 2) != QE_CERTIFICATION or _number(data, 130, 4) != len(data) - at:
            refuse("envelope.signature", "the signature does not end in the quoting enclave's certification")
    at += QE_REPORT_BYTES + 64
    if _number(data, at, 2) != QE_AUTHENTICATION_BYTES:
        refuse("envelope.signature", f"the quoting enclave adds {QE_AUTHENTICATION_BYTES} bytes to its key")
    at += 2 + QE_AUTHENTICATION_BYTES + 6
    if _number(data, at - 6, 2) != PCK_CHAIN or _number(data, at - 4, 4) != len(data) - at:
        refuse("envelope.signature", "the signature does not end in a chain of certificates")
    return data[at:]


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def verify(quote: Quote, parts: Sequence[bytes], root: Root, now_s: int, age_s_max: int = AGE_S_MAX) -> Claims:
    """What a quote proves.

    Whether the machine stands where its owner cannot open it is not checked: a bus that is listened to gives keys away.

    Args:
        quote: as `read` gives it.
        parts: Intel's word on the chip, as `collateral_of` takes it.
        root: the one that is believed.
        now_s: by which certificates and Intel's word must hold, Unix seconds.
        age_s_max: how old Intel's word may be.

    Raises:
        Unverified: `quote.debug`, `quote.attributes`, `quote.seam`, `quote.service_td`: what runs could be looked into,
            or is not run by Intel's module; `quote.root`, `quote.certificate`, `quote.chain`, `quote.revoked`;
            `quote.collateral` and `quote.collateral_…` (`age`, `time`, `signature`, `platform`); `quote.qe_identity`,
            `quote.qe_signature`, `quote.qe_key`: not Intel's quoting enclave; `quote.signature`; `quote.tcb`: a
            security version that Intel revoked, never knew, or has called out of date for long; `quote.refused`: what
            the library says otherwise.
    """
    if quote.platform == "sgx":
        _check_enclave(quote.fields)
    else:
        _check_machine(quote.fields)
    if quote.chain[-1] != root.certificate:
        refuse("quote.root", "the chain does not end at the root that is believed")
    path = _below_root(quote.chain)
    collateral = collateral_of(parts)
    if collateral.authority != quote.chain[1:]:
        refuse("quote.collateral", "the list of revoked chips is of another authority than the chip's")
    if any(len(chain) != 2 or chain[-1] != root.certificate for chain in collateral.signers):
        refuse("quote.collateral", "the chain of a statement of Intel's does not end at the root that is believed")
    check_age(collateral, now_s, age_s_max)
    serials = [each.serial for chain in (quote.chain, *collateral.signers) for each in _below_root(chain)]
    said = _believed(quote, collateral, root, now_s, serials)
    status = as_text(_inner(said, "tcb", "status"), "the status")
    if _bytes(_inner(said, "platform", "pck", "pce_id")) != collateral.engine:
        refuse("quote.collateral_platform", "the statement on versions is of chips with another provisioning engine")
    return Claims(
        platform=quote.platform,
        trust=root.trust if status == "UpToDate" else min(root.trust, TrustClass.HARDWARE_DEGRADED),
        time_ms=None,
        debug=False,
        measurements={name: value for name, value in quote.fields.items() if name != "report_data"},
        versions={
            "tcb_evaluation_number": min(
                as_integer(_inner(said, "tcb", "eval_data_number"), "the number of the platform's evaluation"),
                as_integer(_inner(said, "qe", "tcb_eval_data_number"), "the number of the enclave's evaluation"),
            ),
            "pce_svn": as_integer(_inner(said, "platform", "pck", "pce_svn"), "a version"),
            "qe_svn": as_integer(_inner(said, "qe", "report", "isv_svn"), "a version"),
            **_versions(quote),
        },
        data=quote.fields["report_data"],
        nonce=None,
        key=None,
        module=_bytes(_inner(said, "platform", "pck", "ppid")).hex(),
        certificates=tuple((each.issuer, each.serial) for each in path),
    )


def _check_machine(fields: Mapping[str, bytes]) -> None:
    if fields["td_attributes"][0] & TD_DEBUG:
        refuse("quote.debug", "the machine was started for debugging: its host can look into it")
    # Nothing else: it may not be moved, counted by its host, or use what later chips let it.
    if fields["td_attributes"] != SEPT_VE_DISABLE:
        refuse("quote.attributes", f"the machine has the attributes {fields['td_attributes'].hex()}")
    if any(fields["mr_signer_seam"]) or any(fields["seam_attributes"]):
        refuse("quote.seam", "the machine is run by a module that is not Intel's")
    if any(fields.get("mr_service_td", b"")):
        refuse("quote.service_td", "another machine has a say over this one")


def _check_enclave(fields: Mapping[str, bytes]) -> None:
    if fields["attributes"][0] & SGX_DEBUG:
        refuse("quote.debug", "the enclave was started for debugging: its host can look into it")
    if not fields["attributes"][0] & SGX_INITIALISED:
        refuse("quote.attributes", "the enclave was never finished")


def _versions(quote: Quote) -> Mapping[str, int]:
    if quote.platform == "sgx":
        return {"isv_svn": _number(quote.fields["isv_svn"], 0, 2)}
    module_svn, module = quote.fields["tee_tcb_svn"][:2]
    return {"module": module, "module_svn": module_svn}


def _below_root(chain: Sequence[bytes]) -> list[Certificate]:
    try:
        found = [read_certificate(each, "a certificate of Intel's") for each in chain[:-1]]
    except Malformed as error:
        refuse("quote.certificate", error.message)
    if not all(each.serial for each in found):
        refuse("quote.certificate", "a certificate's serial number is positive")
    return found


def _believed(quote: Quote, collateral: Collateral, root: Root, now_s: int, serials: Sequence[int]) -> Json:
    """What the library says of a quote that it believes."""
    policy = dcap_qvl.QuotePolicy.strict(now_s)
    # Clouds' machines of several chips have their keys made anew when a chip is added, and run two threads on a core.
    policy = policy.allow_dynamic_platform(True).allow_cached_keys(True).allow_smt(True)
    policy = policy.platform_grace_period(GRACE_S_MAX).qe_grace_period(GRACE_S_MAX)
    for status in ACCEPTED:
        policy = policy.allow_status(status)
    try:
        verifier = dcap_qvl.QuoteVerifier(root.certificate)
        found = verifier.verify_with_policy(quote.raw, collateral.library, now_s, policy)
    except ValueError as error:
        sentence = str(error)[:200]
        code = next((code for part, code in _CODES if part in sentence), "quote.refused")
        refuse("quote.revoked" if code == "quote.chain" and _are_listed(serials, collateral) else code, sentence)
    except BaseException as error:
        # A panic of Rust's is no Exception. None is known; one found by a stranger must not stop every validator.
        if type(error).__name__ != "PanicException":
            raise
        refuse("quote.refused", "the library broke off over the quote or its collateral")
    return decode(found.to_json().encode())


def _are_listed(serials: Sequence[int], collateral: Collateral) -> bool:
    """Whether a list of revoked certificates holds one of the numbers: its chain is refused anyway; this says why."""
    numbers = (serial.to_bytes(serial.bit_length() // 8 + 1, "big") for serial in serials)
    return any(bytes((2, len(number))) + number in revoked for number in numbers for revoked in collateral.revocations)


def _bytes(value: Json) -> bytes:
    """Bytes as the library writes them: a list of numbers."""
    return bytes(as_integer(each, "a byte", high=255) for each in as_list(value, "bytes", items_max=PPID_BYTES))


def _inner(value: Json, *names: str) -> Json:
    for name in names:
        value = as_object(value, "what the library says").get(name)
    return value
