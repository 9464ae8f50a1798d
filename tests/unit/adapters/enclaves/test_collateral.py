"""What verification needs besides a report: from files that an operator keeps."""

import json
from pathlib import Path
from typing import Final

import pytest

from paraph.adapters.enclaves.collateral import FILE_BYTES_MAX, host_certificates, kept_certificates, kept_collateral
from paraph.adapters.enclaves.tsm import Collateral, Report
from paraph.core.errors import ParaphError
from paraph.proofs.quotes.intel_collateral import PARTS
from paraph.proofs.quotes.pem import written

REPORT: Final = Report(b"signed", b"")
RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "dcap"


def code(collateral: Collateral) -> str:
    with pytest.raises(ParaphError) as caught:
        collateral(REPORT)
    return caught.value.code


def test_a_chain_is_read_from_pem(tmp_path: Path) -> None:
    """A chain in a file is handed on as DER, in its order."""
    (tmp_path / "chain.pem").write_bytes(written(b"root") + written(b"authority") + written(b"chip"))

    assert kept_certificates(tmp_path / "chain.pem")(REPORT) == (b"root", b"authority", b"chip")


def test_collateral_is_read_anew_for_each_report(tmp_path: Path) -> None:
    """Whatever renews Intel's word need not stop the node."""
    file = tmp_path / "collateral.json"
    found = kept_collateral(file)
    parts = {name: "00" if name.endswith(("_crl", "_signature")) else name for name in PARTS}
    file.write_text(json.dumps(parts))
    first = found(REPORT)
    file.write_text(json.dumps(parts | {"tcb_info": "newer"}))

    assert first[PARTS.index("tcb_info")] == b"tcb_info"
    assert found(REPORT)[PARTS.index("tcb_info")] == b"newer"


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded samples are not here")
def test_recorded_collateral_is_read() -> None:
    """A recorded file of collateral gives nine parts."""
    assert len(kept_collateral(RECORDED / "tdx_quote_collateral.json")(REPORT)) == 9


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Without the file there is no evidence, and the error names the file."""
    assert code(kept_certificates(tmp_path / "none")) == "enclave.collateral"
    assert code(kept_collateral(tmp_path / "none")) == "enclave.collateral"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"tcb_info": 1}', bytes(FILE_BYTES_MAX + 1)])
def test_odd_collateral_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no collateral is refused, not handed on."""
    (tmp_path / "file").write_bytes(content)

    assert code(kept_collateral(tmp_path / "file")) == "collateral.form"


def test_a_host_that_gives_nothing_is_said() -> None:
    """A report without certificates beside it needs them from elsewhere."""
    assert code(host_certificates) == "enclave.certificates"
