"""One door to every enclave: by the name of the platform that the machine has.

A platform is chosen, never found by trying: a node whose hardware does not answer must not run on as a simulated one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.adapters.enclaves.collateral import host_certificates, kept_certificates, kept_collateral
from paraph.adapters.enclaves.eif import measurements
from paraph.adapters.enclaves.nitro import NitroEnclave
from paraph.adapters.enclaves.package import package_image
from paraph.adapters.enclaves.simulated import SimulatedEnclave
from paraph.adapters.enclaves.tsm import REPORTS, KernelFolders, TsmEnclave
from paraph.core.errors import Rejected, Unavailable
from paraph.flows.ports import Clock, Enclave

PLATFORMS: Final = ("nitro", "tdx", "snp", "simulated")


@dataclass(frozen=True, slots=True)
class Places:
    """Where a platform finds what is not in the machine itself; each needs its own and no other.

    Args:
        root: of `simulated`: the folder in which `make_root` left the root of a development network.
        collateral: of `tdx`: the file with Intel's collateral, which the operator keeps fresh.
        certificates: of `snp`: a file with the chip's chain, where the host gives none.
    """

    root: Path | None = None
    collateral: Path | None = None
    certificates: Path | None = None


def open_enclave(platform: str, places: Places, clock: Clock) -> Enclave:
    """The enclave that this program runs in.

    Args:
        platform: `nitro`, `tdx`, `snp`, or `simulated`, behind which NO HARDWARE stands.
        places: where files lie.
        clock: by which a simulated enclave dates what it signs; hardware has its own.

    Raises:
        Rejected: `enclave.name`: no such platform; `enclave.place`: it needs a place that is not given. Unavailable:
            `enclave.nitro`, `enclave.tsm`: its device is not here; `enclave.root`: there is no simulated root.
    """
    match platform:
        case "nitro":
            return NitroEnclave()
        case "tdx":
            return TsmEnclave(platform, kept_collateral(_given(places.collateral, "Intel's collateral")), _folders())
        case "snp":
            kept = places.certificates
            return TsmEnclave(platform, host_certificates if kept is None else kept_certificates(kept), _folders())
        case "simulated":
            root = _given(places.root, "the root of simulated enclaves, which only a devnet has")
            return SimulatedEnclave(root, measurements(package_image()), clock)
        case _:
            raise Rejected("enclave.name", f"{platform[:40]!a} is no platform of enclaves; there are {PLATFORMS}")


def _given(place: Path | None, what: str) -> Path:
    if place is None:
        raise Rejected("enclave.place", f"this platform needs the place of {what}")
    return place


def _folders() -> KernelFolders:
    if not REPORTS.is_dir():
        raise Unavailable(
            "enclave.tsm",
            f"{REPORTS} is not there: run in a virtual machine of TDX or SEV-SNP with Linux 6.7 or newer, load the "
            "driver tdx-guest or sev-guest, and mount configfs at /sys/kernel/config",
            folder=REPORTS,
        )
    return KernelFolders()
