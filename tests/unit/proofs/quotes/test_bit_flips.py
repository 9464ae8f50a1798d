"""Recorded evidence with one bit turned: ten thousand places of each sample, spread evenly, and none is believed.

Nothing is excepted. What might be is refused in reading: Nitro's unprotected header must be empty, what follows SNP's
two numbers must be zero, and a second spelling of a length or a number is an error in CBOR, DER and RLP alike. The
twin (r, n − s) of a signature, which does verify, differs from it in far more than one bit.
"""

import base64
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from tests.support.nvidia import recorded as recorded_devices

from paraph.core.errors import Unverified
from paraph.proofs.quotes import nitro, nvidia, snp
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.roots import AMD_GENOA, AMD_TURIN, AWS_NITRO, NVIDIA_DEVICE
from paraph.proofs.quotes.rsa import pss_sha384

RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation"
FLIPS: Final = 10_000
THEN_S: Final = 1_780_000_000
SPOILT: Final = ("invalid_attestation", "InvalidSignature")

Sample: TypeAlias = tuple[bytes, Callable[[bytes], object]]
"""Genuine bytes, and what raises unless it believes them."""

ecdsa = lru_cache(65_536)(p384_sha384)
pss = lru_cache(65_536)(pss_sha384)
"""What authorities signed once is looked at once."""


def of_nitro(now_s: int, data: bytes) -> object:
    return nitro.verify(nitro.read(data), nitro.Root(AWS_NITRO, TrustClass.HARDWARE), now_s, ecdsa)


def of_snp(root: snp.Root, sizes: tuple[int, int], data: bytes) -> object:
    end, ask = snp.REPORT_BYTES, snp.REPORT_BYTES + sizes[0]
    chain = (root.certificate, data[end:ask], data[ask:])
    return snp.verify(snp.read(data[:end]), chain, root, THEN_S, pss, ecdsa)


def of_nvidia(nonce: bytes, data: bytes) -> object:
    return nvidia.verify(nvidia.read(data), nvidia.Root(NVIDIA_DEVICE, TrustClass.HARDWARE), nonce, THEN_S, ecdsa)


def certificate(name: str) -> bytes:
    """A recorded certificate, as DER."""
    data = (RECORDED / "snp" / name).read_bytes()
    return base64.b64decode(b"".join(data.split(b"-----")[2].split())) if name.endswith(".pem") else data


def samples() -> dict[str, Sample]:
    """All genuine samples, by name."""
    found: dict[str, Sample] = {}
    for path in sorted((RECORDED / "nitro").glob("*.bin")):
        data = path.read_bytes()
        found[path.stem] = data, partial(of_nitro, nitro.read(data).time_ms // 1_000)
    genoa = snp.Root(AMD_GENOA, TrustClass.HARDWARE, snp.GENOA)
    turin = snp.Root(AMD_TURIN, TrustClass.HARDWARE, snp.TURIN)
    for report, root, *names in (
        ("ms_genoa_report", genoa, "ms_genoa_ask.pem", "ms_genoa_vcek.pem"),
        ("lunal_genoa_v5_report", genoa, "genoa_ask.der", "lunal_genoa_vcek.der"),
        ("ms_turin_report", turin, "ms_turin_ask.pem", "ms_turin_vcek.pem"),
    ):
        ask, vcek = (certificate(name) for name in names)
        data = (RECORDED / "snp" / f"{report}.bin").read_bytes()
        found[report] = data + ask + vcek, partial(of_snp, root, (len(ask), len(vcek)))
    for name, data in recorded_devices(RECORDED / "nvidia").items():
        found[name] = data, partial(of_nvidia, nvidia.read(data).nonce)
    return {name: sample for name, sample in found.items() if not any(each in name for each in SPOILT)}


SAMPLES: Final = samples() if RECORDED.exists() else {}


@pytest.mark.skipif(not SAMPLES, reason="the recorded evidence is not here")
def test_samples() -> None:
    """Each sample is believed as it is."""
    assert len(SAMPLES) == 18 + 3 + 11
    for data, check in SAMPLES.values():
        check(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_flips(name: str) -> None:
    """With any one bit turned, a sample is not believed."""
    data, check = SAMPLES[name]
    bits = 8 * len(data)
    believed = []
    for flip in range(FLIPS):
        place = flip * bits // FLIPS
        turned = bytearray(data)
        turned[place // 8] ^= 1 << place % 8
        try:
            check(bytes(turned))
            believed.append(place)
        except Unverified:
            pass

    assert bits > FLIPS
    assert believed == []
