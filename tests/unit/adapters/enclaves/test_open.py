"""The door to enclaves: a platform is what was asked for or an error, never another one."""

from pathlib import Path
from typing import Final

import pytest

from paraph.adapters.enclaves.nitro import DEVICE
from paraph.adapters.enclaves.open import Places, open_enclave
from paraph.adapters.enclaves.simulated import CERTIFICATE, make_root
from paraph.adapters.enclaves.tsm import REPORTS
from paraph.adapters.fakes.clock import FakeClock
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.claims import TrustClass

CLOCK: Final = FakeClock(1_760_000_000_000)


def refused(platform: str, places: Places) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        open_enclave(platform, places, CLOCK)
    return caught.value


def test_a_simulated_enclave_measures_this_package(tmp_path: Path) -> None:
    """A simulated enclave opens with a root, verifies under it, and is not taken for one that is debugged."""
    root = make_root(tmp_path, CLOCK)
    enclave = open_enclave("simulated", Places(root=tmp_path), CLOCK)

    found = evidence.verify(enclave.attest(b"d" * 64, Digest(bytes(32)), b"k"), root, CLOCK.now_ms() // 1_000)

    assert (enclave.platform, found.trust, found.debug) == ("simulated", TrustClass.SIMULATED, False)
    assert (tmp_path / CERTIFICATE).read_bytes() == root


def test_a_simulated_enclave_needs_a_root(tmp_path: Path) -> None:
    """Without the place of a root, or with a place that has none, nothing is simulated."""
    assert refused("simulated", Places()).code == "enclave.place"
    assert refused("simulated", Places(root=tmp_path)).code == "enclave.root"


@pytest.mark.skipif(DEVICE.exists(), reason="this machine is a Nitro enclave")
def test_nitro_is_not_simulated(tmp_path: Path) -> None:
    """Where there is no security module, the error says so, though a simulated root is at hand."""
    make_root(tmp_path, CLOCK)

    found = refused("nitro", Places(root=tmp_path))

    assert isinstance(found, Unavailable)
    assert found.code == "enclave.nitro"


@pytest.mark.skipif(REPORTS.is_dir(), reason="this machine makes reports")
@pytest.mark.parametrize("platform", ["tdx", "snp"])
def test_a_kernel_without_reports_is_said(platform: str, tmp_path: Path) -> None:
    """Where the kernel makes no reports, the error says what to load and to mount."""
    found = refused(platform, Places(collateral=tmp_path, certificates=tmp_path))

    assert found.code == "enclave.tsm"
    assert "configfs" in found.message


def test_tdx_needs_collateral() -> None:
    """Intel's word on the chip must come from somewhere."""
    assert refused("tdx", Places()).code == "enclave.place"


@pytest.mark.parametrize("platform", ["", "sgx", "Nitro", "nitro\n", "x" * 5_000])
def test_no_other_platform(platform: str) -> None:
    """A name that is none is refused, and the names that are stand in the error."""
    found = refused(platform, Places())

    assert isinstance(found, Rejected)
    assert found.code == "enclave.name"
    assert "simulated" in found.message
    assert len(found.message) < 200
