"""An AWS Nitro enclave, from inside: the security module behind `/dev/nsm`, asked by ioctl in CBOR.

The module signs what the enclave gives it, beside what the hypervisor measured, and hands out random bytes. Linux has
its driver since 6.8 (`nsm`). The file is open for the time of one question only: nothing is left to a child process.
"""

import ctypes
import fcntl
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.core import cbor
from paraph.core.cbor import Cbor
from paraph.core.errors import Malformed, Unavailable, must
from paraph.core.ident import Digest
from paraph.proofs.quotes.evidence import Evidence

DEVICE: Final = Path("/dev/nsm")
REQUEST_BYTES_MAX: Final = 0x1000
RESPONSE_BYTES_MAX: Final = 0x3000
"""What the driver moves at most in each direction."""
FIELD_BYTES_MAX: Final = 1_024
"""Of what a document repeats: data, nonce, key."""
RANDOM_BYTES_MAX: Final = 256
"""What one answer of the module holds at most; it decides itself how many it gives."""

_MESSAGE: Final = struct.Struct("=QQQQ")
"""Two places in memory, each as address and size: of the request, and for the response."""
ASK: Final = 3 << 30 | _MESSAGE.size << 16 | 0x0A << 8
"""The ioctl, as Linux numbers one that writes and reads (`_IOWR(0x0A, 0, 32 bytes)`)."""

Ioctl = Callable[[int, int, bytearray], int]
"""Does an ioctl: an open file, its number, and a message that is changed in place."""


@dataclass(frozen=True, slots=True)
class Module:
    """What the security module says of itself."""

    version: tuple[int, int, int]
    name: str
    registers: int
    locked: frozenset[int]
    digest: str


class NitroEnclave:
    """The `Enclave` of a Nitro enclave.

    Args:
        device: the module's.
        ioctl: the kernel's; another stands in for the kernel in tests.

    Raises:
        Unavailable: `enclave.nitro`: there is no such device here.
    """

    def __init__(self, device: Path = DEVICE, ioctl: Ioctl = fcntl.ioctl) -> None:
        if not device.exists():
            raise Unavailable(
                "enclave.nitro",
                f"{device} is not there: run inside a Nitro enclave whose kernel has the driver nsm loaded",
                device=device,
            )
        self._device = device
        self._ioctl = ioctl

    @property
    def platform(self) -> str:
        """`nitro`."""
        return "nitro"

    def attest(self, data: bytes, nonce: Digest, key: bytes) -> Evidence:
        """A document with these three. Raises `Unavailable` (`enclave.answer`, `enclave.device`)."""
        must(max(len(data), len(key)) <= FIELD_BYTES_MAX, "what a document repeats is short")
        fields: Cbor = {"user_data": data, "nonce": bytes(nonce), "public_key": key}
        return Evidence(self.platform, _bytes(self._ask("Attestation", fields), "document"))

    def entropy(self, size: int) -> bytes:
        """Random bytes from the module and, added to each, from the kernel: either alone is enough."""
        found = b""
        while len(found) < size:
            more = _bytes(self._ask("GetRandom", None), "random")
            if not 0 < len(more) <= RANDOM_BYTES_MAX:
                raise _odd(f"it gave {len(more)} random bytes")
            found += more
        return bytes(one ^ other for one, other in zip(found, os.urandom(size), strict=False))

    def register(self, index: int) -> tuple[bytes, bool]:
        """A register's value, and whether it is locked."""
        said = self._ask("DescribePCR", {"index": index})
        locked = said.get("lock")
        if not isinstance(locked, bool):
            raise _odd("it does not say whether the register is locked")
        return _bytes(said, "data"), locked

    def module(self) -> Module:
        """What the module says of itself."""
        said = self._ask("DescribeNSM", None)
        name, digest, locked = said.get("module_id"), said.get("digest"), said.get("locked_pcrs")
        if not isinstance(name, str) or not isinstance(digest, str) or not isinstance(locked, list):
            raise _odd("it does not describe itself in the form that is known")
        version = tuple(_number(said.get(f"version_{part}")) for part in ("major", "minor", "patch"))
        major, minor, patch = version
        return Module(
            (major, minor, patch),
            name,
            _number(said.get("max_pcrs")),
            frozenset(_number(index) for index in locked),
            digest,
        )

    def _ask(self, what: str, fields: Cbor) -> Mapping[cbor.Key, Cbor]:
        """Ask one question: its name alone, or with fields; the answer is a map under the same name."""
        request = cbor.encode(what if fields is None else {what: fields})
        try:
            answer = cbor.decode(self._exchange(request))
        except Malformed as error:
            raise _odd(error.message) from error
        if not isinstance(answer, dict) or len(answer) != 1:
            raise _odd("its answer is no map of one")
        if "Error" in answer:
            raise _odd(f"it answered {what} with the error {str(answer['Error'])[:80]!a}")
        said = answer.get(what)
        if not isinstance(said, dict):
            raise _odd(f"it answered something else than {what}")
        return said

    def _exchange(self, request: bytes) -> bytes:
        """Hand bytes to the driver, and take its answer."""
        must(len(request) <= REQUEST_BYTES_MAX, "a question fits what the driver takes")
        asked = ctypes.create_string_buffer(request, len(request))
        answer = ctypes.create_string_buffer(RESPONSE_BYTES_MAX)
        message = bytearray(
            _MESSAGE.pack(ctypes.addressof(asked), len(asked), ctypes.addressof(answer), RESPONSE_BYTES_MAX)
        )
        try:
            handle = os.open(self._device, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._ioctl(handle, ASK, message)
            finally:
                os.close(handle)
        except OSError as error:
            raise Unavailable(
                "enclave.device", f"{self._device} does not answer: {error.strerror}", device=self._device
            ) from error
        size = _MESSAGE.unpack(message)[3]
        if size > RESPONSE_BYTES_MAX:
            raise _odd(f"its answer has {size} bytes")
        return answer.raw[:size]


def _bytes(said: Mapping[cbor.Key, Cbor], name: str) -> bytes:
    found = said.get(name)
    if not isinstance(found, bytes):
        raise _odd(f"its answer has no bytes named {name}")
    return found


def _number(value: Cbor) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _odd("its answer lacks a number")
    return value


def _odd(why: str) -> Unavailable:
    return Unavailable("enclave.answer", f"the Nitro security module did not do what was asked: {why}")
