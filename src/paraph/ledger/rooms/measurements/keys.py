"""What the room owns: releases (the records proofs speak of), revocations, and the root of simulated enclaves."""

from paraph.core.digest import sha256
from paraph.core.ident import Address, Digest
from paraph.ledger.state import Listing, Numbers, Records
from paraph.proofs.records import Enclave, Release

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a06"))
RELEASES: Records[Release] = Records(b"measurements/release/", Release)
LIST = Listing(b"measurements/list/")
REVOKED = Numbers(b"measurements/revoked/")
"""The height at which a certificate or a machine was revoked, by its name."""
SIMULATED_ROOT = b"measurements/simulated_root"
"""On a development network: the certificate (DER) that simulated enclaves are believed by. Set by genesis alone."""


def certificate_name(issuer: bytes, serial: int) -> Digest:
    """What a certificate is revoked by: who issued it (a name, DER), and its number."""
    return sha256(b"certificate" + sha256(issuer) + serial.to_bytes(32, "big"))


def module_name(platform: str, module: str) -> Digest:
    """What an enclave or its chip is revoked by."""
    return sha256(b"module" + sha256(platform.encode()) + sha256(module.encode()))


def stands_on(enclave: Enclave) -> tuple[bytes, ...]:
    """What an enclave can be revoked by: its certificates, and its machine."""
    return (*enclave.certificates, module_name(enclave.platform, enclave.module))
