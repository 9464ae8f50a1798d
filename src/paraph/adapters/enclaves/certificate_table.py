"""The table of certificates that a host puts beside a report of SEV-SNP, and the chain in it.

The host gives it so that the guest need not ask AMD for its chip's certificate. Entries of 24 bytes, each a name, a
place and a size, end with a zero one; the certificates stand behind. AMD, "SEV-ES Guest-Hypervisor Communication Block
Standardization" (56421), extended guest request. Names stand in the order in which they are written (RFC 4122).
"""

from collections.abc import Mapping
from typing import Final

from paraph.core.errors import Malformed, Unavailable
from paraph.proofs.quotes.pem import certificates

ROOT: Final = bytes.fromhex("c0b406a4a803495297433fb6014cd0ae")
AUTHORITY: Final = bytes.fromhex("4ab7b379bbac4fe4a02f05aef327c782")
CHIP: Final = bytes.fromhex("63da758de6644564adc5f4b93be8accd")
CHAIN: Final = {"the root (ARK)": ROOT, "the authority (ASK)": AUTHORITY, "the chip's (VCEK)": CHIP}

NAME_BYTES: Final = 16
ENTRY_BYTES: Final = NAME_BYTES + 8
ENTRIES_MAX: Final = 16
"""AMD names six kinds."""
PEM: Final = b"-----BEGIN"


def read(table: bytes) -> dict[bytes, bytes]:
    """The certificates of a table by their names, from a host who may write what it likes; an empty table has none.

    Raises:
        Malformed: `certificates.form`: the table does not end, names a part that is not there, or names one twice.
    """
    found: dict[bytes, bytes] = {}
    if not any(table):
        return found
    for number in range(ENTRIES_MAX + 1):
        entry = table[number * ENTRY_BYTES : (number + 1) * ENTRY_BYTES]
        if len(entry) != ENTRY_BYTES:
            break
        name = entry[:NAME_BYTES]
        if not any(name):
            return found
        start, size = int.from_bytes(entry[16:20], "little"), int.from_bytes(entry[20:], "little")
        if start + size > len(table) or name in found:
            raise Malformed("certificates.form", "the host's table names a part that is not there, or one twice")
        found[name] = table[start : start + size]
    raise Malformed("certificates.form", f"the host's table of certificates does not end after {ENTRIES_MAX} entries")


def chain(table: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """Root, authority and chip, as DER, from what `read` found.

    Raises:
        Unavailable: `enclave.certificates`: one is missing. Malformed: `pem.form`.
    """
    missing = [what for what, name in CHAIN.items() if not table.get(name)]
    if missing:
        raise Unavailable(
            "enclave.certificates",
            f"the host gives no certificates of this chip, or not all: {', '.join(missing)} is missing; have the host "
            "load them, or give the chain yourself",
        )
    return tuple(_der(table[name], what) for what, name in CHAIN.items())


def _der(data: bytes, what: str) -> bytes:
    """A certificate as DER; hosts load what they were given, and that is often PEM."""
    return certificates(data, f"the certificate of {what}")[0] if data.startswith(PEM) else data
