"""A simulated enclave: documents like those of AWS Nitro, signed under a root that a development network made itself.

NO HARDWARE stands behind it. Whoever has the root's key can state anything. It exists so that every step, from the
document to the client's verdict, runs on any machine as it does on real ones; what verifies under such a root is of the
class `simulated`, and a network that has no such root in its genesis refuses it.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from paraph.adapters.enclaves.eif import extended
from paraph.core import cbor
from paraph.core.cbor import Cbor
from paraph.core.errors import Rejected, Unavailable, must
from paraph.core.ident import Digest
from paraph.flows.ports import Clock
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.quotes.nitro import FIELD_BYTES_MAX, PCR_BYTES, PROTECTED, signing_input

ORGANIZATION: Final = "SIMULATED-NOT-HARDWARE"
CERTIFICATE: Final = "simulated-root.der"
KEY: Final = "simulated-root.key"
REGISTERS: Final = 16
"""That a document lists; the hypervisor locks them before the enclave runs."""
MACHINE_REGISTER: Final = 4
"""Names the machine that started the enclave; it is there in every document."""

DAY_S: Final = 86_400
ROOT_LIFE_S: Final = 30 * 365 * DAY_S
LEAF_LIFE_S: Final = 3 * 3_600 + 3
STARTED_BEFORE_S: Final = 60
"""The machine was there first: a verifier whose time is a block's, a little behind, finds the leaf valid."""


@dataclass(frozen=True, slots=True)
class Root:
    """The root of a development network, with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_root(folder: Path, clock: Clock) -> bytes:
    """Make the root of a development network's simulated enclaves, once; returns its certificate, as DER.

    Args:
        folder: of the network; gets `simulated-root.der`, and `simulated-root.key`, mode 0600, which guards nothing.
        clock: its life begins a day ago, so that no clock of the network is before it.

    Raises:
        Rejected: `enclave.root`: the folder has one already. Unavailable: `enclave.root`: it cannot be written.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name(f"{secrets.token_hex(8)}.sim")
    certificate = _signed(name, key, name, key, clock.now_ms() // 1_000 - DAY_S, ROOT_LIFE_S, None)
    secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The key first: where a certificate is, its key is.
        _write(folder / KEY, secret, 0o600)
        _write(folder / CERTIFICATE, certificate.public_bytes(Encoding.DER), 0o644)
    except FileExistsError as error:
        raise Rejected("enclave.root", f"{folder} has the root of simulated enclaves already", folder=folder) from error
    except OSError as error:
        raise Unavailable("enclave.root", f"{folder} cannot be written: {error.strerror}", folder=folder) from error
    return certificate.public_bytes(Encoding.DER)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a new file, whole or not at all; what is there already stays."""
    temporary = path.with_name(f".{secrets.token_hex(12)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def read_root(folder: Path) -> Root:
    """The root that `make_root` left in a folder.

    Raises:
        Unavailable: `enclave.root`: there is none, or its files do not belong together.
    """
    try:
        certificate = x509.load_der_x509_certificate((folder / CERTIFICATE).read_bytes())
        key = load_der_private_key((folder / KEY).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(
            "enclave.root", f"{folder} has no root of simulated enclaves; a devnet makes it: {error}", folder=folder
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise Unavailable("enclave.root", f"the key in {folder} is not of the root beside it", folder=folder)
    return Root(certificate, key)


@dataclass(frozen=True, slots=True)
class _Certified:
    """The chain of a leaf, the leaf's key, and until when it is used."""

    authorities: tuple[bytes, ...]
    leaf: bytes
    key: ec.EllipticCurvePrivateKey
    renew_s: int


class SimulatedEnclave:
    """An `Enclave` without hardware. It plays hypervisor, too: makes its certificates, and renews them in time.

    A leaf is renewed at half of its life: whatever is attested can be verified for an hour and a half at least.

    Args:
        root: the folder that has the network's root.
        measurements: `pcr0` to `pcr2` and maybe `pcr8`, as `eif.measurements` gives them; zeros play an enclave that
            was started for debugging.
        clock: by which it dates documents and certificates.

    Raises:
        Unavailable: `enclave.root`.
    """

    def __init__(self, root: Path, measurements: Mapping[str, bytes], clock: Clock) -> None:
        self._root = read_root(root)
        self._clock = clock
        machine = f"i-{secrets.token_hex(9)[:17]}"
        self._machine = machine
        self._module = f"sim-{machine}-enc{secrets.token_hex(9)[:17]}"
        self._registers = _registers(measurements, machine)
        self._lock = Lock()
        self._certified = self._certify(self._now_s())

    @property
    def platform(self) -> str:
        """`simulated`."""
        return "simulated"

    @property
    def module(self) -> str:
        """The name of this enclave, new each time one is made."""
        return self._module

    def attest(self, data: bytes, nonce: Digest, key: bytes) -> Evidence:
        """A document with these three."""
        must(max(len(data), len(key)) <= FIELD_BYTES_MAX, "what a document repeats is short")
        certified = self._current()
        said: dict[cbor.Key, Cbor] = {
            "module_id": self._module,
            "digest": "SHA384",
            "timestamp": self._clock.now_ms(),
            "pcrs": self._registers,
            "certificate": certified.leaf,
            "cabundle": certified.authorities,
            # Real ones have null for what was not given.
            "public_key": key or None,
            "user_data": data or None,
            "nonce": bytes(nonce) or None,
        }
        payload = _indefinite(said)
        r, s = decode_dss_signature(certified.key.sign(signing_input(payload), ec.ECDSA(SHA384())))
        signature = r.to_bytes(PCR_BYTES, "big") + s.to_bytes(PCR_BYTES, "big")
        return Evidence(self.platform, cbor.encode([PROTECTED, {}, payload, signature]))

    def entropy(self, size: int) -> bytes:
        """Random bytes from the operating system, whose owner knows all that this enclave does."""
        return secrets.token_bytes(size)

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1_000

    def _current(self) -> _Certified:
        with self._lock:
            now_s = self._now_s()
            if now_s >= self._certified.renew_s:
                self._certified = self._certify(now_s)
            return self._certified

    def _certify(self, now_s: int) -> _Certified:
        """A fresh chain below the root, with the lives and lengths of real ones."""
        start_s = now_s - STARTED_BEFORE_S
        above, signer = self._root.certificate.subject, self._root.key
        found = [self._root.certificate.public_bytes(Encoding.DER)]
        places = (
            (f"{secrets.token_hex(8)}.region.sim", 20 * DAY_S, 2),
            (f"{secrets.token_hex(8)}.zone.region.sim", 6 * DAY_S, 1),
            (f"{self._machine}.region.sim", DAY_S, 0),
            (f"{self._module}.region.sim", LEAF_LIFE_S, -1),
        )
        for common_name, life_s, below in places:
            name, key = _name(common_name), ec.generate_private_key(ec.SECP384R1())
            made = _signed(name, key, above, signer, start_s, life_s, below)
            found.append(made.public_bytes(Encoding.DER))
            above, signer = name, key
        *authorities, leaf = found
        return _Certified(tuple(authorities), leaf, signer, start_s + LEAF_LIFE_S // 2)


def _registers(measurements: Mapping[str, bytes], machine: str) -> dict[cbor.Key, bytes]:
    registers: dict[cbor.Key, bytes] = {index: bytes(PCR_BYTES) for index in range(REGISTERS)}
    registers[MACHINE_REGISTER] = extended([machine.encode()])
    for name, value in measurements.items():
        index = int(name.removeprefix("pcr"))
        must(index in registers and len(value) == PCR_BYTES, "a measurement is of a register that a document lists")
        registers[index] = value
    return registers


def _indefinite(said: Mapping[cbor.Key, Cbor]) -> bytes:
    """A map whose length is not said at its start: so the hypervisor writes it since the end of 2025."""
    return b"\xbf" + b"".join(cbor.encode(name) + cbor.encode(value) for name, value in said.items()) + b"\xff"


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _signed(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    above: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    start_s: int,
    life_s: int,
    below: int | None,
) -> x509.Certificate:
    """A certificate; `below` is how many authorities may stand below it: None as many as like, -1 it is none itself."""
    authority = below != -1
    start = datetime.fromtimestamp(start_s, UTC)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(seconds=life_s))
        .add_extension(x509.BasicConstraints(authority, below if authority else None), critical=True)
        .add_extension(usage, critical=authority)
        .sign(signer, SHA384())
    )
