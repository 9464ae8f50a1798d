"""The first Python program in an enclave image: `python -m paraph.adapters.enclaves.boot`, started by the image's init.

An enclave has no disk, no network and nobody at a keyboard. This tells the machine outside that it has booted, takes
the node's folder from it (configuration, manifests, model files: all named by hash or proved later, none of them
measured), opens the lines, and runs the node until that ends. Whoever owns the machine outside can give another folder,
or none: he decides what the node serves and whom it asks, never which code it is.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from paraph.adapters.enclaves.archive import unpack
from paraph.adapters.enclaves.vsock import ANY, PARENT, Place, Vsock, connect, listen, place_from_text, text_of
from paraph.core.errors import Malformed, ParaphError, Unavailable

HEARTBEAT: Final = b"\xb7"
"""One byte that is sent to the machine outside and comes back: the tools that start enclaves wait for it."""
HEARTBEAT_PLACE: Final = Vsock(PARENT, 9_000)
FOLDER_PLACE: Final = Vsock(ANY, 7_000)
"""Where the folder is sent to, as one archive, once."""
FOLDER_BYTES_MAX: Final = 64 << 30
"""It lies in memory, which the machine outside gave; more than there is ends the enclave and nothing else."""
HOME: Final = Path("/run/paraph")
LINES: Final = (
    "vsock:any:8443=tcp:127.0.0.1:8443",
    "tcp:127.0.0.1:8545=vsock:3:8545",
)
"""To the node's door from outside, and to a full node outside from the node."""
PATIENCE_S: Final = 10


def say_booted(place: Place) -> None:
    """Tell the machine outside that the enclave has booted.

    Raises:
        Unavailable: `vsock.connect`; `enclave.heartbeat`: the byte does not come back.
    """
    with connect(place, PATIENCE_S) as line:
        line.sendall(HEARTBEAT)
        with suppress(TimeoutError, ConnectionError):
            if line.recv(1) == HEARTBEAT:
                return
    raise Unavailable("enclave.heartbeat", f"{text_of(place)} does not send the heartbeat back")


KNOWN: Final = re.compile(
    r"node\.json|hot\.key\.json|hot\.password|manifests/[^/]+\.json|blobs/[0-9a-f/]+|tdx-collateral\.json"
    r"|snp-certificates\.pem|simulated-root\.(der|key)"
)
"""What a node's folder holds when it begins: settings, keys, and model files by their hashes."""


def take_folder(place: Place, folder: Path, bytes_max: int) -> list[str]:
    """Take the node's folder from whoever connects first; returns the names of its files.

    Raises:
        Unavailable: `vsock.listen`. Malformed: `archive.…`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with listen(place) as listening:
        listening.setblocking(True)
        line, _ = listening.accept()
        with line, line.makefile("rb") as source:
            return unpack(source, folder, bytes_max)


def need_known(names: Sequence[str]) -> None:
    """Refuse a folder with more in it than a node is given: a database of the parent's making, say.

    Raises:
        Malformed: `enclave.folder`.
    """
    odd = [name for name in names if not KNOWN.fullmatch(name)]
    if odd:
        raise Malformed("enclave.folder", f"the folder holds {odd[0][:80]!a}, which no node is given")


def run(command: Sequence[str], lines: Sequence[str]) -> int:
    """Run a program until it ends, with lines open meanwhile, each as `FROM=TO`; returns its exit code."""
    with ExitStack() as stack:
        for line in lines:
            source, _, target = line.partition("=")
            forward = (sys.executable, "-m", "paraph.adapters.enclaves.forward")
            program = subprocess.Popen([*forward, "--listen", source, "--connect", target], stdout=subprocess.DEVNULL)
            stack.enter_context(program)
            stack.callback(program.terminate)
        return subprocess.run(command, check=False).returncode


def main() -> int:
    """Boot. Returns the node's exit code, or 1 where it did not get so far."""
    parser = argparse.ArgumentParser(prog="python -m paraph.adapters.enclaves.boot", description=__doc__)
    parser.add_argument("--heartbeat", default=text_of(HEARTBEAT_PLACE), help="where to say that it has booted")
    parser.add_argument("--folder", default=text_of(FOLDER_PLACE), help="where the node's folder arrives")
    parser.add_argument("--home", type=Path, default=HOME, help="where the folder is put")
    parser.add_argument("--line", action="append", help="FROM=TO, a line to open; in place of the usual ones")
    parser.add_argument("command", nargs="*", help="what to run in place of the inference node")
    options = parser.parse_args()
    node = [sys.executable, "-m", "paraph.inference_node", "--home", str(options.home)]
    try:
        lines = LINES if options.line is None else options.line
        for line in lines:
            for place in line.partition("=")[::2]:
                place_from_text(place)
        say_booted(place_from_text(options.heartbeat))
        names = take_folder(place_from_text(options.folder), options.home, FOLDER_BYTES_MAX)
        need_known(names)
        sys.stdout.write(f"paraph boot: {len(names)} files in {options.home}\n")
        sys.stdout.flush()
        os.umask(0o077)
        return run(options.command or node, lines)
    except (ParaphError, OSError) as error:
        sys.stderr.write(f"paraph boot: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
