"""The image of the inference node: which file goes where, and what it measures.

The first ramdisk boots: a shell, the drivers of the enclave's devices, and our init. The second holds Python, the
packages and our source. No key, no configuration and no model is in an image: those come in when it runs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paraph
from paraph.adapters.enclaves.archive import Entry, Kind, file, link, pack
from paraph.adapters.enclaves.eif import Image
from paraph.adapters.enclaves.package import package_entries
from tools.enclave.packages import LIBRARIES, debian_entries, kernel_of, modules_of, takes_devices, wheel_entries

INIT: Final = Path(__file__).parent / "init"
CMDLINE: Final = b"reboot=k panic=1 console=ttyS0 random.trust_cpu=on quiet"
"""Reboot by the keyboard's controller, and after a panic at once: an enclave that stopped ends."""
MODULES: Final = ("virtio_mmio", "vmw_vsock_virtio_transport", "nsm")
"""What finds the devices, the line to the machine outside, the security module."""
NO_DEVICES: Final = (
    "this kernel does not learn of devices from its command line (CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES), and AWS Nitro "
    "tells them there: such an image boots where devices are found otherwise; for AWS, give a kernel that does by "
    "--kernel"
)
FOLDERS: Final = ("dev", "proc", "run", "sys", "tmp")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What boots.

    Args:
        image: the kernel.
        modules: its modules by name, in the order in which they are loaded.
        note: what whoever builds with it should know; empty where there is nothing.
    """

    image: bytes
    modules: tuple[tuple[str, bytes], ...]
    note: str = ""


def debian_kernel(package: bytes) -> Kernel:
    """The kernel of a Debian package, with the drivers of an enclave's devices."""
    entries = debian_entries(package)
    note = "" if takes_devices(entries) else NO_DEVICES
    return Kernel(kernel_of(entries), tuple(modules_of(entries, MODULES)), note)


def own_kernel(kernel: Path, modules: Sequence[Path]) -> Kernel:
    """An operator's kernel, with modules in the order in which they are to be loaded; none where all is built in."""
    return Kernel(kernel.read_bytes(), tuple((each.name.removesuffix(".ko"), each.read_bytes()) for each in modules))


def compose(kernel: Kernel, shell: bytes, packages: Sequence[bytes], wheels: Sequence[bytes]) -> Image:
    """The image.

    Args:
        kernel: what boots.
        shell: the Debian package of a statically linked busybox.
        packages: those with Python and the libraries it needs.
        wheels: what the node imports.
    """
    busybox = next(each for each in debian_entries(shell) if each.name == "bin/busybox")
    names = [f"{number:02}-{name}.ko" for number, (name, _) in enumerate(kernel.modules)]
    boot = [
        file("init", INIT.read_bytes(), executable=True),
        file("bin/busybox", busybox.data, executable=True),
        *(Entry(name, Kind.FOLDER) for name in (*FOLDERS, "modules")),
        *(file(f"modules/{name}", data) for name, (_, data) in zip(names, kernel.modules, strict=True)),
    ]
    application = {each.name: each for package in packages for each in debian_entries(package)}
    application |= {each.name: each for wheel in wheels for each in wheel_entries(wheel)}
    application |= {each.name: each for each in package_entries(LIBRARIES)}
    links = [link("lib", "usr/lib"), link("lib64", "usr/lib64")]
    return Image(kernel.image, CMDLINE, (pack(boot), pack([*application.values(), *links])), _metadata())


def _metadata() -> bytes:
    """What tools that start enclaves show; nothing in it depends on the machine or the time."""
    build = {
        "BuildTime": "1970-01-01T00:00:00Z",
        "BuildTool": "paraph",
        "BuildToolVersion": paraph.__version__,
        "OperatingSystem": "Linux",
        "KernelVersion": "locked",
    }
    said = {"ImageName": "paraph", "ImageVersion": paraph.__version__, "BuildMetadata": build, "DockerInfo": {}}
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
