"""Sends a node's folder into an enclave that has just booted: `python -m paraph.adapters.enclaves.send`.

It runs on the machine outside, whose owner chooses what the node serves. The enclave believes nothing of it: models are
named by their hash, and the ledger proves the rest.
"""

import argparse
import socket
import sys
from pathlib import Path
from typing import Final

from paraph.adapters.enclaves.archive import send
from paraph.adapters.enclaves.vsock import Place, connect, place_from_text
from paraph.core.errors import ParaphError, Unavailable

PATIENCE_S: Final = 60
"""For each piece: the enclave unpacks as it arrives."""


def send_folder(folder: Path, place: Place) -> int:
    """Send the files of a folder, and wait until they are taken; returns how many.

    Raises:
        Unavailable: `vsock.connect`: nobody takes them; `enclave.folder`: not all were taken. Malformed: `archive.…`.
    """
    with connect(place, PATIENCE_S) as line:
        try:
            with line.makefile("wb") as sink:
                files = send(folder, sink)
            line.shutdown(socket.SHUT_WR)
            # The other side closes when it has all, or when it has had enough.
            line.recv(1)
        except OSError as error:
            raise Unavailable("enclave.folder", f"the enclave did not take all of {folder}: {error}") from error
    return files


def main() -> int:
    """Send. Returns the exit code: 0 sent, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m paraph.adapters.enclaves.send", description=__doc__)
    parser.add_argument("folder", type=Path, help="the node's folder: node.json, manifests, blobs")
    parser.add_argument("--to", default="vsock:16:7000", help="where the enclave takes it")
    options = parser.parse_args()
    try:
        files = send_folder(options.folder, place_from_text(options.to))
    except (ParaphError, OSError) as error:
        sys.stderr.write(f"paraph send: {error}\n")
        return 1
    sys.stdout.write(f"{files} files sent\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
