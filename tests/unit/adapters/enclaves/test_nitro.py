"""The client of the Nitro security module, against a stand-in for the kernel: it reads and writes the same memory.

No machine of ours has `/dev/nsm`. What stands in for the driver here takes the message apart as the kernel does, and
speaks CBOR by a library of its own, in the shapes that the module's published interface has.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.enclaves.nitro import ASK, RESPONSE_BYTES_MAX, Module, NitroEnclave
from paraph.core.errors import Unavailable
from paraph.core.ident import Digest
from paraph.proofs.quotes.evidence import Evidence

NONCE: Final = Digest(b"n" * 32)


class FakeKernel:
    """The driver, as an ioctl sees it; `answer` is the module behind it."""

    def __init__(self, answer: Callable[[Any], bytes]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def ioctl(self, handle: int, number: int, message: bytearray) -> int:
        assert os.get_inheritable(handle) is False
        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        assert number == 0xC020_0A00
        request, size, response, space = struct.unpack("=QQQQ", message)
        asked = cbor2.loads(ctypes.string_at(request, size))
        self.asked.append(asked)
        answer = self.answer(asked)
        if len(answer) > space:
            raise OSError(errno.EMSGSIZE, "Message too long")
        ctypes.memmove(response, answer, len(answer))
        message[24:32] = len(answer).to_bytes(8, "little")
        return 0


def module(asked: Any) -> bytes:
    """A module that does what it is asked."""
    if asked == "GetRandom":
        return cbor2.dumps({"GetRandom": {"random": os.urandom(256)}})
    if asked == "DescribeNSM":
        said = {
            "version_major": 1,
            "version_minor": 2,
            "version_patch": 3,
            "module_id": "i-0-enc0",
            "max_pcrs": 32,
            "locked_pcrs": list(range(16)),
            "digest": "SHA384",
        }
        return cbor2.dumps({"DescribeNSM": said})
    (name, fields), *_ = asked.items()
    if name == "DescribePCR":
        return cbor2.dumps({name: {"lock": True, "data": bytes((fields["index"],)) * 48}})
    return cbor2.dumps({name: {"document": b"document of " + fields["user_data"]}})


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A file in the device's place, so that it can be opened."""
    place = tmp_path / "nsm"
    place.write_bytes(b"")
    return place


def enclave(device: Path, answer: Callable[[Any], bytes] = module) -> tuple[NitroEnclave, FakeKernel]:
    kernel = FakeKernel(answer)
    return NitroEnclave(device, kernel.ioctl), kernel


def refused(device: Path, answer: Any, ask: Callable[[NitroEnclave], object]) -> str:
    """Why an answer is not taken."""
    raw = answer if isinstance(answer, bytes) else cbor2.dumps(answer)
    with pytest.raises(Unavailable) as caught:
        ask(enclave(device, lambda _: raw)[0])
    return caught.value.code


def attest(nitro: NitroEnclave) -> Evidence:
    return nitro.attest(b"data", NONCE, b"key")


def test_the_number_is_that_of_the_kernel() -> None:
    """The ioctl's number is the kernel's macro for one that writes and reads 32 bytes."""
    assert ASK == 0xC020_0A00


def test_a_document_is_asked_for_with_all_three(device: Path) -> None:
    """Data, nonce and key reach the module, and its document comes back whole."""
    nitro, kernel = enclave(device)

    found = attest(nitro)

    assert found == Evidence("nitro", b"document of data")
    assert kernel.asked == [{"Attestation": {"user_data": b"data", "nonce": b"n" * 32, "public_key": b"key"}}]


def test_the_module_describes_itself(device: Path) -> None:
    """What the module says of itself is read."""
    assert enclave(device)[0].module() == Module((1, 2, 3), "i-0-enc0", 32, frozenset(range(16)), "SHA384")


def test_a_register_is_described(device: Path) -> None:
    """A register's value and lock are read."""
    nitro, kernel = enclave(device)

    assert nitro.register(8) == (b"\x08" * 48, True)
    assert kernel.asked == [{"DescribePCR": {"index": 8}}]


@pytest.mark.parametrize("size", [0, 1, 32, 256, 257, 1_000])
def test_entropy_has_the_size_asked_for(device: Path, size: int) -> None:
    """As many random bytes as are wanted, in as many questions as it takes."""
    nitro, kernel = enclave(device)

    assert len(nitro.entropy(size)) == size
    assert len(kernel.asked) == -(-size // 256)


def test_entropy_is_of_both_sources(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's bytes and the kernel's are both in the result: one that is known does not spoil it."""
    nitro, _ = enclave(device, lambda _: cbor2.dumps({"GetRandom": {"random": b"\x0f" * 16}}))
    monkeypatch.setattr("paraph.adapters.enclaves.nitro.os.urandom", lambda size: b"\x3c" * size)

    assert nitro.entropy(20) == b"\x33" * 20


def test_nothing_stays_open(device: Path) -> None:
    """After answers and after errors, the device is closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    nitro, _ = enclave(device)
    broken, _ = enclave(device, lambda _: bytes(RESPONSE_BYTES_MAX + 1))

    for _ in range(20):
        attest(nitro)
        with pytest.raises(Unavailable):
            attest(broken)

    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xa1",
        b"\xff" * 100,
        cbor2.dumps({"Attestation": {"document": b"d"}}) + b"\0",
        [],
        {},
        "Attestation",
        {"Error": "InvalidArgument"},
        {"Attestation": {"document": b"d"}, "more": 1},
        {"DescribePCR": {"lock": True, "data": b""}},
        {"Attestation": b"d"},
        {"Attestation": {}},
        {"Attestation": {"document": "d"}},
        {"Attestation": {"document": 1.5}},
    ],
)
def test_odd_answers_are_refused(device: Path, answer: Any) -> None:
    """What is no answer to the question raises, and is never taken for a document."""
    assert refused(device, answer, attest) == "enclave.answer"


@pytest.mark.parametrize(
    "change",
    [
        {"version_minor": -1},
        {"version_patch": True},
        {"max_pcrs": "32"},
        {"locked_pcrs": 1},
        {"locked_pcrs": ["x"]},
        {"digest": None},
        {"module_id": b"i"},
    ],
)
def test_an_odd_description_is_refused(device: Path, change: dict[str, Any]) -> None:
    """A description with one wrong part is refused."""
    said = cbor2.loads(module("DescribeNSM"))["DescribeNSM"] | change

    assert refused(device, {"DescribeNSM": said}, NitroEnclave.module) == "enclave.answer"


@pytest.mark.parametrize("said", [{"lock": 1, "data": b""}, {"lock": True}, {"data": b""}])
def test_an_odd_register_is_refused(device: Path, said: dict[str, Any]) -> None:
    """A register without value or lock is refused."""
    assert refused(device, {"DescribePCR": said}, lambda nitro: nitro.register(0)) == "enclave.answer"


@pytest.mark.parametrize("random", [b"", bytes(257)])
def test_odd_random_bytes_are_refused(device: Path, random: bytes) -> None:
    """A module that gives none would be asked forever; one that gives too many is not the one we know."""
    assert refused(device, {"GetRandom": {"random": random}}, lambda nitro: nitro.entropy(1)) == "enclave.answer"


def test_a_size_beyond_the_space_is_refused(device: Path) -> None:
    """A driver that says it wrote more than there was room for is not believed."""

    def lie(_: int, __: int, message: bytearray) -> int:
        message[24:32] = (RESPONSE_BYTES_MAX + 1).to_bytes(8, "little")
        return 0

    with pytest.raises(Unavailable) as caught:
        attest(NitroEnclave(device, lie))

    assert caught.value.code == "enclave.answer"


def test_a_kernel_that_refuses_is_said(device: Path) -> None:
    """An error of the device names the device."""
    with pytest.raises(Unavailable) as caught:
        attest(NitroEnclave(device))

    assert caught.value.code == "enclave.device"
    assert str(device) in caught.value.message


def test_no_device_is_said_at_once(tmp_path: Path) -> None:
    """Where there is no module, making the enclave says what to do."""
    with pytest.raises(Unavailable) as caught:
        NitroEnclave(tmp_path / "nsm")

    assert caught.value.code == "enclave.nitro"
    assert "run inside a Nitro enclave" in caught.value.message


@given(answer=st.binary(max_size=300))
def test_hostile_answers_are_refused(answer: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever bytes the device writes, the answer is a document in them or an error of ours."""
    device = tmp_path_factory.getbasetemp() / "nsm"
    device.touch()

    try:
        found = attest(enclave(device, lambda _: answer)[0])
    except Unavailable as error:
        assert error.code == "enclave.answer"  # noqa: PT017  either outcome is right
    else:
        assert found.document in answer
