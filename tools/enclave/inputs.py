"""What an image is made of besides our source: packages of Debian and Python wheels, each named by its SHA-256.

Where a file comes from does not matter, and no address is written anywhere: the machine's own package tools fetch what
is missing, and a file whose hash is not in the lock is not used.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.core.errors import Malformed, Unavailable

HERE: Final = Path(__file__).parent
DEBIAN_LOCK: Final = HERE / "debian.lock"
WHEELS_LOCK: Final = HERE / "wheels.lock"
PLATFORMS: Final = (
    *(f"manylinux_2_{minor}_x86_64" for minor in (36, 35, 34, 31, 28, 27, 17, 5)),
    "manylinux2014_x86_64",
)
"""What runs on the image's libc, 2.36."""
FILE_BYTES_MAX: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Locked:
    """One input: its name and version, for a person and for what fetches it, and its SHA-256, which decides."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read_lock(path: Path) -> tuple[Locked, ...]:
    """The inputs that a lock names.

    Raises:
        Malformed: `enclave_lock.form`.
    """
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        parts = line.split()
        if len(parts) != 3 or not re.fullmatch("[0-9a-f]{64}", parts[2]):
            raise Malformed(
                "enclave_lock.form", f"{path.name}: a line is a name, a version and a SHA-256, not {line!a}"
            )
        found.append(Locked(*parts))
    if len({each.name for each in found}) != len(found):
        raise Malformed("enclave_lock.form", f"{path.name} names an input twice")
    return tuple(found)


def hashes(folder: Path) -> dict[str, Path]:
    """The files of a folder by their SHA-256."""
    found = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
            found[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    return found


def gather(locked: Sequence[Locked], folder: Path) -> list[bytes]:
    """The bytes of each input, from a folder.

    Raises:
        Unavailable: `enclave_inputs.missing`, with the names of those that are not there.
    """
    there = hashes(folder)
    missing = [each for each in locked if each.sha256 not in there]
    if missing:
        raise Unavailable(
            "enclave_inputs.missing",
            f"{folder} lacks {len(missing)} of {len(locked)} inputs: {', '.join(map(str, missing))}. Where this "
            "machine's package tools cannot fetch these versions, put the files, whatever their names, into a folder "
            "and give it by --inputs; their SHA-256 are in tools/enclave/*.lock",
        )
    found = []
    for each in locked:
        data = there[each.sha256].read_bytes()
        # The file could have changed since it was listed.
        if hashlib.sha256(data).hexdigest() != each.sha256:
            raise Unavailable("enclave_inputs.missing", f"{there[each.sha256]} changed while it was read")
        found.append(data)
    return found


def fetch(folder: Path) -> None:
    """Have the machine's own tools fetch what a folder lacks. What they cannot get is left to `gather` to name."""
    folder.mkdir(parents=True, exist_ok=True)
    there = hashes(folder)
    debian = [each for each in read_lock(DEBIAN_LOCK) if each.sha256 not in there]
    wheels = [each for each in read_lock(WHEELS_LOCK) if each.sha256 not in there]
    for each in debian:
        _try(["apt-get", "--quiet", "--quiet", "download", f"{each.name}={each.version}"], folder)
    if wheels:
        wanted = folder / "wanted.txt"
        wanted.write_text("".join(f"{each.name}=={each.version} --hash=sha256:{each.sha256}\n" for each in wheels))
        _try([*DOWNLOAD, "--require-hashes", "--requirement", str(wanted.resolve()), "--dest", "."], folder)
        wanted.unlink()


DOWNLOAD: Final = (
    *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
    *("--only-binary=:all:", "--implementation=cp", "--python-version=3.11"),
    *("--abi=cp311", "--abi=abi3", "--abi=none"),
    *(f"--platform={each}" for each in PLATFORMS),
)
"""For the image's Python, whatever runs this."""


def _try(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.stderr.write(f"enclave: {command[0]} is not on this machine\n")
        return
    if done.returncode:
        sys.stderr.write(f"enclave: {command[0]} could not fetch an input: {done.stderr.strip()[-500:]}\n")
