"""What the verification of a report needs besides it: from the host, or from files that the operator keeps.

None of it is believed here: it is signed by Intel or AMD, and whoever verifies the report checks that.
"""

from pathlib import Path
from typing import Final

from dcap_qvl import QuoteCollateralV3  # type: ignore[import-untyped]

from paraph.adapters.enclaves.certificate_table import chain, read
from paraph.adapters.enclaves.tsm import Collateral, Report
from paraph.core.errors import Malformed, Unavailable
from paraph.proofs.quotes.intel_collateral import parts_of
from paraph.proofs.quotes.pem import certificates

FILE_BYTES_MAX: Final = 1 << 20
"""Intel's collateral has 30 kB, AMD's chain 6 kB."""


def host_certificates(report: Report) -> tuple[bytes, ...]:
    """SEV-SNP: the chain that the host put beside the report.

    Raises:
        Unavailable: `enclave.certificates`: it put none there. Malformed: `certificates.form`, `pem.form`.
    """
    return chain(read(report.beside))


def kept_certificates(path: Path) -> Collateral:
    """SEV-SNP: the chain in a file of the operator's: PEM, the root first, the chip's certificate last."""

    def found(_: Report) -> tuple[bytes, ...]:
        return certificates(_content(path), str(path))

    return found


def kept_collateral(path: Path) -> Collateral:
    """TDX: what Intel says of the chip, in a file of the operator's: JSON of nine parts, as `dcap-qvl` writes it.

    Intel signs it anew all the time, and verifiers refuse it when it is old: the file is read for each report, so that
    whatever renews it need not stop the node.
    """

    def found(_: Report) -> tuple[bytes, ...]:
        try:
            return parts_of(QuoteCollateralV3.from_json(_content(path).decode()))
        except ValueError as error:
            raise Malformed("collateral.form", f"{path} is no collateral of Intel's as JSON: {error}") from error

    return found


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Unavailable("enclave.collateral", f"{path} cannot be read: {error.strerror}", path=path) from error
    if len(found) > FILE_BYTES_MAX:
        raise Malformed("collateral.form", f"{path} has more than {FILE_BYTES_MAX} bytes")
    return found
