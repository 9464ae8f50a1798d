"""What libsecp256k1 alone takes, called by coincurve with nothing around it: the floor under every figure here."""

import hashlib
from dataclasses import dataclass

import coincurve

from bench.rounds import Task, Work


@dataclass(frozen=True, slots=True)
class Signed:
    """A digest, its signature as DER and in recoverable form, and the public key."""

    digest: bytes
    der: bytes
    recoverable: bytes
    key: coincurve.PublicKey


def signatures(count: int, keys: int = 8) -> list[Signed]:
    """That many signatures over different digests, by a few keys."""
    private = [coincurve.PrivateKey(hashlib.sha256(b"key %d" % index).digest()) for index in range(keys)]
    made = []
    for index in range(count):
        digest, key = hashlib.sha256(b"digest %d" % index).digest(), private[index % keys]
        made.append(Signed(digest, key.sign(digest, None), key.sign_recoverable(digest, hasher=None), key.public_key))
    return made


def verification(signed: list[Signed], count: int) -> Task:
    """Verify them all by known public keys. `count` is the operations of what it is compared to."""

    def verify() -> None:
        for each in signed:
            each.key.verify(each.der, each.digest, None)

    return Task(count, lambda: verify)


def recovery(signed: list[Signed], count: int) -> Task:
    """Recover all signers, as Ethereum's signatures need: they name no public key."""

    def recover() -> None:
        for each in signed:
            coincurve.PublicKey.from_signature_and_message(each.recoverable, each.digest, hasher=None)

    def prepare() -> Work:
        return recover

    return Task(count, prepare)
