"""NVIDIA's GPUs and switches in confidential mode: what each shows of itself, from bytes to claims.

A device answers a question of SPDM 1.1 (DMTF DSP0274, GET_MEASUREMENTS) with up to 64 digests of its firmware, driver
and settings, signed by a key that it derived from them, whose certificate ends at the one root that NVIDIA publishes.
What follows the digests is NVIDIA's own: types and lengths, read off recorded reports and its open verifiers.

Nothing in a report says in which machine the device sits: only its nonce, and the enclave's own measured code, bind it
to an enclave. Nor does a report say that the device lets developers look in: such a device measures otherwise, so its
measurements must be compared with golden values, all of them. Not looked at here: OCSP, whose answers a caller brings
as revoked certificates, and the tokens of NVIDIA's service or of a verifier in the guest, which are no evidence.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core import der
from paraph.core.digest import sha256
from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.proofs.quotes.claims import TrustClass, refuse
from paraph.proofs.quotes.ecdsa import Signed, raw_signature
from paraph.proofs.quotes.x509 import ECDSA_SHA384, P384, Certificate, certificate_of, check_path
from paraph.proofs.records import Record

GPU, SWITCH = "gpu", "switch"
EVIDENCE_BYTES_MAX: Final = 16 * 1_024
"""A report of 4 to 5 kilobytes, and five certificates of less than one."""
REPORT_BYTES_MAX: Final = 8 * 1_024
CERTIFICATE_BYTES_MAX: Final = 1_024
CHAIN: Final = 5
"""Certificates: the root, a product's, a factory's, the device's identity, and the key that signs, for its firmware."""

REQUEST: Final = bytes.fromhex("11e001ff")
"""SPDM 1.1, GET_MEASUREMENTS, signed, all of them; the nonce follows, and the slot of the certificates, 0."""
RESPONSE: Final = bytes.fromhex("11600000")
REQUEST_BYTES: Final = 37
NONCE_BYTES: Final = 32
BLOCK_HEAD: Final = bytes.fromhex("013300013000")
"""After a block's index: DMTF's form, 51 bytes, a digest of firmware, of 48 bytes."""
MEASUREMENT_BYTES: Final = 48
BLOCK_BYTES: Final = 1 + len(BLOCK_HEAD) + MEASUREMENT_BYTES
SIGNATURE_BYTES: Final = 96

DRIVER, VBIOS, NVDEC0, CHIP_SKU, PROJECT, PROJECT_SKU, FWID = 3, 6, 11, 15, 17, 18, 20
PROTECTED_PCIE, SWITCHES, POSITION_LOCK, FEATURES = 21, 22, 25, 36
"""Types of what follows the digests. 22 is in a GPU's report the switches at its links, in a switch's its own name."""
ENABLED, DISABLED = b"\xaa", b"\x55"
NVDEC0_BLOCK: Final = 36
"""Measured where the video decoder is on, and without meaning where it is off."""
DEVICE_NAME_BYTES: Final = 8
FEATURES_PROTECTED_PCIE: Final = 2
DICE_COMPOSITE, DICE_TCB = "2.23.133.5.4.1", "2.23.133.5.4.1.1"
"""Extensions that name the firmware that a key was derived for: Hopper's, and Blackwell's (TCG DICE)."""


@dataclass(frozen=True, slots=True)
class DeviceEvidence(Record):
    """Evidence of one device, not yet believed.

    Args:
        kind: `gpu` or `switch`.
        report: the request of SPDM and its response, one after the other.
        certificates: the chain as DER, root first.
    """

    kind: str
    report: bytes
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Root:
    """A root that is believed: its certificate (DER), whole, and what its word is worth."""

    certificate: bytes
    trust: TrustClass


@dataclass(frozen=True, slots=True)
class Device:
    """A device's evidence, read and not yet believed.

    Args:
        kind: `gpu` or `switch`.
        signed: what the signature is over.
        signature: as r ‖ s.
        nonce: what it was asked to include.
        measurements: by index, from 1.
        fields: what NVIDIA adds, by type; unknown ones are kept.
        certificates: root first.
    """

    kind: str
    signed: bytes
    signature: bytes
    nonce: bytes
    measurements: Mapping[int, bytes]
    fields: Mapping[int, bytes]
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DeviceClaims:
    """What a device's evidence proves.

    Args:
        kind: `gpu` or `switch`.
        trust: how much that is worth.
        product: the chip, as its certificate names it: `GH100`, `GB100`, `LS10`.
        identity: digest of the key that the chip was made with: two of the same are the same device.
        firmware: digest of the firmware that the signing key was derived for.
        driver: its version; empty for a switch.
        vbios: the version of its firmware.
        board: project, SKU and chip's SKU, by which NVIDIA names golden values; empty for a switch.
        measurements: by index, from 1.
        ignored: indices whose measurement means nothing, by the device's word.
        protected_pcie: whether its links to switches are open, so that the switches must be as good as it is.
        switches: names of the switches at its links; for a switch its own.
        locked: for a switch, whether its settings are locked.
        certificates: issuer (DER) and serial number of each certificate below the root, for revocation.
    """

    kind: str
    trust: TrustClass
    product: str
    identity: Digest
    firmware: bytes
    driver: str
    vbios: str
    board: str
    measurements: Mapping[int, bytes]
    ignored: frozenset[int]
    protected_pcie: bool
    switches: frozenset[bytes]
    locked: bool
    certificates: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Golden:
    """What devices of one product measure with one driver and firmware, as NVIDIA states it and governance approved.

    Args:
        product: as `DeviceClaims.product`.
        driver: its version; empty for a switch.
        vbios: the version of the firmware.
        values: by index, from 1, each digest that is right there.

    Raises:
        Malformed: `golden.empty`: nothing is expected, at all or at an index.
    """

    product: str
    driver: str
    vbios: str
    values: Mapping[int, frozenset[bytes]]

    def __post_init__(self) -> None:
        if not self.values or not all(self.values.values()):
            raise Malformed("golden.empty", "golden values name at least one index, and a digest for each")


@dataclass(frozen=True, slots=True)
class Expected:
    """What devices an enclave must have, all of them and no others.

    Args:
        gpus, switches: how many.
        golden: what is approved.
        revoked_certificates: issuer (DER) and serial number.
    """

    gpus: int
    switches: int
    golden: tuple[Golden, ...]
    revoked_certificates: frozenset[tuple[bytes, int]] = frozenset()


def read(data: bytes) -> Device:
    """Read a device's evidence (`DeviceEvidence`, encoded) from a stranger.

    Raises:
        Unverified: `envelope.size`, `envelope.device`, `envelope.kind`, `envelope.certificate`, `envelope.request`,
            `envelope.response`, `envelope.measurements`, `envelope.opaque`.
    """
    if not 0 < len(data) <= EVIDENCE_BYTES_MAX:
        refuse("envelope.size", f"evidence of a device has 1 to {EVIDENCE_BYTES_MAX} bytes, not {len(data)}")
    try:
        found = DeviceEvidence.decode(data)
    except Malformed as error:
        refuse("envelope.device", error.message)
    if found.kind not in (GPU, SWITCH):
        refuse("envelope.kind", f"a device is a {GPU} or a {SWITCH}, not {found.kind[:40]!a}")
    if len(found.report) > REPORT_BYTES_MAX:
        refuse("envelope.size", f"a device's report has at most {REPORT_BYTES_MAX} bytes, not {len(found.report)}")
    if len(found.certificates) != CHAIN or max(map(len, found.certificates)) > CERTIFICATE_BYTES_MAX:
        refuse("envelope.certificate", f"a device has {CHAIN} certificates of at most {CERTIFICATE_BYTES_MAX} bytes")
    return _device(found)


def _device(found: DeviceEvidence) -> Device:
    report = found.report
    request, head = report[:REQUEST_BYTES], report[REQUEST_BYTES : REQUEST_BYTES + 8]
    if request[:4] != REQUEST or request[36:] != b"\0":
        refuse("envelope.request", "a report begins with the request for all measurements, signed")
    if len(head) != 8 or head[:4] != RESPONSE:
        refuse("envelope.response", "what follows the request is no response with measurements of slot 0")
    count, size = head[4], int.from_bytes(head[5:8], "little")
    begin = REQUEST_BYTES + 8
    blocks = report[begin : begin + size]
    if not count or size != count * BLOCK_BYTES or len(blocks) != size:
        refuse("envelope.measurements", f"{count} measurements have not {size} bytes, or are cut off")
    # The device's own nonce stands between.
    at = begin + size + NONCE_BYTES
    opaque_size = int.from_bytes(report[at : at + 2], "little")
    end = at + 2 + opaque_size
    if end + SIGNATURE_BYTES != len(report):
        refuse("envelope.response", f"{opaque_size} bytes of NVIDIA's and a signature do not end where the report does")
    return Device(
        kind=found.kind,
        signed=report[:end],
        signature=report[end:],
        nonce=request[4:36],
        measurements=_measurements(blocks),
        fields=_fields(report[at + 2 : end]),
        certificates=found.certificates,
    )


def _measurements(blocks: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for at in range(0, len(blocks), BLOCK_BYTES):
        index, head = blocks[at], blocks[at + 1 : at + 1 + len(BLOCK_HEAD)]
        if head != BLOCK_HEAD:
            refuse("envelope.measurements", f"the measurement {index} is no digest of {MEASUREMENT_BYTES} bytes")
        if not index or index in found:
            refuse("envelope.measurements", f"there are two measurements {index}, or it is no index")
        found[index] = blocks[at + 1 + len(BLOCK_HEAD) : at + BLOCK_BYTES]
    return found


def _fields(opaque: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(opaque):
        kind, size = (int.from_bytes(opaque[place : place + 2], "little") for place in (at, at + 2))
        at += 4 + size
        if at > len(opaque) or kind in found:
            refuse("envelope.opaque", f"the field {kind} is cut off, or there are two of it")
        found[kind] = opaque[at - size : at]
    return found


def verify(device: Device, root: Root, nonce: bytes, now_s: int, signed: Signed) -> DeviceClaims:
    """What a device's evidence proves; what it measures is not judged (`check_golden`).

    Args:
        device: as `read` gives it.
        root: the one that is believed.
        nonce: what the device was asked to include: `binding.device_nonce` of the enclave's keys.
        now_s: by which its certificates must hold, Unix seconds.
        signed: checks ECDSA over P-384 and SHA-384, signatures as r ‖ s.

    Raises:
        Unverified: `quote.root`, `quote.certificate`, `quote.chain.…`; `quote.signature`; `quote.nonce`: it answers
            another question; `quote.firmware`: the key was derived for other firmware; `quote.fields`: NVIDIA's part
            lacks something, or has it in no known form.
    """
    if device.certificates[0] != root.certificate:
        refuse("quote.root", "the device's chain does not begin at the root that is believed")
    path = [certificate_of(each, place, (ECDSA_SHA384,), P384) for place, each in enumerate(device.certificates)]
    try:
        check_path(path, now_s, lambda key, message, signature: signed(key, message, raw_signature(signature, 48)))
        firmware = _firmware(path[-1])
    except Malformed as error:
        refuse("quote.certificate", error.message)
    if not signed(path[-1].key, device.signed, device.signature):
        refuse("quote.signature", "the report is not signed by the device's key")
    if device.nonce != nonce:
        refuse("quote.nonce", "the device was asked another question: its nonce is another")
    if device.fields.get(FWID, firmware) != firmware:
        refuse("quote.firmware", "the report is of other firmware than the device's certificate")
    gpu = device.kind == GPU
    protected_pcie = gpu and _protected_pcie(device.fields)
    return DeviceClaims(
        kind=device.kind,
        trust=root.trust,
        product=_product(path[-1], gpu=gpu),
        identity=sha256(path[-2].key),
        firmware=firmware,
        driver=_text(device.fields, DRIVER) if gpu else "",
        vbios=_vbios(device.fields) if gpu else _text(device.fields, VBIOS),
        board="_".join(_text(device.fields, kind) for kind in (PROJECT, PROJECT_SKU, CHIP_SKU)) if gpu else "",
        measurements=device.measurements,
        ignored=_ignored(device.fields) if gpu else frozenset(),
        protected_pcie=protected_pcie,
        switches=_switches(device.fields) if protected_pcie or not gpu else frozenset(),
        locked=not gpu and device.fields.get(POSITION_LOCK) == b"\1\0",
        certificates=tuple((each.issuer, each.serial) for each in path[1:]),
    )


def _firmware(leaf: Certificate) -> bytes:
    """The firmware that the leaf's key was derived for. Raises `Malformed` where the certificate does not say."""
    what = "the firmware's digest"
    composite, tcb = leaf.extensions.get(DICE_COMPOSITE), leaf.extensions.get(DICE_TCB)
    if composite is not None:
        pair = der.sequence(der.read(composite.value, what), what)[-1:]
    elif tcb is not None:
        lists = [each for each in der.sequence(der.read(tcb.value, what), what) if each.tag == der.context(6)]
        pair = [pair for each in lists for pair in der.parts(each.content, what)][:1]
    else:
        pair = []
    parts = [part for each in pair for part in der.sequence(each, what)]
    if len(parts) != 2 or der.oid(parts[0], what) != SHA384 or len(parts[1].content) != MEASUREMENT_BYTES:
        raise Malformed("x509.extension", "the device's certificate does not say for which firmware it is")
    return parts[1].expect(der.OCTET_STRING, what)


SHA384: Final = "2.16.840.1.101.3.4.2.2"


def _product(leaf: Certificate, *, gpu: bool) -> str:
    words = " ".join(leaf.common_names).split(" ")
    # The part of the chip that signs: of a GPU its system processor, of a switch its security processor.
    if words[2:] != ["GSP" if gpu else "FSP", "FMC", "LF"]:
        refuse("quote.kind", f"the certificate is not of a {GPU if gpu else SWITCH}'s key, but of {' '.join(words)!a}")
    # "LS_10" is spelt LS10 everywhere else.
    return words[0].replace("_", "")


def _protected_pcie(fields: Mapping[int, bytes]) -> bool:
    said = fields.get(PROTECTED_PCIE, DISABLED)
    features = fields.get(FEATURES)
    if said not in (ENABLED, DISABLED):
        refuse("quote.fields", "the report says neither that PCIe is protected nor that it is not")
    if features is not None and (int.from_bytes(features, "little") == FEATURES_PROTECTED_PCIE) != (said == ENABLED):
        refuse("quote.fields", "the report says two things of PCIe's protection")
    return said == ENABLED


def _ignored(fields: Mapping[int, bytes]) -> frozenset[int]:
    said = fields.get(NVDEC0)
    if said not in (ENABLED, DISABLED):
        refuse("quote.fields", "the report does not say whether the video decoder is on")
    return frozenset({NVDEC0_BLOCK}) if said == DISABLED else frozenset()


def _switches(fields: Mapping[int, bytes]) -> frozenset[bytes]:
    data = fields.get(SWITCHES, b"")
    size = DEVICE_NAME_BYTES
    names = frozenset(data[at : at + size] for at in range(0, len(data), size)) - {bytes(size)}
    if len(data) % size or not names:
        refuse("quote.fields", "the report names no switches, or not by eight bytes each")
    return names


def _text(fields: Mapping[int, bytes], kind: int) -> str:
    data = fields.get(kind, b"").rstrip(b"\0")
    if not data or any(not 0x21 <= byte <= 0x7E for byte in data):
        refuse("quote.fields", f"the report's field {kind} is no text")
    return data.decode("ascii")


def _vbios(fields: Mapping[int, bytes]) -> str:
    """As NVIDIA writes it, `96.00.5E.00.01`: four bytes, the lowest first, and one more."""
    data = fields.get(VBIOS, b"")
    if len(data) != 8 or any(data[5:]):
        refuse("quote.fields", "the report's version of the firmware is not five bytes and three zeros")
    return ".".join(f"{byte:02X}" for byte in (*data[3::-1], data[4]))


def check_golden(claims: DeviceClaims, golden: Collection[Golden]) -> Golden:
    """Check what a device measures; returns the golden values that it has.

    Raises:
        Unverified: `policy.device_version`: no values are known for its driver and firmware;
            `policy.device_measurement`: it measures otherwise.
    """
    named = (claims.product, claims.driver, claims.vbios)
    known = [each for each in golden if (each.product, each.driver, each.vbios) == named]
    if not known:
        refuse("policy.device_version", f"no golden values are approved for {' '.join(filter(None, named))}")
    odd = [_odd(claims, each) for each in known]
    if all(odd):
        refuse("policy.device_measurement", f"{' '.join(filter(None, named))} measures otherwise at {odd[0]}")
    return known[odd.index([])]


def _odd(claims: DeviceClaims, golden: Golden) -> list[int]:
    return [
        index
        for index in sorted(golden.values)
        if index not in claims.ignored and claims.measurements.get(index) not in golden.values[index]
    ]


def check_devices(
    devices: Sequence[bytes], root: Root, expected: Expected, nonce: bytes, now_s: int, signed: Signed
) -> tuple[DeviceClaims, ...]:
    """Check all devices of an enclave, which are to be there exactly; returns what each proves, in their order.

    Args:
        devices: the evidence of each.
        root: the one that is believed.
        expected: how many there are, what they measure, and what is revoked.
        nonce: `binding.device_nonce` of the enclave's keys: evidence made for others has another.
        now_s: by which certificates must hold, Unix seconds.
        signed: checks ECDSA over P-384 and SHA-384, signatures as r ‖ s.

    Raises:
        Unverified: what `read`, `verify` and `check_golden` raise; `policy.revoked_certificate`; `policy.device_twice`;
            `policy.device_count`; `policy.device_switch`: a switch at a link is not shown, or its settings are open.
    """
    # Counted before anything is verified, so that a flood of evidence costs nothing.
    if len(devices) != expected.gpus + expected.switches:
        refuse(
            "policy.device_count", f"{expected.gpus + expected.switches} devices are declared; {len(devices)} are shown"
        )
    found = tuple(verify(read(each), root, nonce, now_s, signed) for each in devices)
    for claims in found:
        check_golden(claims, expected.golden)
        for issuer, serial in claims.certificates:
            if (issuer, serial) in expected.revoked_certificates:
                refuse("policy.revoked_certificate", f"the certificate {serial:#x} of a device is revoked")
    if len({claims.identity for claims in found}) != len(found):
        refuse("policy.device_twice", "one device is shown as two")
    gpus = sum(claims.kind == GPU for claims in found)
    if gpus != expected.gpus:
        refuse("policy.device_count", f"{expected.gpus} GPUs are declared; {gpus} of the devices are GPUs")
    _check_switches(found)
    return found


def _check_switches(found: Sequence[DeviceClaims]) -> None:
    """Check that where links are open, each ends at a switch that is shown, too, and locked."""
    shown = {name for each in found if each.kind == SWITCH and each.locked for name in each.switches}
    needed = {name for each in found if each.kind == GPU for name in each.switches}
    missing = sorted(needed - shown)
    if missing:
        refuse("policy.device_switch", f"{len(missing)} switches at the GPUs' links are not shown, or not locked")
