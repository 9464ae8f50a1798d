"""The trust file: the few facts a verifier pins, from which everything else is proved. Specified in docs/spec/trust.md.

Who swaps this file decides what verifies; keep it as you keep a root certificate.
"""

from dataclasses import dataclass

from paraph.core.encode import Json, as_integer, as_list, as_text, canonical, decode_exact, take
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest, address_from_hex, digest_from_hex, from_hex, to_hex
from paraph.core.limits import NAME_BYTES_MAX
from paraph.proofs.light.reading import anchor_from_json
from paraph.proofs.light.types import Anchor
from paraph.proofs.quotes.evidence import NO_ROOT
from paraph.proofs.quotes.nitro import CERTIFICATE_BYTES_MAX

FORMAT = "paraph/trust/1"
PRODUCERS_MAX = 16


@dataclass(frozen=True, slots=True)
class Trust:
    """What is pinned of one network.

    Args:
        network: its name, shown with every verdict.
        chain_id: EIP-155 chain id.
        genesis: digest of the genesis document.
        producers: accounts whose signature makes a header believable; none where validators agree.
        devnet: true when nothing on the network has value; verdicts say so.
        anchor: the validators from whom others follow; None on a solo network.
        trusting_period_s: how long validators can be held to what they signed, as their bonds are; who goes online
            refuses an anchor older than this.
        simulated_root: the certificate (DER) by which simulated enclaves are believed, on a development network; empty
            for none. The roots of hardware are in this software.
    """

    network: str
    chain_id: int
    genesis: Digest
    producers: tuple[Address, ...]
    devnet: bool
    anchor: Anchor | None = None
    trusting_period_s: int = 0
    simulated_root: bytes = NO_ROOT

    def as_json(self) -> dict[str, Json]:
        """The trust file as JSON."""
        return {
            "format": FORMAT,
            "network": self.network,
            "chain_id": self.chain_id,
            "genesis": to_hex(self.genesis),
            "producers": [to_hex(producer) for producer in self.producers],
            "devnet": self.devnet,
            "anchor": None if self.anchor is None else self.anchor.as_json(),
            "trusting_period_s": self.trusting_period_s,
            "simulated_root": to_hex(self.simulated_root),
        }

    def encode(self) -> bytes:
        """The trust file's canonical bytes."""
        return canonical(self.as_json())


def decode_trust(data: bytes) -> Trust:
    """Read a trust file. Raises `Malformed` (`trust.format`; `trust.producers`: it pins nobody; `trust.simulated`)."""
    names = ("format", "network", "chain_id", "genesis", "producers", "devnet", "anchor", "trusting_period_s")
    form, network, chain_id, genesis, producers, devnet, anchor, period_s, simulated = take(
        decode_exact(data), "trust file", *names, "simulated_root"
    )
    if form != FORMAT:
        raise Malformed("trust.format", f"not a trust file: its format must be {FORMAT}")
    listed = as_list(producers, "producers", items_max=PRODUCERS_MAX)
    if bool(listed) == (anchor is not None) or not isinstance(devnet, bool):
        reason = "a trust file pins producers or validators, one of the two, and devnet is true or false"
        raise Malformed("trust.producers", reason)
    root = from_hex(simulated, None, "simulated_root")
    if root and (not devnet or len(root) > CERTIFICATE_BYTES_MAX):
        raise Malformed("trust.simulated", "a simulated root is a certificate, and only development networks have one")
    return Trust(
        as_text(network, "network", bytes_max=NAME_BYTES_MAX),
        as_integer(chain_id, "chain_id"),
        digest_from_hex(genesis, "genesis"),
        tuple(address_from_hex(each, "producers") for each in listed),
        devnet,
        None if anchor is None else anchor_from_json(anchor),
        as_integer(period_s, "trusting_period_s"),
        root,
    )
