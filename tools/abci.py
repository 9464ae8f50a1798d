"""Writes abci_pb2.py and abci_pb2.pyi, the engine's messages as Python, from src/paraph/adapters/comet/abci.proto.

    .venv/bin/python tools/abci.py            writes what changed
    .venv/bin/python tools/abci.py --check    writes nothing; exit code 1 if a file differs

The compiler is grpcio-tools' copy of protoc, of the version in requirements/dev.lock: no gRPC is involved.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "src"
PACKAGE: Final = Path("paraph") / "adapters" / "comet"
NAMES: Final = ("abci_pb2.py", "abci_pb2.pyi")


def files() -> dict[str, str]:
    """Every generated file with its text, by its path below `src`."""
    with TemporaryDirectory() as folder:
        outputs = (f"--python_out={folder}", f"--pyi_out={folder}")
        compiler = (sys.executable, "-m", "grpc_tools.protoc")
        subprocess.run((*compiler, f"-I{SOURCE}", *outputs, str(SOURCE / PACKAGE / "abci.proto")), check=True)
        return {str(PACKAGE / name): (Path(folder) / PACKAGE / name).read_text(encoding="utf-8") for name in NAMES}


def differing() -> dict[str, str]:
    """The generated files that are not as they should be, with what they should hold."""
    return {
        path: text
        for path, text in files().items()
        if not (SOURCE / path).exists() or (SOURCE / path).read_text(encoding="utf-8") != text
    }


def main(arguments: list[str]) -> int:
    """Write or check. Returns the exit code."""
    check = arguments == ["--check"]
    found = differing()
    for path, text in found.items():
        if not check:
            (SOURCE / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path} {'is out of date: run tools/abci.py' if check else 'written'}\n")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
