"""AMD SEV-SNP: attestation reports, from bytes to claims.

A report has 1 184 bytes, signed by a key of the chip (VCEK), whose certificate AMD issues through a chain of two.
Layout: AMD, "SEV Secure Nested Paging Firmware ABI Specification" (56860), table "ATTESTATION_REPORT". Reports tell no
time; only what their user had signed says how old they are.

Reports of Milan are refused, whoever's root is believed: its chip keys can be drawn out by software (arXiv 2605.12990).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core import der
from paraph.core.digest import sha256
from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse
from paraph.proofs.quotes.ecdsa import Signed
from paraph.proofs.quotes.rsa import PSS_SHA384, RSA
from paraph.proofs.quotes.x509 import P384, Certificate, certificate_of, check_path

REPORT_BYTES: Final = 1_184
CERTIFICATE_BYTES_MAX: Final = 2_048
VERSIONS: Final = range(2, 6)
SIGNED_BYTES: Final = 0x2A0
ECDSA_P384: Final = 1
NUMBER_BYTES: Final = 72
"""Of r and of s, the lowest byte first; a number of P-384 has 48."""

POLICY_ALWAYS: Final = 1 << 17
POLICY_MIGRATION: Final = 1 << 18
POLICY_DEBUG: Final = 1 << 19
FLAG_MASKED: Final = 1 << 1
ALIASES_CHECKED: Final = 1 << 5
"""Of the platform's information: memory was searched for addresses that mean the same place (BadRAM)."""

HARDWARE_ID: Final = "1.3.6.1.4.1.3704.1.4"
MILAN_ROOT: Final = bytes.fromhex("69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd")
"""SHA-256 of Milan's root certificate."""


@dataclass(frozen=True, slots=True)
class Product:
    """A line of chips.

    Args:
        versions: where each part's security version stands in the eight bytes of a TCB version.
        oids: and in which extension of the chip's certificate.
        chip_bytes: how many bytes its chips' identifiers have.
    """

    versions: Mapping[str, int]
    oids: Mapping[str, str]
    chip_bytes: int


_OIDS: Final = {
    "bootloader": "1.3.6.1.4.1.3704.1.3.1",
    "tee": "1.3.6.1.4.1.3704.1.3.2",
    "snp": "1.3.6.1.4.1.3704.1.3.3",
    "microcode": "1.3.6.1.4.1.3704.1.3.8",
}
GENOA: Final = Product({"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}, _OIDS, 64)
TURIN: Final = Product(
    {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}, _OIDS | {"fmc": "1.3.6.1.4.1.3704.1.3.9"}, 8
)


@dataclass(frozen=True, slots=True)
class Root:
    """A root that is believed: its certificate, what its word is worth, and of which chips it is."""

    certificate: bytes
    trust: TrustClass
    product: Product


@dataclass(frozen=True, slots=True)
class Report:
    """A report, read and not yet believed."""

    signed: bytes
    signature: bytes
    policy: int
    vmpl: int
    platform: int
    flags: int
    data: bytes
    measurements: Mapping[str, bytes]
    versions: bytes
    chip: bytes


def read(data: bytes) -> Report:
    """Read a report from a stranger.

    Raises:
        Unverified: `envelope.size`, `envelope.version`, `envelope.algorithm`, `envelope.signature`.
    """
    if len(data) != REPORT_BYTES:
        refuse("envelope.size", f"a report of SEV-SNP has {REPORT_BYTES} bytes, not {len(data)}")
    version = _number(data, 0x00, 4)
    if version not in VERSIONS:
        refuse("envelope.version", f"a report of version {version} is not read, but those of {VERSIONS.start} to 5")
    if _number(data, 0x34, 4) != ECDSA_P384:
        refuse("envelope.algorithm", "a report is signed by ECDSA over P-384 with SHA-384")
    r, s = (data[start : start + NUMBER_BYTES] for start in (SIGNED_BYTES, SIGNED_BYTES + NUMBER_BYTES))
    if any(r[48:] + s[48:] + data[SIGNED_BYTES + 2 * NUMBER_BYTES :]):
        refuse("envelope.signature", "what follows the two numbers of a report's signature is zero")
    return Report(
        signed=data[:SIGNED_BYTES],
        signature=r[47::-1] + s[47::-1],
        policy=_number(data, 0x08, 8),
        vmpl=_number(data, 0x30, 4),
        platform=_number(data, 0x40, 8),
        flags=_number(data, 0x48, 4),
        data=data[0x50:0x90],
        measurements={
            "measurement": data[0x90:0xC0],
            "host_data": data[0xC0:0xE0],
            "id_key": data[0xE0:0x110],
            "author_key": data[0x110:0x140],
            "policy": data[0x08:0x10],
            "guest_version": data[0x04:0x08],
        },
        versions=data[0x180:0x188],
        chip=data[0x1A0:0x1E0],
    )


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def verify(report: Report, chain: Sequence[bytes], root: Root, now_s: int, issued: Signed, signed: Signed) -> Claims:
    """What a report proves.

    Args:
        report: as `read` gives it.
        chain: the root, the authority and the chip's certificate, as DER.
        root: the one that is believed.
        now_s: by which the certificates must hold, Unix seconds.
        issued: checks RSA-PSS, by which the certificates are signed.
        signed: checks ECDSA over P-384, by which the report is signed.

    Raises:
        Unverified: `quote.chain.size`, `quote.root`, `quote.milan`, `quote.certificate`, `quote.chain.…`;
            `quote.signer`: not signed by the chip's own key; `quote.chip`: another chip's certificate, or its name is
            masked; `quote.version`: another security version than the certificate's; `quote.signature`; `quote.policy`,
            `quote.migration`, `quote.level`, `quote.aliases`: the guest could be looked into or moved.
    """
    if len(chain) != 3:
        refuse("quote.chain.size", f"a report's chain is root, authority and chip; there are {len(chain)}")
    if chain[0] != root.certificate:
        refuse("quote.root", "the chain does not begin at the root that is believed")
    if sha256(root.certificate) == MILAN_ROOT:
        refuse("quote.milan", "keys of Milan's chips can be drawn out by software: its reports prove nothing")
    if any(len(each) > CERTIFICATE_BYTES_MAX for each in chain):
        refuse("quote.certificate", f"a certificate of AMD's has at most {CERTIFICATE_BYTES_MAX} bytes")
    path = [certificate_of(data, place, PSS_SHA384, P384 if place == 2 else RSA) for place, data in enumerate(chain)]
    try:
        check_path(path, now_s, issued, leaf_usage=None)
        _check_chip(report, path[-1], root.product)
    except Malformed as error:
        refuse("quote.certificate", error.message)
    if not signed(path[-1].key, report.signed, report.signature):
        refuse("quote.signature", "the report is not signed by the chip's key")
    _check_guest(report)
    return Claims(
        platform="snp",
        trust=root.trust,
        time_ms=None,
        debug=bool(report.policy & POLICY_DEBUG),
        measurements=report.measurements,
        versions={name: report.versions[place] for name, place in root.product.versions.items()},
        data=report.data,
        nonce=None,
        key=None,
        module=report.chip.hex(),
        certificates=tuple((each.issuer, each.serial) for each in path[1:-1]),
    )


def _check_chip(report: Report, chip: Certificate, product: Product) -> None:
    """Check that the certificate is of the report's chip, at the report's versions. Raises `Malformed` on odd ones."""
    if report.flags >> 2 & 7:
        refuse("quote.signer", "the report is signed by a key that a cloud loaded, not by the chip's own")
    name = report.chip[: product.chip_bytes]
    if report.flags & FLAG_MASKED or any(report.chip[product.chip_bytes :]) or not any(name):
        refuse("quote.chip", "the report does not name its chip")
    found = chip.extensions.get(HARDWARE_ID)
    if found is None or found.value != name:
        refuse("quote.chip", "the certificate is of another chip")
    for part, place in product.versions.items():
        stated = chip.extensions.get(product.oids[part])
        if stated is None or _version(stated.value, part) != report.versions[place]:
            refuse("quote.version", f"the certificate is for another security version of the {part}")


def _version(value: bytes, part: str) -> int:
    return der.integer(der.read(value, part), part)


def _check_guest(report: Report) -> None:
    if not report.policy & POLICY_ALWAYS:
        refuse("quote.policy", "the guest's policy lacks the bit that is always set")
    if report.policy & POLICY_MIGRATION:
        refuse("quote.migration", "the guest may be moved by an agent that could read it")
    if report.vmpl:
        refuse("quote.level", f"the report was asked for at privilege level {report.vmpl}, not 0")
    if not report.platform & ALIASES_CHECKED:
        refuse("quote.aliases", "the platform did not check its memory for aliases (BadRAM)")
