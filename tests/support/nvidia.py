"""A maker of GPUs and switches with a root of its own: every part of a report and of its chain can be made wrong."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.der import node
from tests.support.nitro import NOW_S, Place, key, named, usage

from paraph.proofs.quotes.nvidia import DeviceEvidence

NONCE: Final = bytes(range(32))
FIRMWARE: Final = b"f" * 48
SHA384_OID: Final = bytes.fromhex("0609608648016503040202")
SWITCH_NAMES: Final = tuple(b"switch-%d" % place for place in range(3))
MEASUREMENTS: Final[Mapping[int, bytes]] = {index: bytes((index,)) * 48 for index in range(1, 65)}
GPU_FIELDS: Final[Mapping[int, bytes]] = {
    3: b"590.12\0",
    6: bytes.fromhex("005e009601000000"),
    11: b"\x55",
    15: b"882\0\0",
    17: b"1010\0",
    18: b"0200\0",
    20: FIRMWARE,
    21: b"\x55",
    77: b"not known here",
}
SWITCH_FIELDS: Final[Mapping[int, bytes]] = {6: b"96.10.55.00.01", 22: SWITCH_NAMES[0], 25: b"\1\0"}
ROOT: Final = Place("device.root.sim", before_s=10**8, after_s=10**8)


@cache
def root() -> bytes:
    """The root's certificate."""
    return ROOT.made(ROOT)


def composite(firmware: bytes = FIRMWARE) -> tuple[str, bytes]:
    """How Hopper's certificates name firmware."""
    return "2.23.133.5.4.1", node(0x30, b"\2\1\1", node(0x30), node(0x30, SHA384_OID, node(0x04, firmware)))


def tcb_info(*firmware: bytes) -> tuple[str, bytes]:
    """How Blackwell's do: a list within a list."""
    digests = (node(0x30, SHA384_OID, node(0x04, each)) for each in firmware)
    return "2.23.133.5.4.1.1", node(0x30, node(0x80, b"NVIDIA"), node(0xA6, *digests))


@dataclass(frozen=True)
class Made:
    """A device's evidence to be made."""

    kind: str = "gpu"
    product: str = "GH100"
    part: str = "GSP"
    device: str = "one"
    nonce: bytes = NONCE
    measurements: Mapping[int, bytes] = field(default_factory=lambda: dict(MEASUREMENTS))
    fields: Mapping[int, bytes] = field(default_factory=lambda: dict(GPU_FIELDS))
    dice: tuple[str, bytes] | None = field(default_factory=composite)
    signer: str = ""
    request: bytes = bytes.fromhex("11e001ff")
    slot: bytes = b"\0"
    response: bytes = bytes.fromhex("11600000")
    blocks: bytes | None = None
    count: int | None = None
    size: int | None = None
    opaque: bytes | None = None

    def but(self, **changes: Any) -> "Made":
        """The same with other parts."""
        return replace(self, **changes)

    def saying(self, fields: Mapping[int, bytes | None]) -> "Made":
        """The same with other fields; None leaves one out."""
        found = {**self.fields, **fields}
        return replace(self, fields={kind: value for kind, value in found.items() if value is not None})

    @property
    def identity(self) -> str:
        """The name of the key that the device was made with."""
        return f"{self.product} {self.device} BROM"

    def chain(self) -> tuple[bytes, ...]:
        """The certificates, root first."""
        product = Place(f"{self.product} Identity", serial=11)
        factory = Place(f"{self.product} Provisioner", serial=12)
        identity = Place(self.identity, serial=13)
        authorities = (product.made(ROOT), factory.made(product), identity.made(factory))
        return (root(), *authorities, self.leaf())

    def leaf(self) -> bytes:
        """The certificate of the key that signs."""
        start = datetime.fromtimestamp(NOW_S, UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(f"{self.product} A01 {self.part} FMC LF"))
            .issuer_name(named(self.identity))
            .not_valid_before(start - timedelta(hours=1))
            .not_valid_after(start + timedelta(hours=1))
            .serial_number(14)
            .public_key(key(f"{self.device} leaf").public_key())
            .add_extension(usage("evidence"), critical=True)
        )
        if self.dice is not None:
            kind, value = self.dice
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(kind), value), critical=False
            )
        return builder.sign(key(self.identity), SHA384(), ecdsa_deterministic=True).public_bytes(Encoding.DER)

    def report(self) -> bytes:
        """The request and the response."""
        blocks = self.blocks
        if blocks is None:
            head = bytes.fromhex("013300013000")
            blocks = b"".join(bytes((index,)) + head + value for index, value in self.measurements.items())
        count = len(blocks) // 55 if self.count is None else self.count
        size = len(blocks) if self.size is None else self.size
        opaque = self.opaque
        if opaque is None:
            opaque = b"".join(
                kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value
                for kind, value in self.fields.items()
            )
        response = self.response + bytes((count,)) + size.to_bytes(3, "little") + blocks + b"d" * 32
        said = self.request + self.nonce + self.slot + response + len(opaque).to_bytes(2, "little") + opaque
        signer = key(self.signer or f"{self.device} leaf")
        r, s = decode_dss_signature(signer.sign(said, ec.ECDSA(SHA384(), deterministic_signing=True)))
        return said + r.to_bytes(48, "big") + s.to_bytes(48, "big")

    def made(self) -> bytes:
        """The evidence, encoded."""
        return DeviceEvidence(self.kind, self.report(), self.chain()).encode()


GPU: Final = Made()
SWITCH: Final = Made("switch", "LS_10", "FSP", "switch", fields=dict(SWITCH_FIELDS))


def recorded(folder: Path) -> dict[str, bytes]:
    """Evidence that real devices gave, by name: of a file with several devices, each."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("*evidence*.json")) + sorted(folder.glob("multi*.json")):
        for place, each in enumerate(json.loads(path.read_bytes())):
            kind = "switch" if each["arch"] == "LS10" else "gpu"
            chain = pem_chain(base64.b64decode(each["certificate"]))
            found[f"{path.stem} {place}"] = DeviceEvidence(kind, base64.b64decode(each["evidence"]), chain).encode()
    for path in sorted(folder.glob("*AttestationReport*.txt")):
        of_chain = re.sub("AttestationReport.*", "CertChain.txt", path.name)
        data = bytes.fromhex(path.read_text().strip())
        found[path.stem] = DeviceEvidence("gpu", data, pem_chain((folder / of_chain).read_bytes())).encode()
    return found


def pem_chain(pem: bytes) -> tuple[bytes, ...]:
    """A chain in PEM, the leaf first, as DER, the root first."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", pem, re.DOTALL)
    return tuple(base64.b64decode(each) for each in reversed(blocks))
