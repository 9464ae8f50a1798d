"""Remembered signatures: the same answers, sooner, in bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import nitro, snp

from paraph.adapters.enclaves.simulated import CERTIFICATE, SimulatedEnclave, make_root
from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.signatures import Remembering, remembering
from paraph.core.errors import Unverified
from paraph.core.ident import Digest
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.evidence import Checks, Evidence
from paraph.proofs.quotes.rsa import pss_sha384
from paraph.proofs.quotes.snp import GENOA, Root, read, verify

Asked = tuple[bytes, bytes, bytes]
DOCUMENT: Final = nitro.Document()
NONCES: Final = [Digest(bytes((number,)) * 32) for number in range(3)]
PCRS: Final = {f"pcr{index}": bytes((index + 1,)) * 48 for index in range(3)}


class Counting:
    """A check by the library that says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, key: bytes, message: bytes, signature: bytes) -> bool:
        self.asked.append((key, message, signature))
        return p384_sha384(key, message, signature)


class Nodding(Counting):
    """A check for tests of the memory alone: what is signed `true` holds."""

    def __call__(self, key: bytes, message: bytes, signature: bytes) -> bool:
        self.asked.append((key, message, signature))
        return signature == b"true"


def proved(shown: Evidence, checks: Checks, root: bytes = b"", now_s: int = nitro.NOW_S) -> Claims:
    """What evidence proves."""
    return evidence.verify(shown, root or DOCUMENT.certificates()[0], now_s, checks)


def test_what_held_is_not_looked_at_again() -> None:
    """A document is verified twice with the same claims; the second time no signature is looked at."""
    counting, shown = Counting(), Evidence("simulated", DOCUMENT.made())
    checks = Checks(Remembering(counting))

    first = proved(shown, checks)
    seen = len(counting.asked)
    again = proved(shown, checks)

    assert first == again == proved(shown, Checks())
    assert (seen, len(counting.asked)) == (5, 5)


def test_authorities_are_looked_at_once(tmp_path: Path) -> None:
    """Of an enclave's next document only its own signature is new; of another enclave's, all below the root."""
    clock = FakeClock(1_760_000_000_000)
    make_root(tmp_path, clock)
    root = (tmp_path / CERTIFICATE).read_bytes()
    one, other = SimulatedEnclave(tmp_path, PCRS, clock), SimulatedEnclave(tmp_path, PCRS, clock)
    counting = Counting()
    checks = Checks(Remembering(counting))
    counts = []

    for enclave, nonce in ((one, NONCES[0]), (one, NONCES[1]), (other, NONCES[0]), (one, NONCES[2])):
        before = len(counting.asked)
        assert proved(enclave.attest(b"d", nonce, b"k"), checks, root, clock.now_ms() // 1000).nonce == nonce
        counts.append(len(counting.asked) - before)

    assert counts == [5, 1, 5, 1]


def test_a_forgery_beside_what_is_remembered() -> None:
    """With the truth remembered, each byte of a document's signature changed is refused as ever, however often."""
    checks = remembering()
    payload = DOCUMENT.payload()
    signature = DOCUMENT.signature(payload)
    proved(Evidence("simulated", DOCUMENT.made()), checks)

    for place in (0, 47, 48, 95, 0):
        forged = bytes(byte ^ (at == place) for at, byte in enumerate(signature))
        with pytest.raises(Unverified) as caught:
            proved(Evidence("simulated", nitro.sealed(payload, forged)), checks)
        assert caught.value.code == "quote.signature"


def test_rsa_is_remembered_too() -> None:
    """An SNP report verifies the same, whichever memory its chain's RSA signatures come from."""
    chain = snp.authority("ARK", "ARK", None), snp.authority("ASK", "ARK", 0), snp.chip(snp.EXTENSIONS)
    root, report, checks = Root(chain[0], TrustClass.HARDWARE, GENOA), read(snp.Made().report()), remembering()

    found = [verify(report, chain, root, snp.NOW_S, checks.pss, checks.ecdsa) for _ in range(2)]

    assert found == [verify(report, chain, root, snp.NOW_S, pss_sha384, p384_sha384)] * 2


def test_what_did_not_hold_is_looked_at_again() -> None:
    """A lie takes no place in the memory."""
    nodding = Nodding()
    check = Remembering(nodding, 1)
    assert check(b"k", b"m", b"true")

    assert not check(b"k", b"m", b"lie")
    assert not check(b"k", b"m", b"lie")

    assert check(b"k", b"m", b"true")
    assert [signature for _, _, signature in nodding.asked] == [b"true", b"lie", b"lie"]


def test_the_longest_unasked_is_forgotten() -> None:
    """Memory is bounded to its edge; what was asked for lately stays."""
    nodding = Nodding()
    check = Remembering(nodding, 3)
    for message in (b"a", b"b", b"c", b"a", b"d"):
        assert check(b"k", message, b"true")
    assert [message for _, message, _ in nodding.asked] == [b"a", b"b", b"c", b"d"]

    for message in (b"c", b"a", b"d", b"b"):
        assert check(b"k", message, b"true")

    assert [message for _, message, _ in nodding.asked] == [b"a", b"b", b"c", b"d", b"b"]


@given(st.binary(max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_bytes_do_not_wander_between_the_three(data: bytes, first: int, second: int) -> None:
    """The same bytes parted otherwise into key and message are another question, looked at by itself."""
    nodding = Nodding()
    check = Remembering(nodding)
    questions = [(data[:at], data[at:], b"true") for at in (first, second)]

    for question in questions:
        assert check(*question)

    assert nodding.asked == list(dict.fromkeys(questions))


def test_threads_share_it() -> None:
    """Eight threads that ask at once, in a memory too small for all, are each answered rightly; it stays bounded."""
    check, start = Remembering(Nodding(), 5), Barrier(8)

    def ask(thread: int) -> list[bool]:
        start.wait()
        return [check(b"k", b"%d" % (number % 9), b"true" if number % 2 else b"lie") for number in range(thread, 500)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(8)))

    assert found == [[number % 2 == 1 for number in range(thread, 500)] for thread in range(8)]
    assert len(check._held) == 5
