"""What evidence of an enclave proves, whatever the platform, and how much that is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from paraph.core.errors import Unverified


class Trust(IntEnum):
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


@dataclass(frozen=True, slots=True)
class Claims:
    """What a quote proves.

    Args:
        platform: `nitro`, `simulated`.
        trust: how much that is worth.
        time_ms: when the quote was made, by the platform's clock, Unix milliseconds.
        measurements: digests of what runs, by the platform's names of them.
        data: what the enclave had signed, where keys are bound; `nonce` what it was asked to include; `key` its own.
        module: the platform's name of the enclave.
        certificates: issuer (DER) and serial number of each certificate below the root, for revocation.
    """

    platform: str
    trust: Trust
    time_ms: int
    measurements: Mapping[str, bytes]
    data: bytes
    nonce: bytes
    key: bytes
    module: str
    certificates: tuple[tuple[bytes, int], ...]


def refuse(code: str, sentence: str) -> NoReturn:
    """Say why evidence proves nothing. Raises `Unverified` with that code."""
    raise Unverified(((code, sentence),))
