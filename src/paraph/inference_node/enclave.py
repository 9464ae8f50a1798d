"""The node inside its enclave: keys that are born there and never leave, and their registration with the ledger.

The keys for TLS and for sealed requests live as long as the process. The key that signs receipts is new with each
registration, so that no record of the ledger ever changes its meaning.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from paraph.adapters.enclaves.open import Places, open_enclave
from paraph.adapters.http.client import AsyncDriver
from paraph.adapters.http.server import unless_gone
from paraph.adapters.http.tls import key_from, public_digest
from paraph.core.encode import take
from paraph.core.errors import ParaphError, Unavailable
from paraph.core.ident import ZERO_DIGEST, Digest, digest_from_hex
from paraph.core.keys import PrivateKey
from paraph.core.ohttp import Binding
from paraph.flows import attest
from paraph.flows.meet import PATH
from paraph.flows.ports import Clock, Enclave
from paraph.flows.serve import Signer
from paraph.inference_node.busy import Busy
from paraph.inference_node.config import Config
from paraph.inference_node.doors import error_response, json_response, read_json
from paraph.inference_node.service import Service
from paraph.proofs.attestation import Attestation
from paraph.proofs.policy import Trust
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.binding import Keyset, bound

COLLATERAL: Final = "tdx-collateral.json"
CERTIFICATES: Final = "snp-certificates.pem"
"""In the node's home: what Intel says of its platforms, and the chain of an AMD chip whose host does not give it."""
KEY_BYTES: Final = 48
"""Of randomness for a key on P-256: with more bytes than the curve's order has, none is likelier than another."""
KEYS_LIFE_S: Final = 24 * 3_600
"""What the enclave says of its own keys; the ledger may end them sooner."""
TRIES: Final = 5
RETRY_S: Final = 2.0
RETRY_S_MAX: Final = 300.0
SHOWN_AT_ONCE_MAX: Final = 4
"""Live attestations made at the same time: a platform's module signs one after the other."""

ASKING_MAX: Final = 64
"""Who waits for one at a time; whoever comes then is told to come back."""
WATCH_S: Final = 30.0
"""How often the node looks whether the ledger still has its enclave open: clients refuse one that was closed."""

log = structlog.get_logger("paraph.enclave")


def enclave_of(config: Config, clock: Clock) -> Enclave:
    """The enclave that a node's settings name. Raises `Rejected` (`enclave.name`), `Unavailable` (`enclave.…`)."""
    certificates = config.home / CERTIFICATES
    places = Places(config.home, config.home / COLLATERAL, certificates if certificates.exists() else None)
    return open_enclave(config.enclave, places, clock)


@dataclass(frozen=True, slots=True)
class Standing:
    """A registered keyset: what the node shows, and from when it should have another."""

    keyset: Keyset
    release: Digest
    renew_s: float


class Attested:
    """An enclave's keys, registered and kept so.

    Args:
        enclave: the platform.
        trust: the network; the node checks its own evidence by it before anybody else does.
        service: whose receipts are signed by the enclave.
        driver: reaches the full node; the hot key pays.
        clock: says when keys end.
    """

    def __init__(self, enclave: Enclave, trust: Trust, service: Service, driver: AsyncDriver, clock: Clock) -> None:
        self._enclave = enclave
        self._trust = trust
        self._service = service
        self._driver = driver
        self._clock = clock
        self.tls_key: Final[EllipticCurvePrivateKey] = key_from(enclave.entropy(KEY_BYTES))
        self.sealing_key: Final = X25519PrivateKey.from_private_bytes(enclave.entropy(32))
        self._standing: Standing | None = None
        self._bindings: tuple[Binding, ...] = ()
        self._showing = asyncio.Semaphore(SHOWN_AT_ONCE_MAX)
        self._asking = 0

    @property
    def standing(self) -> Standing:
        """What is registered. Raises `Unavailable` (`enclave.unregistered`) before anything is."""
        if self._standing is None:
            raise Unavailable("enclave.unregistered", "the enclave's keys are not registered yet; come back soon")
        return self._standing

    async def register(self) -> None:
        """Register a new receipt key, and sign with it from then on.

        Raises:
            Rejected: the ledger refuses the evidence, or knows no release with these measurements. Unavailable: the
                full node or the platform does not answer. Unverified: the evidence does not hold before our own eyes.
        """
        identity = self._service.identity
        async with self._service.turning:
            nonce, height = await self._driver.run(attest.question(self._trust, identity.node))
            key = PrivateKey(self._enclave.entropy(32))
            now_s = self._clock.now_ms() // 1000
            keyset = Keyset(
                identity.chain_id,
                identity.node,
                public_digest(self.tls_key),
                self.sealing_key.public_key().public_bytes_raw(),
                key.address,
                now_s + KEYS_LIFE_S,
            )
            shown = await self._made(keyset, ZERO_DIGEST, nonce)
            claims = evidence.verify(shown.evidence, self._trust.simulated_root, now_s)
            release = await self._driver.run(attest.release_of(self._trust, claims))
            shown = replace(shown, release=release)
            sent = await self._driver.run(attest.register(self._trust, identity.key.address, shown, height))
            signer = Signer(key, shown.as_json(), sent.height)
            self._service.identity = replace(self._service.identity, enclave=signer)
            expires_s = await self._driver.run(attest.expiry(self._trust, key.address))
            self._standing = Standing(keyset, release, (now_s + expires_s) / 2)
            now = Binding(keyset.chain_id, keyset.node, keyset.digest())
            self._bindings = (now, *self._bindings[:1])
        log.info("enclave registered", platform=self._enclave.platform, trust=claims.trust.word, expires_s=expires_s)

    async def first(self) -> None:
        """Register for the first time. Raises as `register`, after some tries where that may help."""
        for left in reversed(range(TRIES)):
            try:
                return await self.register()
            except Unavailable as error:
                if left == 0:
                    raise
                log.warning("not registered yet", code=error.code, reason=error.message)
                await asyncio.sleep(RETRY_S)
        return None

    async def run(self) -> None:
        """Register anew when half of the keys' time is over, or when the ledger closed them, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self._clock.now_ms() / 1000 >= self.standing.renew_s or not await self._is_open():
                await self._again()

    async def _again(self) -> None:
        """Register until it is done, less and less often."""
        wait_s = RETRY_S
        while True:
            try:
                return await self.register()
            except ParaphError as error:
                log.warning("not registered anew", code=error.code, reason=error.message, again_in_s=wait_s)
            except Exception:
                # The fault is ours; keys that quietly end would leave the node unpaid.
                log.exception("not registered anew", again_in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_S_MAX)

    async def _is_open(self) -> bool:
        """Whether the ledger still takes receipts by the registered key; True where it cannot be asked."""
        try:
            return await self._driver.run(attest.is_open(self._trust, self.standing.keyset.receipt_key))
        except ParaphError as error:
            log.warning("cannot look whether the enclave is open", code=error.code, reason=error.message)
            return True

    async def show(self, nonce: Digest) -> Attestation:
        """A live attestation for a client's nonce. Raises `Unavailable` (`enclave.…`)."""
        standing = self.standing
        if self._asking >= ASKING_MAX:
            raise Busy(1)
        self._asking += 1
        try:
            async with self._showing:
                return await self._made(standing.keyset, standing.release, nonce)
        finally:
            self._asking -= 1

    def bindings(self) -> tuple[Binding, ...]:
        """To what requests may be sealed: the keyset registered now, and the one before, whose key is the same."""
        return self._bindings

    def routes(self) -> list[Route]:
        """The door where clients meet the enclave."""

        async def attestation(request: HttpRequest) -> Response:
            try:
                (nonce,) = take(await read_json(request), "the question", "nonce")
                shown = await unless_gone(request, self.show(digest_from_hex(nonce, "nonce")))
                return json_response({"attestation": shown.as_json()})
            except ParaphError as error:
                return error_response(error)

        return [Route(PATH, attestation, methods=["POST"])]

    async def _made(self, keyset: Keyset, release: Digest, nonce: Digest) -> Attestation:
        data = bound(keyset, nonce, ZERO_DIGEST)
        found = await asyncio.to_thread(self._enclave.attest, data, nonce, keyset.hpke_key)
        return Attestation(release, keyset, nonce, found)
