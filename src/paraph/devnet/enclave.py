"""What runs in a devnet's simulated enclave: this very package, measured as an enclave's image would be."""

from paraph import __version__
from paraph.adapters.enclaves.eif import measurements
from paraph.adapters.enclaves.package import package_image
from paraph.ledger.rooms.measurements.rules import GenesisRelease


def package_release() -> GenesisRelease:
    """The release that the installed package is."""
    name = f"paraph {__version__} (SIMULATED)"
    return GenesisRelease("simulated", name, measurements(package_image()), f"paraph {__version__}, as installed here")
