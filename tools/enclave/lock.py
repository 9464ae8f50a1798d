"""Chooses inputs again, and writes their lock: `python -m tools.enclave.lock wheels` or `debian`, or both.

The versions of wheels are those of `requirements/`; those of Debian's packages are what this machine's package lists
hold now: it must be Debian 12, for x86-64. It changes what every image measures: a release, not a repair.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.enclave.inputs import DEBIAN_LOCK, DOWNLOAD, WHEELS_LOCK

ROOT: Final = Path(__file__).parents[2]
DEBIAN: Final = (
    "busybox-static linux-image-6.12.117+deb12-cloud-amd64 python3.11-minimal libpython3.11-minimal "
    "libpython3.11-stdlib libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 libgomp1 liblzma5 libsqlite3-0 libssl3 "
    "libstdc++6 libuuid1 zlib1g"
).split()
"""Python, the libraries that it and the wheels load, a shell for init, a kernel with the driver `nsm` (since 6.8)."""
EXTRA: Final = "node"
HEAD: Final = "# Written by python -m tools.enclave.lock: name, version, SHA-256 of the file.\n"


def main() -> None:
    """Write the locks that are named."""
    parser = argparse.ArgumentParser(prog="python -m tools.enclave.lock", description=__doc__)
    parser.add_argument("locks", nargs="+", choices=("debian", "wheels"))
    with tempfile.TemporaryDirectory() as folder:
        for name in parser.parse_args().locks:
            place, lines = (DEBIAN_LOCK, _debian) if name == "debian" else (WHEELS_LOCK, _wheels)
            place.write_text(HEAD + "".join(f"{line}\n" for line in sorted(lines(Path(folder) / name))))


def _debian(folder: Path) -> list[str]:
    folder.mkdir()
    # The tool gives up its rights when it may not read the folder as another user, and says so at length.
    _run("apt-get", "--quiet", "--quiet", "--option", "APT::Sandbox::User=root", "download", *DEBIAN, within=folder)
    return [
        f"{_run('dpkg-deb', '--field', str(path), 'Package').strip()} "
        f"{_run('dpkg-deb', '--field', str(path), 'Version').strip()} {_sha256(path)}"
        for path in folder.glob("*.deb")
    ]


def _wheels(folder: Path) -> list[str]:
    folder.mkdir()
    constraints = [f"--constraints={ROOT}/requirements/{name}.lock" for name in ("base", "dev")]
    chosen = _run(
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--python-version=3.11", "--python-platform=x86_64-manylinux_2_28", f"--extra={EXTRA}", *constraints),
        *("--no-emit-index-url", str(ROOT / "pyproject.toml")),
    )
    wanted = folder / "wanted.txt"
    wanted.write_text(chosen)
    _run(*DOWNLOAD, "--requirement", str(wanted), "--dest", ".", within=folder)
    found = []
    for path in folder.glob("*.whl"):
        name, version, *_ = path.name.split("-")
        found.append(f"{name.replace('_', '-').lower()} {version} {_sha256(path)}")
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: str, within: Path | None = None) -> str:
    return subprocess.run(command, cwd=within, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
