"""NVIDIA's devices: what they signed verifies, every fault has its own refusal, and all of them must be there."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.der import node
from tests.support.nitro import NOW_S, Place
from tests.support.nvidia import (
    FIRMWARE,
    GPU,
    MEASUREMENTS,
    NONCE,
    ROOT,
    SHA384_OID,
    SWITCH,
    SWITCH_NAMES,
    Made,
    composite,
    recorded,
    root,
    tcb_info,
)

from paraph.core.digest import sha256
from paraph.core.errors import Malformed, Unverified
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.nvidia import (
    DeviceClaims,
    DeviceEvidence,
    Expected,
    Golden,
    Root,
    check_devices,
    check_golden,
    read,
    verify,
)
from paraph.proofs.quotes.roots import NVIDIA_DEVICE
from paraph.proofs.quotes.x509 import read_certificate

RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "nvidia"
LATER_S: Final = 1_780_000_000
here = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded evidence is not here")
remembered = lru_cache(1_024)(p384_sha384)
"""Checks what authorities signed once: they are the same in many devices' chains."""


def claims(data: bytes, nonce: bytes = NONCE, now_s: int = NOW_S) -> DeviceClaims:
    """What a device's evidence proves."""
    return verify(read(data), Root(root(), TrustClass.SIMULATED), nonce, now_s, p384_sha384)


def with_chain(change: Callable[[list[bytes]], object]) -> bytes:
    """Evidence with another chain."""
    chain = list(GPU.chain())
    change(chain)
    return DeviceEvidence("gpu", GPU.report(), tuple(chain)).encode()


def block(index: int, head: str = "013300013000", size: int = 48) -> bytes:
    return bytes((index,)) + bytes.fromhex(head) + b"m" * size


def report(data: bytes) -> bytes:
    return DeviceEvidence("gpu", data, GPU.chain()).encode()


OTHER: Final = GPU.but(device="two")

FAULTS: Final[Mapping[str, tuple[Callable[[], bytes], str]]] = {
    "nothing": (lambda: b"", "envelope.size"),
    "too large": (lambda: bytes(16_385), "envelope.size"),
    "no record": (lambda: b"\x80", "envelope.device"),
    "other kind": (GPU.but(kind="cpu").made, "envelope.kind"),
    "report too large": (lambda: report(bytes(8_193)), "envelope.size"),
    "four certificates": (lambda: with_chain(lambda chain: chain.pop()), "envelope.certificate"),
    "no certificates": (lambda: with_chain(lambda chain: chain.clear()), "envelope.certificate"),
    "large certificate": (lambda: with_chain(lambda chain: chain.__setitem__(4, bytes(1_025))), "envelope.certificate"),
    "no report": (lambda: report(b""), "envelope.request"),
    "other request": (GPU.but(request=bytes.fromhex("11e000ff")).made, "envelope.request"),
    "other slot": (GPU.but(slot=b"\1").made, "envelope.request"),
    "request alone": (lambda: report(GPU.report()[:40]), "envelope.response"),
    "response's head cut off": (lambda: report(GPU.report()[:41]), "envelope.response"),
    "other response": (GPU.but(response=bytes.fromhex("11610000")).made, "envelope.response"),
    "no blocks": (GPU.but(blocks=b"").made, "envelope.measurements"),
    "one block less than said": (GPU.but(count=65).made, "envelope.measurements"),
    "one block more than said": (GPU.but(count=63).made, "envelope.measurements"),
    "longer than said": (GPU.but(size=3_521).made, "envelope.measurements"),
    "cut off in the blocks": (lambda: report(GPU.report()[:1_000]), "envelope.measurements"),
    "cut off": (lambda: report(GPU.report()[:-1]), "envelope.response"),
    "trailing byte": (lambda: report(GPU.report() + b"\0"), "envelope.response"),
    "one measurement twice": (GPU.but(blocks=block(1) + block(1)).made, "envelope.measurements"),
    "index 0": (GPU.but(blocks=block(0)).made, "envelope.measurements"),
    "not of DMTF's form": (GPU.but(blocks=block(1, "023300013000")).made, "envelope.measurements"),
    "digest of 32 bytes": (GPU.but(blocks=block(1, "013300012000")).made, "envelope.measurements"),
    "field cut off": (GPU.but(opaque=b"\3\0\7\0abc").made, "envelope.opaque"),
    "field's head cut off": (GPU.but(opaque=b"\3\0\0\0\4").made, "envelope.opaque"),
    "field twice": (GPU.but(opaque=b"\3\0\1\0a" * 2).made, "envelope.opaque"),
    "other root": (
        lambda: with_chain(lambda chain: chain.__setitem__(0, Place("thief").made(Place("thief")))),
        "quote.root",
    ),
    "authority by another": (
        lambda: with_chain(lambda chain: chain.__setitem__(1, Place("GH100 Identity").made(Place("thief")))),
        "quote.chain.name",
    ),
    "authority by another of that name": (
        lambda: with_chain(
            lambda chain: chain.__setitem__(1, Place("GH100 Identity", signer="thief").made(ROOT)),
        ),
        "quote.chain.signature",
    ),
    "no certificate": (lambda: with_chain(lambda chain: chain.__setitem__(2, b"\x30\0")), "quote.certificate"),
    "leaf of another GPU": (lambda: with_chain(lambda chain: chain.__setitem__(4, OTHER.leaf())), "quote.chain.name"),
    "chain of another GPU": (
        lambda: DeviceEvidence("gpu", GPU.report(), OTHER.chain()).encode(),
        "quote.signature",
    ),
    "another key": (GPU.but(signer="thief").made, "quote.signature"),
    "request altered": (lambda: report(GPU.report().replace(NONCE, b"n" * 32)), "quote.signature"),
    "another question": (GPU.but(nonce=b"n" * 32).made, "quote.nonce"),
    "other firmware": (GPU.saying({20: b"x" * 48}).made, "quote.firmware"),
    "no firmware in the certificate": (GPU.but(dice=None).made, "quote.certificate"),
    "firmware by a short digest": (GPU.but(dice=composite(b"f" * 32)).made, "quote.certificate"),
    "no list of firmware": (
        GPU.but(dice=("2.23.133.5.4.1.1", node(0x30, node(0x80, b"NVIDIA")))).made,
        "quote.certificate",
    ),
    "firmware by another algorithm": (
        GPU.but(
            dice=("2.23.133.5.4.1", node(0x30, node(0x30, b"\6\1\x2a", node(0x04, FIRMWARE)))),
        ).made,
        "quote.certificate",
    ),
    "firmware that is no bytes": (
        GPU.but(dice=("2.23.133.5.4.1", node(0x30, node(0x30, SHA384_OID, node(0x03, FIRMWARE))))).made,
        "quote.certificate",
    ),
    "switch as a GPU": (SWITCH.but(kind="gpu").made, "quote.kind"),
    "GPU as a switch": (GPU.but(kind="switch").made, "quote.kind"),
    "no driver": (GPU.saying({3: None}).made, "quote.fields"),
    "driver that is no text": (GPU.saying({3: b"590 12"}).made, "quote.fields"),
    "short version": (GPU.saying({6: b"\0\1"}).made, "quote.fields"),
    "long version": (GPU.saying({6: b"\0\1\2\3\4\5\0\0"}).made, "quote.fields"),
    "decoder neither on nor off": (GPU.saying({11: b"\0"}).made, "quote.fields"),
    "PCIe neither protected nor not": (GPU.saying({21: b"\0"}).made, "quote.fields"),
    "PCIe protected by one word only": (GPU.saying({36: b"\2\0"}).made, "quote.fields"),
    "PCIe protected by the other only": (GPU.saying({21: b"\xaa", 36: b"\1\0"}).made, "quote.fields"),
    "switches left out": (GPU.saying({21: b"\xaa"}).made, "quote.fields"),
    "no switch at any link": (GPU.saying({21: b"\xaa", 22: bytes(16)}).made, "quote.fields"),
    "half a switch": (GPU.saying({21: b"\xaa", 22: b"switch"}).made, "quote.fields"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """Evidence with one fault is refused for that."""
    make, code = FAULTS[name]

    with pytest.raises(Unverified) as caught:
        claims(make())

    assert caught.value.code == code


def test_claims_of_a_gpu() -> None:
    """A GPU proves its versions, its measurements and which device it is; fields that are not known do no harm."""
    found = claims(GPU.made())

    assert (found.kind, found.trust, found.product) == ("gpu", TrustClass.SIMULATED, "GH100")
    assert (found.driver, found.vbios, found.board) == ("590.12", "96.00.5E.00.01", "1010_0200_882")
    assert (found.measurements, found.firmware, found.ignored) == (MEASUREMENTS, FIRMWARE, frozenset({36}))
    assert (found.protected_pcie, found.switches, found.locked) == (False, frozenset(), False)
    assert found.identity == sha256(read_certificate(GPU.chain()[3], "it").key)
    assert [serial for _, serial in found.certificates] == [11, 12, 13, 14]


def test_claims_of_a_switch() -> None:
    """A switch proves its version, its name and that its settings are locked."""
    found = claims(SWITCH.made())

    assert (found.kind, found.product, found.driver, found.board) == ("switch", "LS10", "", "")
    assert (found.vbios, found.switches, found.locked) == ("96.10.55.00.01", frozenset({SWITCH_NAMES[0]}), True)
    assert (found.ignored, found.protected_pcie) == (frozenset(), False)
    assert not claims(SWITCH.saying({25: b"\0\0"}).made()).locked


def test_protected_pcie() -> None:
    """A GPU whose PCIe is protected names the switches at its links, and not the links that are off."""
    names = SWITCH_NAMES[0] + SWITCH_NAMES[1] + bytes(8) + SWITCH_NAMES[0]
    found = claims(GPU.saying({11: b"\xaa", 21: b"\xaa", 22: names, 36: b"\2\0"}).made())

    assert (found.protected_pcie, found.switches, found.ignored) == (True, frozenset(SWITCH_NAMES[:2]), frozenset())


def test_firmware() -> None:
    """Of a list of firmware the first counts; a report of an early driver does not repeat it."""
    assert claims(GPU.but(dice=tcb_info(FIRMWARE, b"0" * 48)).made()).firmware == FIRMWARE
    assert claims(GPU.saying({20: None, 21: None}).made()).firmware == FIRMWARE


def test_expired() -> None:
    """The chain must hold when it is looked at."""
    with pytest.raises(Unverified) as caught:
        claims(GPU.made(), now_s=NOW_S + 3_601)

    assert caught.value.code == "quote.chain.time"


@given(st.integers(0, 8 * len(GPU.made()) - 1))
def test_any_bit(place: int) -> None:
    """No bit of a device's evidence can be turned."""
    turned = bytearray(GPU.made())
    turned[place // 8] ^= 1 << place % 8

    with pytest.raises(Unverified):
        verify(read(bytes(turned)), Root(root(), TrustClass.SIMULATED), NONCE, NOW_S, remembered)


@given(st.binary(max_size=300), st.integers(0, 4_400))
def test_any_bytes(data: bytes, place: int) -> None:
    """Any bytes, alone, as a report or within one, are refused and never an error."""
    whole = GPU.report()
    for made in (data, report(data), report(whole[:place] + data + whole[place + len(data) :])):
        try:
            claims(made)
            accepted = True
        except Unverified:
            accepted = False

        # Bytes may have been replaced by themselves.
        assert accepted == (made == GPU.made())


# --- golden values ---

VALUES: Final = {index: frozenset({MEASUREMENTS[index], b"o" * 48}) for index in (1, 2, 36)}
GOLDEN: Final = Golden("GH100", "590.12", "96.00.5E.00.01", VALUES)
GOLDEN_SWITCH: Final = Golden("LS10", "", "96.10.55.00.01", {1: frozenset({MEASUREMENTS[1]})})


@pytest.mark.parametrize("values", [{}, {1: frozenset[bytes]()}], ids=["none", "none at an index"])
def test_empty_golden_values(values: Mapping[int, frozenset[bytes]]) -> None:
    """Values that expect nothing are none."""
    with pytest.raises(Malformed) as caught:
        Golden("GH100", "590.12", "96.00.5E.00.01", values)

    assert caught.value.code == "golden.empty"


def test_golden_values() -> None:
    """A device must measure as one of the approved values for its versions says, at each index."""
    other_board = Golden("GH100", "590.12", "96.00.5E.00.01", {1: frozenset({b"x" * 48})})

    assert check_golden(claims(GPU.made()), (GOLDEN,)) is GOLDEN
    assert check_golden(claims(GPU.made()), (other_board, GOLDEN_SWITCH, GOLDEN)) is GOLDEN


@pytest.mark.parametrize(
    ("made", "golden", "code"),
    [
        (GPU, (), "policy.device_version"),
        (GPU, (GOLDEN_SWITCH,), "policy.device_version"),
        (GPU.saying({3: b"590.13\0"}), (GOLDEN,), "policy.device_version"),
        (GPU.saying({6: bytes.fromhex("005e009602000000")}), (GOLDEN,), "policy.device_version"),
        (GPU.but(product="GB100"), (GOLDEN,), "policy.device_version"),
        (GPU.but(measurements={**MEASUREMENTS, 2: b"x" * 48}), (GOLDEN,), "policy.device_measurement"),
        (GPU.but(measurements={1: MEASUREMENTS[1]}), (GOLDEN,), "policy.device_measurement"),
        (
            GPU.saying({11: b"\xaa"}).but(measurements={**MEASUREMENTS, 36: b"x" * 48}),
            (GOLDEN,),
            "policy.device_measurement",
        ),
    ],
    ids=["none", "of a switch", "driver", "firmware", "product", "other", "left out", "decoder that is on"],
)
def test_other_measurements(made: Made, golden: tuple[Golden, ...], code: str) -> None:
    """A device of other versions, or that measures otherwise at one index, is refused."""
    with pytest.raises(Unverified) as caught:
        check_golden(claims(made.made()), golden)

    assert caught.value.code == code


def test_decoder_that_is_off() -> None:
    """What means nothing while the decoder is off is not compared."""
    made = GPU.but(measurements={**MEASUREMENTS, 36: b"x" * 48})

    assert check_golden(claims(made.made()), (GOLDEN,)) is GOLDEN


# --- all devices of an enclave ---

LINKED: Final = GPU.saying({21: b"\xaa", 22: SWITCH_NAMES[0] + SWITCH_NAMES[1]})
SECOND_SWITCH: Final = SWITCH.but(device="switch two").saying({22: SWITCH_NAMES[1]})
GPUS: Final = (LINKED, LINKED.but(device="two"))
SWITCHES: Final = (SWITCH, SECOND_SWITCH)
REVOKED: Final = frozenset({(read_certificate(GPU.chain()[4], "it").issuer, 14)})


def checked(*devices: Made, **changes: Any) -> tuple[DeviceClaims, ...]:
    """What a machine's devices prove, of which two GPUs and two switches are declared."""
    expected = Expected(**{"gpus": 2, "switches": 2, "golden": (GOLDEN, GOLDEN_SWITCH), **changes})
    believed = Root(root(), TrustClass.SIMULATED)
    return check_devices([each.made() for each in devices], believed, expected, NONCE, NOW_S, remembered)


def test_all_devices() -> None:
    """A machine with all its devices, in any order, proves each."""
    assert [each.kind for each in checked(*GPUS, *SWITCHES)] == ["gpu", "gpu", "switch", "switch"]
    assert [each.kind for each in checked(*SWITCHES, *GPUS)] == ["switch", "switch", "gpu", "gpu"]
    assert [each.kind for each in checked(GPU, OTHER, switches=0)] == ["gpu", "gpu"]
    assert checked(gpus=0, switches=0) == ()


DEVICES: Final[Mapping[str, tuple[Callable[[], object], str]]] = {
    "one GPU of two": (lambda: checked(GPUS[0], *SWITCHES), "policy.device_count"),
    "none": (checked, "policy.device_count"),
    "one too many": (lambda: checked(*GPUS, OTHER, *SWITCHES), "policy.device_count"),
    "a switch in place of a GPU": (
        lambda: checked(GPUS[0], *SWITCHES, SWITCH.but(device="three")),
        "policy.device_count",
    ),
    "one GPU twice": (lambda: checked(GPUS[0], GPUS[0], *SWITCHES), "policy.device_twice"),
    "one GPU twice, by two keys": (
        lambda: checked(GPUS[0], GPUS[0].but(dice=composite(b"g" * 48)).saying({20: b"g" * 48}), *SWITCHES),
        "policy.device_twice",
    ),
    "no switch": (lambda: checked(*GPUS, switches=0), "policy.device_switch"),
    "one switch of two": (lambda: checked(*GPUS, SWITCH, switches=1), "policy.device_switch"),
    "one switch open": (lambda: checked(*GPUS, SWITCH, SECOND_SWITCH.saying({25: b"\0\0"})), "policy.device_switch"),
    "a GPU of another question": (
        lambda: checked(GPUS[0], GPUS[1].but(nonce=b"n" * 32), *SWITCHES),
        "quote.nonce",
    ),
    "a GPU that measures otherwise": (
        lambda: checked(GPUS[0], GPUS[1].but(measurements={1: b"x" * 48}), *SWITCHES),
        "policy.device_measurement",
    ),
    "a revoked key": (
        lambda: checked(*GPUS, *SWITCHES, revoked_certificates=REVOKED),
        "policy.revoked_certificate",
    ),
}


@pytest.mark.parametrize("name", DEVICES)
def test_one_fault_of_many_devices(name: str) -> None:
    """A machine with one fault among its devices is refused for that."""
    check, code = DEVICES[name]

    with pytest.raises(Unverified) as caught:
        check()

    assert caught.value.code == code


# --- recorded evidence ---


BELIEVED: Final = Root(NVIDIA_DEVICE, TrustClass.HARDWARE)


def genuine(data: bytes) -> DeviceClaims:
    """What recorded evidence proves, of the question that it answers."""
    device = read(data)
    return verify(device, BELIEVED, device.nonce, LATER_S, remembered)


def test_root() -> None:
    """The root is the one that NVIDIA publishes."""
    assert sha256(NVIDIA_DEVICE).hex() == "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"


@here
def test_recorded_devices() -> None:
    """Genuine reports of Hopper, Blackwell and a switch verify by NVIDIA's root; the one that was changed does not."""
    found: dict[str, tuple[str, ...]] = {}
    for name, data in recorded(RECORDED).items():
        try:
            made = genuine(data)
            found[name] = (made.product, made.driver, made.vbios)
        except Unverified as error:
            found[name] = (error.code,)

    hopper = ("GH100", "590.12", "96.00.A5.00.01")
    assert found == {
        "evidence_hopper_590_12 0": hopper,
        "hopper_evidence 0": hopper,
        "hopper_evidence_cert_hold 0": ("GH100", "570.86.10", "96.00.AF.00.01"),
        **{f"multi_gpu_hopper {place}": hopper for place in range(4)},
        "switch_evidence_ls10 0": ("LS10", "", "96.10.55.00.01"),
        "hopperAttestationReport": ("GH100", "580.159.03", "96.00.74.00.20"),
        "sample_attestation_data_gpu_blackwellAttestationReport": ("GB100", "575.32", "97.00.88.00.0F"),
        "sample_attestation_data_gpu_hopperAttestationReport": ("GH100", "535.86.09", "96.00.5E.00.01"),
        "sample_attestation_data_gpu_hopperAttestationReportInvalidSignature": ("quote.signature",),
    }


@here
def test_recorded_machine() -> None:
    """Four GPUs of one machine are four devices, and name the same four switches, which must be shown, too."""
    found = recorded(RECORDED)
    devices = [found[f"multi_gpu_hopper {place}"] for place in range(4)]
    made = [genuine(each) for each in devices]
    golden = tuple(
        Golden(each.product, each.driver, each.vbios, {index: frozenset({value}) for index, value in values.items()})
        for each in made
        for values in [each.measurements]
    )
    nonce = read(devices[0]).nonce

    assert len({each.identity for each in made}) == 4
    assert len(frozenset.union(*(each.switches for each in made))) == 4
    with pytest.raises(Unverified) as caught:
        check_devices(devices, BELIEVED, Expected(4, 0, golden), nonce, LATER_S, remembered)
    assert caught.value.code == "policy.device_switch"
    with pytest.raises(Unverified) as caught:
        check_devices(devices[:3], BELIEVED, Expected(4, 0, golden), nonce, LATER_S, remembered)
    assert caught.value.code == "policy.device_count"


@here
def test_recorded_hold() -> None:
    """The certificate on hold verifies, and only the caller's list refuses it."""
    data = recorded(RECORDED)["hopper_evidence_cert_hold 0"]
    made = genuine(data)
    golden = (Golden(made.product, made.driver, made.vbios, {1: frozenset({made.measurements[1]})}),)
    nonce = read(data).nonce
    held = Expected(1, 0, golden, frozenset({made.certificates[-2]}))

    assert check_devices([data], BELIEVED, Expected(1, 0, golden), nonce, LATER_S, remembered) == (made,)
    with pytest.raises(Unverified) as caught:
        check_devices([data], BELIEVED, held, nonce, LATER_S, remembered)
    assert caught.value.code == "policy.revoked_certificate"
