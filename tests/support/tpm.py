"""A TPM with authorities of its own: every part of a quote, of its key and of its chain can be made wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256, sha384
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.nitro import NOW_S, key, named, usage

from paraph.proofs.quotes.tpm import QuoteEvidence

DATA: Final = b"b" * 64
ENDORSEMENT: Final = bytes.fromhex("4000000b")
"""The hierarchy in which a key of a cloud's TPM stands at the top."""
PCRS: Final[Mapping[int, bytes]] = {index: bytes((index + 1,)) * 32 for index in (0, 4, 7, 11)}
KINDS: Final = ("p256", "p384", "rsassa", "rsapss")
SCHEMES: Final = {"p256": "0018000b", "p384": "0018000c", "rsassa": "0014000b", "rsapss": "0016000b"}
QUOTING: Final = 0x00050072
"""Fixed to its TPM and parent, made inside, used by its secret, restricted, and for signing."""

Signer = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def rsa_key(name: str, bits: int = 2_048) -> rsa.RSAPrivateKey:
    """Somebody's key, the same as long as the tests run."""
    del name
    return rsa.generate_private_key(65_537, bits)


def signer(name: str, kind: str) -> Signer:
    """Somebody's key of a kind."""
    if kind.startswith("rsa"):
        return rsa_key(name, 1_024 if kind == "rsa1024" else 2_048)
    return key(name, ec.SECP256R1 if kind == "p256" else ec.SECP384R1)


def number(value: int, size: int) -> bytes:
    """A number with its size before it."""
    return sized(value.to_bytes(size, "big"))


def sized(data: bytes) -> bytes:
    """Bytes with their size before them."""
    return len(data).to_bytes(2, "big") + data


def public(of: Signer, attributes: int = QUOTING, scheme: str = "0010", symmetric: str = "0010") -> bytes:
    """A key's public part as a TPM has it (TPMT_PUBLIC)."""
    made = of.public_key()
    parameters = bytes.fromhex(symmetric + scheme)
    head = bytes.fromhex("000b") + attributes.to_bytes(4, "big") + sized(b"p" * 32) + parameters
    if isinstance(made, rsa.RSAPublicKey):
        bits = made.key_size
        return (
            bytes.fromhex("0001")
            + head
            + bits.to_bytes(2, "big")
            + bytes(4)
            + number(made.public_numbers().n, bits // 8)
        )
    numbers = made.public_numbers()
    size, curve = (32, "0003") if isinstance(made.curve, ec.SECP256R1) else (48, "0004")
    return (
        bytes.fromhex("0023") + head + bytes.fromhex(curve + "0010") + number(numbers.x, size) + number(numbers.y, size)
    )


def qualified_name(of: bytes, parent: bytes) -> bytes:
    """What a key with that public part is called, below that parent."""
    return b"\0\x0b" + sha256(parent + b"\0\x0b" + sha256(of).digest()).digest()


@dataclass(frozen=True)
class Made:
    """A TPM's evidence to be made.

    Args:
        kind: of the key that quotes; issuers: of the keys of root and authority.
        digest_of: what the registers held by the quote's word, where that is not what is shown.
    """

    kind: str = "p256"
    issuers: tuple[str, str] = ("p384", "p256")
    magic: str = "ff544347"
    type: str = "8018"
    data: bytes = DATA
    pcrs: Mapping[int, bytes] = field(default_factory=lambda: dict(PCRS))
    shown: tuple[bytes, ...] | None = None
    digest_of: bytes | None = None
    banks: str = "00000001"
    bank: str = "000b"
    selection: bytes | None = None
    after: bytes = b""
    scheme: str = ""
    signature: bytes | None = None
    signer: str = "quoting"
    key: bytes | None = None
    parent: bytes = ENDORSEMENT
    name: bytes | None = None
    certified: str = "quoting"
    issuer: str = "authority"
    root: str = "root"

    def but(self, **changes: Any) -> "Made":
        """The same with other parts."""
        return replace(self, **changes)

    def quoted(self) -> bytes:
        """What the TPM signs (TPMS_ATTEST)."""
        bits = sum(1 << index for index in self.pcrs).to_bytes(3, "little")
        selection = b"\3" + bits if self.selection is None else self.selection
        held = b"".join(self.pcrs[index] for index in sorted(self.pcrs)) if self.digest_of is None else self.digest_of
        digest = (sha384 if self.kind == "p384" else sha256)(held).digest()
        name = qualified_name(self.public(), self.parent) if self.name is None else self.name
        head = bytes.fromhex(self.magic + self.type) + sized(name) + sized(self.data)
        clock = (60_000).to_bytes(8, "big") + (3).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\1"
        firmware = (0x20240125).to_bytes(8, "big")
        return head + clock + firmware + bytes.fromhex(self.banks + self.bank) + selection + sized(digest) + self.after

    def signed(self) -> bytes:
        """The signature (TPMT_SIGNATURE)."""
        if self.signature is not None:
            return self.signature
        of, head = signer(self.signer, self.kind), bytes.fromhex(self.scheme or SCHEMES[self.kind])
        if isinstance(of, rsa.RSAPrivateKey):
            padding = PKCS1v15() if self.kind == "rsassa" else PSS(MGF1(SHA256()), 32)
            return head + sized(of.sign(self.quoted(), padding, SHA256()))
        digest: HashAlgorithm = SHA384() if self.kind == "p384" else SHA256()
        r, s = decode_dss_signature(of.sign(self.quoted(), ec.ECDSA(digest, deterministic_signing=True)))
        size = 48 if self.kind == "p384" else 32
        return head + number(r, size) + number(s, size)

    def public(self) -> bytes:
        """The quoting key, as it is shown."""
        return public(signer("quoting", self.kind)) if self.key is None else self.key

    def made(self) -> bytes:
        """The evidence, encoded."""
        shown = tuple(self.pcrs[index] for index in sorted(self.pcrs)) if self.shown is None else self.shown
        return QuoteEvidence(self.quoted(), self.signed(), self.public(), self.parent, shown).encode()

    def chain(self) -> tuple[bytes, ...]:
        """The certificates, root first: the root's, an authority's and the quoting key's."""
        above, below = self.issuers
        root = certificate(self.root, above, self.root, above)
        authority = certificate("authority", below, self.root, above)
        return root, authority, certificate(self.certified, self.kind, self.issuer, below, authority=False)


@cache
def certificate(
    name: str, kind: str, issuer: str, issuer_kind: str, *, authority: bool = True, digest: str = ""
) -> bytes:
    """A certificate of somebody's key of a kind."""
    return certified(signer(name, kind).public_key(), name, issuer, issuer_kind, authority=authority, digest=digest)


def certified(
    of: CertificatePublicKeyTypes,
    name: str,
    issuer: str,
    issuer_kind: str,
    *,
    authority: bool = False,
    digest: str = "",
) -> bytes:
    """A certificate of any key."""
    start = datetime.fromtimestamp(NOW_S, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .not_valid_before(start - timedelta(hours=1))
        .not_valid_after(start + timedelta(hours=1))
        .serial_number(31)
        .public_key(of)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage("certificates" if authority else "evidence"), critical=True)
    )
    chosen = SHA384() if (digest or issuer_kind) == "p384" else SHA256()
    return builder.sign(signer(issuer, issuer_kind), chosen).public_bytes(Encoding.DER)


QUOTES: Final[Mapping[str, str]] = {
    "p256 below an endorsement key": (
        "+QIAuLH/VENHgBgAIgALrhE+Yck2+f/2OlI2MEsLk/G/n/yE+Cz/daTdhHljW7UAQGJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJi"
        "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmIAAAAAAAAKngAAAAEAAAAAASAZECMAFjY2AAAAAQALA5EIAAAgOHI6Ll6KF6p5UNwA"
        "ggmUTomPaae9EKI8g500HpNf1cq4SAAYAAsAIF6hEVUpgJad1u0wFrcxTt8L4cN76DrJH6nRqtaVSymUACDEjJB4cLXKDftDVtojm7cHtiPd"
        "WI7Z6m9QI6fs1DHCH7hYACMACwAFAHIAAAAQABgACwADABAAIKpX/an50cnRz3Bt/7K6JqxnAbDl6r9LVYzIz3IPkiPdACCauayi297d5q/2"
        "9fHkz4YzFzC1PYh3RJPhIdkJYf1L3aIAC2bAp0/giSFF4zFT7G0M05IW+ySbDtgPklEMYmgLGWJl+ISgAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    ),
    "p384": (
        "+QIyuMH/VENHgBgAIgALDVrIkZ3GOB46i2WbZeP5M8TZB1ao4u1zG58LRccbYh4AQGJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJi"
        "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmIAAAAAAAAFiwAAAAEAAAAAASAZECMAFjY2AAAAAQALA5EIAAAw+Am4gyNBHySm8VLl"
        "6dnRtUZrd+Dzx1UPiyQsMbbnuZvLRb3sthJLwjKD2zufxPWzuGgAGAAMADAI88Mqvwzkhkh0cXZS4a97py95Zgi2ommt0hBfNjFecmxqzWmY"
        "yUggFnHktM7sPeAAMLMqAaRgp75rprvvf1GbTLFOitE8zN3ZrObIZrLJln2JPMh3UbCFkoNRRl/hPfq5srh4ACMACwAFAHIAAAAQABgADAAE"
        "ABAAMP84ua4gbU2JMAtNCUm1+K3tpmaNt0nWgoka4qmub/qHpC+XHHc/vB9ngz4f8Zr9GAAwdGXMe27A3q8dvrKOlIs+po+WZYKFmR8rhqUl"
        "Z6howOLqCO2zjbYTDmxNwlTx6jxXhEAAAAv4hKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
    ),
    "rsassa": (
        "+QNiuLH/VENHgBgAIgALGcy+xP0ZrOowM+BtphQB5295ONBU+b0jg9EEC0BaLEMAQGJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJi"
        "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmIAAAAAAAAHNQAAAAEAAAAAASAZECMAFjY2AAAAAQALA5EIAAAgOHI6Ll6KF6p5UNwA"
        "ggmUTomPaae9EKI8g500HpNf1cq5AQYAFAALAQAyRS9nTBL7EFRXaAx6zO1V4bLfD9rni9DGjdjNJIdWyUNrdyP1TvuTKJS06J4oxCgWE9Zo"
        "i75WoboROM5frcVw7LUpblZrr8MYZC1rWTVPcWsD6w4Ugmc0NhruJXU8ToJec5OoKbQuEOD/YX6EE3A00/3Xt+Ozf2x3b+Rs1x8JGnCngFIp"
        "AL1cQV9YCKgbcEdCwRnrkpCT/6DO0ULomhsGB8tCVo1bmba50hOm6xdzJtGijSRfVdc0/YB7k3WCqZY6cYpDX+Kkeh76sn7RTwi7oKwEZLyT"
        "yUC0l8sqluyG5AmQDEsohS8AlhsVsgchNBfalrKzmKy2PGch++Gl0ofbuQEYAAEACwAFAHIAAAAQABQACwgAAAAAAAEAzyyejaXt48lCuhAk"
        "25er2OxKHKd42rWkcGY08CPj/hvtNvf/9pLiQygZVkQNB1wqLrmGVQFX9x+3qANm63AR9AQJeHrGfaVQJgoy8L+qAEEYWPC2MRPhJ2OY1d0s"
        "4g28wV8uqabjFhPivRTTv1G6Ow8ySqQeam9NuyBfGmPPgEmkr46iGeeJb/KfZbH0D8yV4xyEIkeLt6zKFG6TeZOS4ONc+j5WgB0anGQ1VhtV"
        "HbXqjUogd9Ar/ufQsfLU7Zx/CV9fvR6l3xCREbW01+rKHLgOMmLZL2eS0EXIgQKp98ke+wirubvdYyD6yAtK2+JvA74/Zei4E4oSPxNkhRq+"
        "R4RAAAAL+ISgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    ),
    "rsapss": (
        "+QNiuLH/VENHgBgAIgALkSIFEqH7wCnxZQjH4EkI+ZIY18/+VC9KUXDnQNF3csYAQGJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJi"
        "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmIAAAAAAAAJcQAAAAEAAAAAASAZECMAFjY2AAAAAQALA5EIAAAgOHI6Ll6KF6p5UNwA"
        "ggmUTomPaae9EKI8g500HpNf1cq5AQYAFgALAQAbyEfJzaEJllAz1/7/7a4CQ0vjieO6SUgeDx6sS3NdyhyULCUM1CpG0Tsyfw4R7BR6CGOj"
        "zJu1OSW++WU+BvV2OUiKiIStcJian/ZocmlFd8w6wZdEQZXJcHBcRX3uOJOhP4JVKiTaC2OQhozhIs/myrhORbv8tOh5GwDsr3huQG0LFm8H"
        "Tce6/thbMt6MuI0zFdRxGvx+SKL1o95yFTPOHG2M31sdYkzohUWPlVvBSswRNi1PKmmAa2CdKijHA/Me3Qt37OsqQbRy9gdkvB8qkAUz5S25"
        "hfOwhyDmKEpt+ez4yoLL+kJaPNkPdZ4JpSfUoIPqieg4T8bE8/fnvqAcuQEYAAEACwAFAHIAAAAQABYACwgAAAAAAAEAtRtEgg1YWcAHKabo"
        "sMclrJh+IP3VHHaj8LZnTmKTnHHsIFQO9rkdI8RRtmkaP1Hxjsb+zJBRPSrb5Bka+n7By4RTFPyz422TajN1sKBGu1XN/+udDXWQWNLA8WLO"
        "0xQzGfzisFg+yQZXzjuo38CuZV4AFhXVmdixiRzjJYPJMDHXMpw3++wvzYg31ASF9yriMQuGjMfcnl4vipqsSKEsflCPd6/03x9V5d6sQXA4"
        "UXZvD96rVNE3xyPQcoAUHmf5gLYGVFs6UZrVrQ7pAI++B8qVjh0Q7b8yfzSkRCPpZnsXPbkL8f2iPeeRO81aoN55piav10HWnyoJMiiRjGz3"
        "aYRAAAAL+ISgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    ),
}
"""Evidence in base64 that a TPM of another make gave (libtpms 0.9.2, asked by tpm2-tools 5.4): its own structures."""
