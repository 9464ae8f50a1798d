"""What evidence of an enclave proves, whatever the platform, and how much that is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from paraph.core.errors import Malformed, Unverified


class TrustClass(IntEnum):
    """How much a quote is worth, the more the higher. It follows from the root that verified, and from nothing else."""

    SIMULATED = 1
    """No hardware: a key on somebody's disk signed it."""
    VTPM = 2
    """A machine's virtual TPM: the host can lie."""
    HARDWARE_DEGRADED = 3
    """Hardware whose security version is out of date, within its period of grace."""
    HARDWARE = 4
    """Hardware."""
    HARDWARE_STRICT = 5
    """Hardware with its current security version, known to stand where its owner cannot reach it."""

    @property
    def word(self) -> str:
        """The class as documents spell it."""
        return self.name.lower().replace("_", "-")


def trust_class(word: str) -> TrustClass:
    """The class of that word. Raises `Malformed` (`trust.class`)."""
    for each in TrustClass:
        if each.word == word:
            return each
    raise Malformed(
        "trust.class", f"{word[:40]!a} is no trust class; one of {', '.join(each.word for each in TrustClass)}"
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What a quote proves.

    Args:
        platform: `nitro`, `snp`, `tdx`, `sgx`, `tpm`, `simulated`.
        trust: how much that is worth.
        time_ms: when the quote was made, by the platform's clock, Unix milliseconds; None where the platform tells no
            time, so that only a nonce says how old it is.
        debug: whether the host can look into the enclave.
        measurements: digests of what runs, and what the platform was told to allow it, by the platform's names.
        versions: security versions of the platform's parts, by their names.
        data: what the enclave had signed, where keys are bound.
        nonce, key: fields for what the enclave was asked to include, and for its key; None where the platform has none.
        module: the platform's name of the enclave, or of the chip.
        certificates: issuer (DER) and serial number of each certificate below the root, for revocation.
    """

    platform: str
    trust: TrustClass
    time_ms: int | None
    debug: bool
    measurements: Mapping[str, bytes]
    versions: Mapping[str, int]
    data: bytes
    nonce: bytes | None
    key: bytes | None
    module: str
    certificates: tuple[tuple[bytes, int], ...]


def refuse(code: str, sentence: str) -> NoReturn:
    """Say why evidence proves nothing. Raises `Unverified` with that code."""
    raise Unverified(((code, sentence),))
