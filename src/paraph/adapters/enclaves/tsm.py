"""Reports of Intel TDX and AMD SEV-SNP, from inside the virtual machine: Linux's one interface for both (since 6.7).

A report is made in a folder of its own under `/sys/kernel/config/tsm/report`: 64 bytes are written to one file, and the
report read from another. Whoever else writes into the folder meanwhile is noticed: the kernel counts the writes.
"""

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from paraph.core.errors import Unavailable, must
from paraph.core.ident import Digest
from paraph.proofs.quotes.evidence import Evidence

REPORTS: Final = Path("/sys/kernel/config/tsm/report")
DATA_BYTES: Final = 64
REPORT_BYTES_MAX: Final = 64 * 1024
"""A report of SEV-SNP has 1 184 bytes, a quote of TDX five to eight thousand."""
PROVIDERS: Final = {"tdx": "tdx_guest", "snp": "sev_guest"}
"""Which driver of the kernel answers for which platform."""
TRIES_MAX: Final = 3
"""Times that a report is asked for where the kernel is busy, or somebody else wrote."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the platform signed, and what the machine's owner put beside it."""

    signed: bytes
    beside: bytes


Collateral: TypeAlias = Callable[[Report], tuple[bytes, ...]]
"""Finds what a report's verification needs. Raises `Unavailable` where it cannot be had."""


class Folders(Protocol):
    """The kernel's files. Errors are the system's."""

    def make(self, name: str) -> None:
        """Ask for a folder of one's own."""
        ...

    def write(self, name: str, file: str, data: bytes) -> None:
        """Write a file of it, in one go."""
        ...

    def read(self, name: str, file: str) -> bytes:
        """All of a file of it."""
        ...

    def remove(self, name: str) -> None:
        """Give the folder back."""
        ...


class KernelFolders:
    """The kernel's own, as a file system of kind `configfs` shows them."""

    def __init__(self, reports: Path = REPORTS) -> None:
        self._reports = reports

    def make(self, name: str) -> None:
        """Ask for a folder of one's own."""
        (self._reports / name).mkdir(mode=0o700)

    def write(self, name: str, file: str, data: bytes) -> None:
        """Write a file of it, in one go."""
        handle = os.open(self._reports / name / file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.write(handle, data) != len(data):
                raise OSError(errno.EIO, "the kernel took a part of what was written")
        finally:
            os.close(handle)

    def read(self, name: str, file: str) -> bytes:
        """All of a file of it."""
        with (self._reports / name / file).open("rb", buffering=0) as source:
            found = b""
            while piece := source.read(REPORT_BYTES_MAX):
                found += piece
                if len(found) > REPORT_BYTES_MAX:
                    raise OSError(errno.EFBIG, f"the kernel's {file} has more than {REPORT_BYTES_MAX} bytes")
            return found

    def remove(self, name: str) -> None:
        """Give the folder back; the kernel removes its files."""
        (self._reports / name).rmdir()


class TsmEnclave:
    """The `Enclave` of a virtual machine that TDX or SEV-SNP protects.

    The nonce and the key are not said in the report: it has room for 64 bytes, which the caller makes a digest of all.

    Args:
        platform: `tdx` or `snp`.
        collateral: finds what verification needs besides the report.
        folders: the kernel's.
    """

    def __init__(self, platform: str, collateral: Collateral, folders: Folders) -> None:
        must(platform in PROVIDERS, "the kernel's interface is of TDX and SEV-SNP")
        self._platform = platform
        self._collateral = collateral
        self._folders = folders

    @property
    def platform(self) -> str:
        """`tdx` or `snp`."""
        return self._platform

    def attest(self, data: bytes, nonce: Digest, key: bytes) -> Evidence:  # noqa: ARG002  a port's method
        """A report over `data`, with its collateral.

        Raises:
            Unavailable: `enclave.platform`: the machine is another platform's; `enclave.busy`: others kept asking;
                `enclave.device`: the kernel refused; what the collateral raises.
        """
        must(len(data) == DATA_BYTES, "a platform signs 64 bytes")
        report = self._report(data)
        return Evidence(self._platform, report.signed, self._collateral(report))

    def entropy(self, size: int) -> bytes:
        """Random bytes from the kernel, which takes them from the processor: its owner has no hand in that here."""
        return secrets.token_bytes(size)

    def _report(self, data: bytes) -> Report:
        for _ in range(TRIES_MAX):
            name = f"paraph-{secrets.token_hex(8)}"
            try:
                self._folders.make(name)
                try:
                    found = self._asked(name, data)
                finally:
                    with suppress(OSError):
                        self._folders.remove(name)
            except OSError as error:
                # Another asks the same firmware just now, or wrote between our steps.
                if error.errno in (errno.EBUSY, errno.EAGAIN, errno.EEXIST):
                    continue
                raise Unavailable(
                    "enclave.device", f"the kernel makes no report of {self._platform}: {error.strerror}"
                ) from error
            if found is not None:
                return found
        raise Unavailable("enclave.busy", f"{TRIES_MAX} times others asked for a report just then; try again")

    def _asked(self, name: str, data: bytes) -> Report | None:
        """The report made in this folder; None where somebody else wrote into it."""
        provider = self._folders.read(name, "provider").decode("ascii", "replace").strip()
        if provider != PROVIDERS[self._platform]:
            raise Unavailable(
                "enclave.platform",
                f"this machine's reports come from {provider[:40]!a}, not from {PROVIDERS[self._platform]}: "
                f"it is not protected by {self._platform}",
            )
        before = self._generation(name)
        self._folders.write(name, "inblob", data)
        signed, beside = self._folders.read(name, "outblob"), self._beside(name)
        if self._generation(name) != before + 1:
            return None
        if not signed:
            raise Unavailable("enclave.device", f"the kernel made an empty report of {self._platform}")
        return Report(signed, beside)

    def _generation(self, name: str) -> int:
        text = self._folders.read(name, "generation").strip()
        if not text.isdigit() or len(text) > 20:
            raise Unavailable("enclave.device", "the kernel's count of writes is no number")
        return int(text)

    def _beside(self, name: str) -> bytes:
        """The certificates that the machine's owner gives; most give none, and TDX has no such file's content."""
        try:
            return self._folders.read(name, "auxblob")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO, errno.EOPNOTSUPP, errno.ENODATA):
                return b""
            raise
