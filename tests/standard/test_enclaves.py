"""What every `Enclave` does: the simulated one, and each real client against a stand-in for its kernel."""

import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cbor2
import pytest

from paraph.adapters.enclaves.nitro import NitroEnclave
from paraph.adapters.enclaves.simulated import SimulatedEnclave, make_root
from paraph.adapters.enclaves.tsm import TsmEnclave
from paraph.adapters.fakes.clock import FakeClock
from paraph.core.ident import Digest
from paraph.flows.ports import Enclave
from paraph.proofs.quotes import nitro
from paraph.proofs.quotes.evidence import decode_evidence

CLOCK: Final = FakeClock(1_760_000_000_000)
DATA: Final = bytes(range(64))
NONCE: Final = Digest(b"n" * 32)
PLATFORMS: Final = ("simulated", "nitro", "tdx", "snp")


class Folders:
    """The kernel's files for reports, in memory: a report is what was written."""

    def __init__(self, provider: bytes) -> None:
        self.files: dict[str, bytes] = {"provider": provider, "generation": b"0", "auxblob": b""}

    def make(self, name: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def write(self, name: str, file: str, data: bytes) -> None:
        self.files |= {"outblob": data, "generation": b"%d" % (int(self.files["generation"]) + 1)}

    def read(self, name: str, file: str) -> bytes:
        return self.files[file]


def module(handle: int, number: int, message: bytearray) -> int:
    """The driver of the Nitro security module, and a module that gives its question back as a document."""
    request, size, response, _ = struct.unpack("=QQQQ", message)
    asked = cbor2.loads(ctypes.string_at(request, size))
    said: dict[str, object] = {"GetRandom": {"random": os.urandom(64)}}
    if asked != "GetRandom":
        said = {"Attestation": {"document": cbor2.dumps(asked)}}
    answer = cbor2.dumps(said)
    ctypes.memmove(response, answer, len(answer))
    message[24:32] = len(answer).to_bytes(8, "little")
    return 0


@pytest.fixture(params=PLATFORMS)
def enclave(request: pytest.FixtureRequest, tmp_path: Path) -> Enclave:
    """An enclave of each platform."""
    device = tmp_path / "nsm"
    device.touch()
    make_root(tmp_path / "root", CLOCK)
    measured = {"pcr0": b"m" * 48}
    made: dict[str, Callable[[], Enclave]] = {
        "simulated": lambda: SimulatedEnclave(tmp_path / "root", measured, CLOCK),
        "nitro": lambda: NitroEnclave(device, module),
        "tdx": lambda: TsmEnclave("tdx", lambda _: (b"collateral",), Folders(b"tdx_guest")),
        "snp": lambda: TsmEnclave("snp", lambda _: (b"collateral",), Folders(b"sev_guest")),
    }
    found = made[request.param]()
    assert found.platform == request.param
    return found


def test_evidence_names_its_platform(enclave: Enclave) -> None:
    """Evidence says of which platform it is, so that the right verifier reads it, and survives being sent."""
    found = enclave.attest(DATA, NONCE, b"k" * 32)

    assert found.platform == enclave.platform
    assert decode_evidence(found.encode()) == found


def test_evidence_is_of_the_data(enclave: Enclave) -> None:
    """The 64 bytes that were given are in what was signed."""
    assert DATA in enclave.attest(DATA, NONCE, b"k" * 32).document


def test_nonce_and_key_are_said_where_there_is_room(enclave: Enclave) -> None:
    """A platform whose document has places for nonce and key fills them; one that has none signs the data alone."""
    document = enclave.attest(DATA, NONCE, b"k" * 32).document

    has_room = enclave.platform in {"simulated", "nitro"}
    assert (bytes(NONCE) in document) == has_room
    assert (b"k" * 32 in document) == has_room


def test_each_question_is_asked(enclave: Enclave) -> None:
    """Evidence is made when it is asked for, not remembered."""
    first, second = enclave.attest(DATA, NONCE, b"k"), enclave.attest(DATA[::-1], NONCE, b"k")

    assert DATA[::-1] not in first.document
    assert DATA[::-1] in second.document


@pytest.mark.parametrize("size", [0, 1, 32, 100])
def test_entropy_is_as_long_as_asked_for(enclave: Enclave, size: int) -> None:
    """As many bytes as are wanted."""
    assert len(enclave.entropy(size)) == size


def test_entropy_does_not_repeat(enclave: Enclave) -> None:
    """Two keys are never the same."""
    assert enclave.entropy(32) != enclave.entropy(32)


def test_a_simulated_document_is_one_of_nitro(tmp_path: Path) -> None:
    """What the simulated enclave makes is read by the verifier of the real ones, field for field."""
    make_root(tmp_path, CLOCK)

    found = nitro.read(SimulatedEnclave(tmp_path, {"pcr0": b"m" * 48}, CLOCK).attest(DATA, NONCE, b"k").document)

    assert (found.data, found.nonce, found.key, found.pcrs[0]) == (DATA, bytes(NONCE), b"k", b"m" * 48)
