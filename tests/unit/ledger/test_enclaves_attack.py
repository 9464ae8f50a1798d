"""Enclaves under attack: what stops no chain, and what closes an enclave and what does not."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from tests.support import tdx
from tests.support.der import node
from tests.support.nitro import NOW_S, Document, key
from tests.support_ledger import enclaves
from tests.support_ledger.enclaves import RELEASE, Shown, believing
from tests.support_ledger.meetings import live, met
from tests.support_ledger.world import code
from tests.unit.ledger.test_enclaves import _challenged, _on_tdx, record

from paraph.core import der
from paraph.core.errors import Malformed
from paraph.proofs.meeting import judge_meeting
from paraph.proofs.quotes import pem
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.quotes.policy import PINNED
from paraph.proofs.quotes.roots import INTEL_SGX
from paraph.proofs.records import release_id


def long_oid() -> bytes:
    """A certificate, signed by nobody, with an identifier of 3 000 bytes: more than 4 300 decimal digits."""
    name, algorithm = node(0x30), node(0x30, node(6, b"\x2a\x03"))
    extension = node(0x30, node(6, b"\x55\x81" + b"\xff" * 3_000 + b"\x7f"), node(4))
    times = node(0x30, *(node(0x17, year + b"0101000000Z") for year in (b"25", b"35")))
    fields = (node(0xA0, node(2, b"\2")), node(2, b"\1"), algorithm, name, times, name)
    signed = node(0x30, *fields, node(0x30, algorithm, node(3, b"\0\4")), node(0xA3, node(0x30, extension)))
    return node(0x30, signed, algorithm, node(3, b"\0\1"))


def test_a_long_identifier_is_malformed() -> None:
    """No identifier makes Python refuse to write a number down."""
    with pytest.raises(Malformed):
        der.oid(der.read(node(6, b"\x55\x81" + b"\xff" * 3_000 + b"\x7f"), "it"), "it")


def test_a_registration_stops_no_chain() -> None:
    """A quote whose certificate has a long identifier is refused like any other: the block goes on."""
    release = replace(RELEASE, platform="tdx", measurements=dict.fromkeys(PINNED["tdx"], b"x" * 48))
    shown = Shown(believing(releases=(RELEASE, release)))
    quote = tdx.TDX.but(chain=(long_oid(), tdx.certificate("authority"), INTEL_SGX)).quote()

    result = shown.register(release=release_id("tdx", release.measurements), evidence=Evidence("tdx", quote).encode())

    assert code(result) == "quote.certificate"


def test_a_challenge_stops_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in the collateral of a challenge, which anybody sends."""
    world, arguments = _on_tdx(monkeypatch)
    chain = pem.written(long_oid()) + pem.written(tdx.certificate("root"))
    later = tdx.TDX.but(versions=replace(tdx.VERSIONS, issued_s=tdx.ISSUED_S + 60))

    result = _challenged(world, *arguments, later.beside(tcb_info_issuer_chain=chain).parts())

    assert code(result) == "quote.certificate"


@pytest.mark.parametrize("serial", [b"\1" + bytes(40), b"\x80" + bytes(3)], ids=["long", "negative"])
def test_a_serial_number_stops_no_chain(monkeypatch: pytest.MonkeyPatch, serial: bytes) -> None:
    """Under a devnet's root anything is signed: also a number that 32 bytes cannot hold."""

    class Odd(Document):
        def certificates(self) -> list[bytes]:
            *above, leaf = super().certificates()
            top = der.sequence(der.read(leaf, "it"), "it")
            fields = [each.raw for each in der.sequence(top[0], "it")]
            signed = node(0x30, fields[0], node(2, serial), *fields[2:])
            signature = key("machine.sim").sign(signed, ec.ECDSA(SHA384()))
            return [*above, node(0x30, signed, top[1].raw, node(3, b"\0" + signature))]

    monkeypatch.setattr(enclaves, "Document", Odd)

    assert code(Shown(believing()).register()) == "quote.certificate"


REVOKED: Any = {"revoked": tdx.level("Revoked"), "beyond grace": tdx.level("OutOfDate", days=1000)}


@pytest.mark.parametrize("name", REVOKED)
def test_what_is_worth_nothing_is_closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What closes an enclave that is worth less closes one that is worth nothing."""
    world, arguments = _on_tdx(monkeypatch)

    said = tdx.VERSIONS.saying(tcbLevels=[REVOKED[name]])
    newer = tdx.TDX.but(versions=replace(said, issued_s=tdx.ISSUED_S + 60))
    _challenged(world, *arguments, newer.parts())

    assert record(world).height_last != 0


def test_older_collateral_closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intel's word of last week says nothing against that of today."""
    world, arguments = _on_tdx(monkeypatch)
    said = tdx.VERSIONS.saying(tcbLevels=[tdx.level("OutOfDate")], tcbEvaluationDataNumber=17)

    _challenged(world, *arguments, tdx.TDX.but(versions=replace(said, issued_s=tdx.ISSUED_S - 5 * 86_400)).parts())

    assert record(world).height_last == 0


def test_a_meeting_needs_a_state_of_its_time() -> None:
    """A state of two hours before says nothing of what was closed since."""
    late_ms = (NOW_S + 7_000) * 1000
    case = met(at_ms=late_ms, shown=live(timestamp=late_ms))

    assert not judge_meeting(case.meeting, case.trust, TrustClass.SIMULATED).verified
