"""Builds the image into `build/enclave`, and prints what an enclave that runs it attests."""

import argparse
import sys
from pathlib import Path
from typing import Final

from paraph.adapters.enclaves.eif import Image, build, measurements
from paraph.core.errors import ParaphError
from tools.enclave.image import compose, debian_kernel, own_kernel
from tools.enclave.inputs import DEBIAN_LOCK, WHEELS_LOCK, fetch, gather, read_lock

OUT: Final = Path("build/enclave")
SHELL: Final = "busybox-static"
KERNEL: Final = "linux-image-"


def image_of(inputs: Path, kernel: Path | None, modules: list[Path]) -> tuple[Image, str]:
    """The image of a folder of locked inputs, and a note; `kernel` in place of the locked one, with its modules.

    Raises:
        Unavailable: `enclave_inputs.missing`. Malformed: `enclave_lock.form`, `enclave_package.form`.
    """
    locked = read_lock(DEBIAN_LOCK)
    named = dict(zip((each.name for each in locked), gather(locked, inputs), strict=True))
    linux = next(name for name in named if name.startswith(KERNEL))
    boots = debian_kernel(named[linux]) if kernel is None else own_kernel(kernel, modules)
    packages = [data for name, data in named.items() if name not in (linux, SHELL)]
    return compose(boots, named[SHELL], packages, gather(read_lock(WHEELS_LOCK), inputs)), boots.note


def main() -> int:
    """Build. Returns the exit code: 0 built, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m tools.enclave", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the image and what is downloaded")
    parser.add_argument("--inputs", type=Path, help="folder that has the inputs; nothing is downloaded then")
    parser.add_argument("--kernel", type=Path, help="a kernel in place of the locked one")
    parser.add_argument("--module", type=Path, action="append", default=[], help="a module of that kernel, in order")
    options = parser.parse_args()
    inputs = options.inputs or options.out / "inputs"
    try:
        if options.inputs is None:
            fetch(inputs)
        image, note = image_of(inputs, options.kernel, options.module)
        options.out.mkdir(parents=True, exist_ok=True)
        place = options.out / "paraph.eif"
        place.write_bytes(build(image))
    except (ParaphError, OSError) as error:
        sys.stderr.write(f"enclave: {error}\n")
        return 1
    if note:
        sys.stderr.write(f"enclave: {note}\n")
    sys.stdout.write(f"{place}\n")
    for name, value in measurements(image).items():
        sys.stdout.write(f"{name} {value.hex()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
