"""The installed package as an enclave image: what simulated enclaves measure.

A simulated enclave boots nothing. So that its measurements still say which code runs, they are computed by the rule of
real images over the files of this package: another version, or one changed line, and they are others. They are as
honest as the machine's owner, who can run other code and state these: nobody may rely on them who does not rely on him.
"""

import platform
from pathlib import Path

import paraph
from paraph.adapters.enclaves.archive import Entry, entries_of, file, pack
from paraph.adapters.enclaves.eif import Image


def package_entries(under: str = "") -> list[Entry]:
    """The package's files; `under` stands in front of their names, and ends in `/` where it is not empty."""
    return entries_of(Path(paraph.__file__).parent, f"{under}paraph/")


def package_image() -> Image:
    """The package as an image: it names Python where a real one has a kernel, and has the files as its application."""
    runs = f"{platform.python_implementation()} {platform.python_version()}"
    boot = pack([file("python", runs.encode())])
    return Image(b"simulated: no kernel", b"python -m paraph.inference_node", (boot, pack(package_entries())))
