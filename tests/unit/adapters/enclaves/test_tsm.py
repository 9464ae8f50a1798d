"""Reports of TDX and SEV-SNP, against a stand-in for the kernel's files that counts writes as the kernel does.

No machine of ours has such a kernel interface: the folders here are in memory, and behave as Linux documents its own
(Documentation/ABI/testing/configfs-tsm). What touches real files is tested on real files.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from paraph.adapters.enclaves.collateral import host_certificates
from paraph.adapters.enclaves.tsm import REPORT_BYTES_MAX, TRIES_MAX, KernelFolders, Report, TsmEnclave
from paraph.core.errors import BrokenTruth, Unavailable
from paraph.core.ident import Digest
from paraph.proofs.quotes.evidence import Evidence

NONCE: Final = Digest(bytes(32))
DATA: Final = bytes(range(64))


class FakeFolders:
    """Folders of reports in memory: a write counts, and a report is made from what was written when it is read."""

    def __init__(self, provider: str = "sev_guest", auxblob: bytes | None = b"table") -> None:
        self.provider = provider
        self.auxblob = auxblob
        self.folders: dict[str, dict[str, bytes]] = {}
        self.made: list[str] = []
        self.before_read: Callable[[str], None] = lambda _: None

    def make(self, name: str) -> None:
        if name in self.folders:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.folders[name] = {"generation": b"0\n", "provider": self.provider.encode() + b"\n"}
        self.made.append(name)

    def write(self, name: str, file: str, data: bytes) -> None:
        if file != "inblob" or not 0 < len(data) <= 64:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        folder = self.folders[name]
        folder["inblob"] = data
        folder["generation"] = b"%d\n" % (int(folder["generation"]) + 1)

    def read(self, name: str, file: str) -> bytes:
        folder = self.folders[name]
        if file == "outblob":
            self.before_read(name)
            if "inblob" not in folder:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return b"report over " + folder["inblob"]
        if file == "auxblob":
            if self.auxblob is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return self.auxblob
        return folder[file]

    def remove(self, name: str) -> None:
        del self.folders[name]


def beside(report: Report) -> tuple[bytes, ...]:
    """Collateral that shows what it was made from."""
    return (report.signed[:6], report.beside)


def refused(enclave: TsmEnclave) -> str:
    with pytest.raises(Unavailable) as caught:
        enclave.attest(DATA, NONCE, b"")
    return caught.value.code


@pytest.mark.parametrize(("platform", "provider"), [("snp", "sev_guest"), ("tdx", "tdx_guest")])
def test_a_report_is_over_the_data(platform: str, provider: str) -> None:
    """The 64 bytes are signed, and the collateral is found from the report and what lies beside it."""
    folders = FakeFolders(provider)

    found = TsmEnclave(platform, beside, folders).attest(DATA, NONCE, b"key")

    assert found == Evidence(platform, b"report over " + DATA, (b"report", b"table"))


def test_every_report_has_a_folder_of_its_own_and_none_stays() -> None:
    """Folders are not shared between reports, and are given back, after errors, too."""
    folders = FakeFolders()
    enclave = TsmEnclave("snp", beside, folders)
    enclave.attest(DATA, NONCE, b"")
    enclave.attest(DATA, NONCE, b"")
    refused(TsmEnclave("tdx", beside, folders))

    assert len(set(folders.made)) == 3
    assert not folders.folders


def test_another_platform_is_said() -> None:
    """A machine of one platform does not pass for the other."""
    assert refused(TsmEnclave("tdx", beside, FakeFolders("sev_guest"))) == "enclave.platform"


def test_a_race_is_noticed_and_tried_again() -> None:
    """Where another writes between our write and our reading, that report is not taken; the next one is."""
    folders = FakeFolders()

    def interfere(name: str) -> None:
        if len(folders.made) == 1:
            folders.write(name, "inblob", b"theirs")

    folders.before_read = interfere

    assert TsmEnclave("snp", beside, folders).attest(DATA, NONCE, b"").document == b"report over " + DATA
    assert len(folders.made) == 2


def test_an_endless_race_ends() -> None:
    """Somebody who always interferes is an error, not a loop and not a report over their data."""
    folders = FakeFolders()
    folders.before_read = lambda name: folders.write(name, "inblob", b"theirs")

    assert refused(TsmEnclave("snp", beside, folders)) == "enclave.busy"
    assert len(folders.made) == TRIES_MAX


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN])
def test_a_busy_kernel_is_asked_again(number: int) -> None:
    """Busy firmware is asked again, a few times."""
    folders = FakeFolders()
    left = [OSError(number, os.strerror(number))]

    def busy(_: str) -> None:
        if left:
            raise left.pop()

    folders.before_read = busy

    assert TsmEnclave("snp", beside, folders).attest(DATA, NONCE, b"").document == b"report over " + DATA


def test_a_kernel_that_refuses_is_said() -> None:
    """Any other error of the kernel is told, and not tried again."""
    folders = FakeFolders()

    def broken(_: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    folders.before_read = broken

    assert refused(TsmEnclave("snp", beside, folders)) == "enclave.device"
    assert len(folders.made) == 1


def test_nothing_beside_the_report_is_no_error() -> None:
    """A platform that has nothing beside its reports makes them all the same."""
    found = TsmEnclave("tdx", lambda report: (report.beside,), FakeFolders("tdx_guest", None)).attest(DATA, NONCE, b"")

    assert found.collateral == (b"",)


def test_an_error_beside_the_report_is_told() -> None:
    """An error that is not `there is nothing` is not taken for it."""
    folders = FakeFolders()
    read = folders.read

    def broken(name: str, file: str) -> bytes:
        if file == "auxblob":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(name, file)

    folders.read = broken  # type: ignore[method-assign]

    assert refused(TsmEnclave("snp", beside, folders)) == "enclave.device"


@pytest.mark.parametrize("count", [b"", b"x", b"1" * 30])
def test_an_odd_count_is_refused(count: bytes) -> None:
    """Without the count of writes, nobody knows whose data was signed."""
    folders = FakeFolders()
    make = folders.make

    def odd(name: str) -> None:
        make(name)
        folders.folders[name]["generation"] = count

    folders.make = odd  # type: ignore[method-assign]

    assert refused(TsmEnclave("snp", beside, folders)) == "enclave.device"


def test_what_the_collateral_lacks_is_said() -> None:
    """A host that gives no certificates is told of, not passed over."""
    assert refused(TsmEnclave("snp", host_certificates, FakeFolders(auxblob=b""))) == "enclave.certificates"


def test_data_has_one_size() -> None:
    """A platform signs 64 bytes; anything else is a fault of ours."""
    with pytest.raises(BrokenTruth):
        TsmEnclave("snp", beside, FakeFolders()).attest(b"short", NONCE, b"")


def test_entropy_has_the_size_asked_for() -> None:
    """As many bytes as are wanted, and others each time."""
    enclave = TsmEnclave("snp", beside, FakeFolders())

    assert len(enclave.entropy(48)) == 48
    assert enclave.entropy(32) != enclave.entropy(32)


def test_kernel_folders_are_folders(tmp_path: Path) -> None:
    """On real files, what touches them makes, writes, reads and removes what it says."""
    kernel = KernelFolders(tmp_path)
    kernel.make("one")
    (tmp_path / "one" / "inblob").write_bytes(b"")

    kernel.write("one", "inblob", DATA)

    assert kernel.read("one", "inblob") == DATA
    (tmp_path / "one" / "inblob").unlink()
    kernel.remove("one")
    assert not (tmp_path / "one").exists()


def test_a_kernel_folder_is_bounded(tmp_path: Path) -> None:
    """A file that does not end is not read to its end; what is not there is the system's error."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "outblob").write_bytes(bytes(REPORT_BYTES_MAX + 1))
    kernel = KernelFolders(tmp_path)

    with pytest.raises(OSError, match="more than"):
        kernel.read("one", "outblob")
    with pytest.raises(FileNotFoundError):
        kernel.write("one", "inblob", DATA)
