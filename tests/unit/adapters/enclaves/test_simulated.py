"""Simulated enclaves: their documents verify like real ones, under their own root and no other."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from paraph.adapters.enclaves.eif import measurements
from paraph.adapters.enclaves.package import package_image
from paraph.adapters.enclaves.simulated import CERTIFICATE, KEY, ORGANIZATION, SimulatedEnclave, make_root, read_root
from paraph.adapters.fakes.clock import FakeClock
from paraph.core import cbor
from paraph.core.errors import Rejected, Unavailable, Unverified
from paraph.core.ident import Digest
from paraph.proofs.quotes import evidence, nitro
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.roots import AWS_NITRO

NOW_MS: Final = 1_760_000_000_123
NOW_S: Final = NOW_MS // 1_000
HOUR_MS: Final = 3_600_000
MEASURED: Final = {f"pcr{index}": bytes((index + 1,)) * 48 for index in range(3)}
NONCE: Final = Digest(b"n" * 32)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands."""
    return FakeClock(NOW_MS)


@pytest.fixture
def root(tmp_path: Path, clock: FakeClock) -> Path:
    """A folder with a root."""
    make_root(tmp_path, clock)
    return tmp_path


def claims(enclave: SimulatedEnclave, root: Path, now_s: int, data: bytes = b"d" * 64) -> Claims:
    """What a fresh document of the enclave proves under the root."""
    shown = enclave.attest(data, NONCE, b"k" * 32)
    return evidence.verify(shown, (root / CERTIFICATE).read_bytes(), now_s)


def chain(enclave: SimulatedEnclave) -> list[x509.Certificate]:
    """The certificates of a fresh document, root first."""
    document = nitro.read(enclave.attest(b"d", NONCE, b"k").document)
    return [x509.load_der_x509_certificate(each) for each in (*document.authorities, document.certificate)]


def test_a_document_verifies_as_simulated(root: Path, clock: FakeClock) -> None:
    """A document proves what was put into it, and its class is `simulated`, which follows from its root."""
    enclave = SimulatedEnclave(root, MEASURED, clock)

    found = claims(enclave, root, NOW_S)

    assert (found.platform, found.trust, found.debug) == ("simulated", TrustClass.SIMULATED, False)
    assert (found.data, found.nonce, found.key) == (b"d" * 64, NONCE, b"k" * 32)
    assert found.time_ms == NOW_MS
    assert found.module == enclave.module
    assert {name: found.measurements[name] for name in MEASURED} == MEASURED


def test_no_other_root_believes_it(root: Path, clock: FakeClock) -> None:
    """AWS's root, another devnet's, and a network without one refuse the document."""
    enclave = SimulatedEnclave(root, MEASURED, clock)
    shown = enclave.attest(b"d" * 64, NONCE, b"k")
    other = make_root(root / "other", clock)

    for believed in (AWS_NITRO, other, evidence.NO_ROOT):
        with pytest.raises(Unverified) as caught:
            evidence.verify(shown, believed, NOW_S)
        assert caught.value.code == "quote.root"
    with pytest.raises(Unverified) as caught:
        evidence.verify(evidence.Evidence("nitro", shown.document), other, NOW_S)
    assert caught.value.code == "quote.root"


def test_it_cannot_pass_for_hardware(root: Path, clock: FakeClock) -> None:
    """Even a verifier that takes the root for hardware's refuses: the document names itself simulated."""
    document = nitro.read(SimulatedEnclave(root, MEASURED, clock).attest(b"d", NONCE, b"k").document)
    mistaken = nitro.Root((root / CERTIFICATE).read_bytes(), TrustClass.HARDWARE)

    with pytest.raises(Unverified) as caught:
        nitro.verify(document, mistaken, NOW_S, p384_sha384)

    assert caught.value.code == "quote.simulated"


def test_every_certificate_says_what_it_is(root: Path, clock: FakeClock) -> None:
    """Each certificate has the mark in its subject, and the life and length of its real model."""
    found = chain(SimulatedEnclave(root, MEASURED, clock))

    assert all(f"O={ORGANIZATION}" in each.subject.rfc4514_string() for each in found)
    lives = [each.not_valid_after_utc - each.not_valid_before_utc for each in found[1:]]
    assert lives == [timedelta(days=20), timedelta(days=6), timedelta(days=1), timedelta(hours=3, seconds=3)]
    lengths = [each.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for each in found]
    assert lengths == [None, 2, 1, 0, None]
    assert all(len(each.public_bytes(Encoding.DER)) <= 1_024 for each in found)


def test_a_document_has_the_form_of_recorded_ones(root: Path, clock: FakeClock) -> None:
    """Untagged, a map of no stated length in the known order, sixteen registers, null for what was not given."""
    document = SimulatedEnclave(root, MEASURED, clock).attest(b"", NONCE, b"").document
    parts = cbor.decode(document)
    assert isinstance(parts, list)
    payload = parts[2]
    assert isinstance(payload, bytes)
    said = cbor.decode(payload)
    assert isinstance(said, dict)

    assert document.startswith(bytes.fromhex("8444a1013822a059"))
    assert (payload[0], payload[-1]) == (0xBF, 0xFF)
    names = "module_id digest timestamp pcrs certificate cabundle public_key user_data nonce"
    assert list(said) == names.split()
    assert (said["public_key"], said["user_data"]) == (None, None)
    assert list(said["pcrs"]) == list(range(16))


def test_each_instance_has_its_own_name(root: Path, clock: FakeClock) -> None:
    """Two enclaves of one network are told apart, and the register of the machine, too."""
    one, other = (claims(SimulatedEnclave(root, MEASURED, clock), root, NOW_S) for _ in range(2))

    assert one.module != other.module
    assert one.measurements["pcr4"] != other.measurements["pcr4"]
    assert any(one.measurements["pcr4"])


@pytest.mark.parametrize("hours", [0, 1, 2, 3, 25, 24 * 21, 24 * 365])
def test_certificates_are_renewed_in_time(root: Path, clock: FakeClock, hours: int) -> None:
    """Whenever it attests, what it says verifies then and for more than an hour after."""
    enclave = SimulatedEnclave(root, MEASURED, clock)
    clock.advance(hours * HOUR_MS)
    now_s = clock.now_ms() // 1_000
    shown = enclave.attest(b"d" * 64, NONCE, b"k")

    for later_s in (0, 3_600, 5_000):
        assert evidence.verify(shown, (root / CERTIFICATE).read_bytes(), now_s + later_s).data == b"d" * 64


def test_a_leaf_ends(root: Path, clock: FakeClock) -> None:
    """A document is worth nothing after its leaf's three hours: renewal is needed, and is seen to happen."""
    enclave = SimulatedEnclave(root, MEASURED, clock)
    first = chain(enclave)[-1]
    shown = enclave.attest(b"d", NONCE, b"k")
    clock.advance(2 * HOUR_MS)

    assert chain(enclave)[-1] != first
    with pytest.raises(Unverified) as caught:
        evidence.verify(shown, (root / CERTIFICATE).read_bytes(), NOW_S + 3 * 3_600 + 4)
    assert caught.value.code == "quote.chain.time"


def test_a_certificate_serves_for_many_documents(root: Path, clock: FakeClock) -> None:
    """A verifier that remembers chains profits: they stay the same until they are renewed."""
    enclave = SimulatedEnclave(root, MEASURED, clock)

    assert chain(enclave) == chain(enclave)


def test_zeros_play_debugging(root: Path, clock: FakeClock) -> None:
    """An enclave with zero measurements is told to be one that its host can look into."""
    zeros = dict.fromkeys(MEASURED, bytes(48))

    assert claims(SimulatedEnclave(root, zeros, clock), root, NOW_S).debug


def test_the_key_is_private_and_made_once(root: Path, clock: FakeClock) -> None:
    """The key's file is its owner's alone, and a network's root is never replaced."""
    before = (root / CERTIFICATE).read_bytes()

    assert (root / KEY).stat().st_mode & 0o777 == 0o600
    with pytest.raises(Rejected) as caught:
        make_root(root, clock)
    assert caught.value.code == "enclave.root"
    assert (root / CERTIFICATE).read_bytes() == before
    assert sorted(each.name for each in root.iterdir()) == sorted((CERTIFICATE, KEY))


def test_roots_of_two_networks_differ(tmp_path: Path, clock: FakeClock) -> None:
    """No two networks share a root: keys are made, not shipped."""
    assert make_root(tmp_path / "one", clock) != make_root(tmp_path / "other", clock)


def test_a_place_that_is_no_folder_is_said(tmp_path: Path, clock: FakeClock) -> None:
    """Where no root can be written, the error says so."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises((Unavailable, Rejected)) as caught:
        make_root(tmp_path / "file" / "below", clock)

    assert caught.value.code == "enclave.root"


@pytest.mark.parametrize("damage", ["nothing", "no key", "garbage", "another key", "key of another kind"])
def test_a_damaged_root_is_not_used(tmp_path: Path, clock: FakeClock, damage: str) -> None:
    """Without a root whose parts belong together, there is no simulated enclave."""
    if damage != "nothing":
        make_root(tmp_path, clock)
    match damage:
        case "no key":
            (tmp_path / KEY).unlink()
        case "garbage":
            (tmp_path / CERTIFICATE).write_bytes(b"garbage")
        case "another key":
            make_root(tmp_path / "other", clock)
            (tmp_path / KEY).write_bytes((tmp_path / "other" / KEY).read_bytes())
        case "key of another kind":
            # Ed25519 of zeros, as PKCS #8 (RFC 8410).
            (tmp_path / KEY).write_bytes(bytes.fromhex("302e020100300506032b657004220420") + bytes(32))
        case _:
            assert damage == "nothing"

    with pytest.raises(Unavailable) as caught:
        read_root(tmp_path)

    assert caught.value.code == "enclave.root"


def test_the_package_measures_the_same_elsewhere() -> None:
    """Another process computes the same measurements of the package, by the rule of real images."""
    script = (
        "import json\nfrom paraph.adapters.enclaves.eif import measurements\n"
        "from paraph.adapters.enclaves.package import package_image\n"
        "print(json.dumps({name: value.hex() for name, value in measurements(package_image()).items()}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    elsewhere = {name: bytes.fromhex(value) for name, value in json.loads(done.stdout).items()}

    assert elsewhere == measurements(package_image())
    assert len(set(elsewhere.values())) == 3


def test_the_package_is_all_of_it_and_nothing_else() -> None:
    """The application's part holds every module, and no compiled file of this machine."""
    boot, application = package_image().ramdisks

    assert b"paraph/proofs/quotes/nitro.py\0" in application
    assert b"paraph/py.typed\0" in application
    assert b".pyc\0" not in application
    assert b"CPython 3." in boot
