"""Enclaves of nodes: keys that a platform vouches for, verified by every validator before they count.

A node has one at a time. To attest anew closes the one before; what that had begun still settles. Verification is paid
for like everything: its gas lets a block hold some thirty, a tenth of a second's work.
"""

from dataclasses import replace
from typing import Final

from paraph.core import abi
from paraph.core.errors import Rejected, Unverified
from paraph.core.ident import Address, Digest, to_hex
from paraph.core.keys import checksummed
from paraph.ledger.contract import Call
from paraph.ledger.rooms.measurements import rules as measurements
from paraph.ledger.rooms.measurements.keys import certificate_name, module_name
from paraph.ledger.rooms.nodes.keys import ATTESTED, CURRENT, ENCLAVES, HOT_KEYS, MODULES, NODES
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import ENCLAVE_LIFE_S
from paraph.proofs.attestation import Attestation, keyset_of, prove
from paraph.proofs.header import hash_key
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.binding import Keyset, registration_nonce
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.evidence import decode_evidence
from paraph.proofs.quotes.intel_collateral import is_newer
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.records import Enclave

REGISTERED = abi.event(
    "EnclaveRegistered(address indexed node, address indexed receiptKey, bytes32 indexed release, string platform,"
    " uint8 trust, uint64 expires)"
)
CLOSED = abi.event("EnclaveClosed(address indexed node, address indexed receiptKey, string reason)")

GAS: Final = 1_000_000
"""Of one verification, about 4 ms: thirty fill a block."""
WINDOW_BLOCKS: Final = 100
"""How old the block may be that the nonce is made of."""
STATED: Final = ("tdx", "sgx")
"""Platforms whose maker says, in collateral that it signs anew all the time, what each version is worth."""
WORTHLESS: Final = "quote.tcb"
"""What is said of a quote when all of that was verified, and its version is revoked, unknown or long out of date."""
ALONE: Final = ("nitro", "simulated")
"""Platforms whose name of a module is one enclave's; others name a chip, which many enclaves share."""


def attest(call: Call, node: Address, release: Digest, keyset: bytes, shown: bytes, height: int) -> None:
    """`attest`: an enclave of the node becomes its signer of receipts. By the operator or the node's hot key.

    Args:
        call: who asks.
        node: whose enclave it is.
        release: what it runs.
        keyset: its keys (docs/spec/attestation.md).
        shown: what its platform signed.
        height: the recent block whose hash is in the nonce.
    """
    found = NODES.get(call.state, node)
    if found is None or found.leaving_s or call.sender not in (node, found.hot_key):
        raise Rejected("nodes.attest_sender", "only a node's operator or its hot key attests for it, while it stays")
    keys = keyset_of(keyset)
    _need_fresh_keys(call, node, keys)
    if not call.facts.height - WINDOW_BLOCKS <= height < call.facts.height:
        raise Rejected(
            "nodes.attest_block",
            f"the nonce is of block {height}; it is made of one of the last {WINDOW_BLOCKS} before {call.facts.height}",
            height=call.facts.height,
        )
    block_hash = Digest(call.state.get(hash_key(height)) or b"")
    nonce = registration_nonce(block_hash, node, ATTESTED.get(call.state, node))
    attestation = Attestation(release, keys, nonce, decode_evidence(shown))
    claims = _proved(call, attestation)
    _claim_module(call, node, claims, keys.receipt_key)
    close_current(call, node)
    now = call.facts.time_s
    expires = min(keys.not_after_s, now + params.get(call.state, ENCLAVE_LIFE_S))
    record = Enclave(
        node,
        keyset,
        release,
        claims.platform,
        claims.trust,
        claims.module,
        tuple(certificate_name(issuer, serial) for issuer, serial in claims.certificates),
        attestation.digest(),
        now,
        call.facts.height,
        0,
        0,
        expires,
    )
    ENCLAVES.put(call.state, keys.receipt_key, record)
    call.state.put(CURRENT + node, keys.receipt_key)
    ATTESTED.add(call.state, node, 1)
    call.emit(call.to, REGISTERED, node, keys.receipt_key, release, claims.platform, int(claims.trust), expires)


def challenge(call: Call, receipt_key: Address) -> None:
    """`challenge`: anyone may have an enclave closed that stands on what was revoked since it was registered."""
    found = _open(call, receipt_key)
    reason = measurements.revoked_since(call.state, found)
    if reason is None:
        raise Rejected("nodes.challenge", "nothing that this enclave stands on is revoked")
    _close(call, receipt_key, found, reason)


def challenge_with(
    call: Call, receipt_key: Address, nonce: Digest, shown: bytes, collateral: tuple[bytes, ...]
) -> None:
    """`challengeWith`: anyone may have an enclave closed of whose platform its maker says worse by now.

    Args:
        call: who asks.
        receipt_key: the enclave's.
        nonce: what it was asked to include when it was registered.
        shown: the evidence it was registered with.
        collateral: newer than what stands in that: by it, the platform is worth less than the record says.
    """
    found = _open(call, receipt_key)
    registered = Attestation(found.release, keyset_of(found.keyset), nonce, decode_evidence(shown))
    if registered.digest() != found.evidence:
        raise Rejected("nodes.challenge_evidence", "this is not the evidence that the enclave was registered with")
    newer = decode_evidence(replace(registered.evidence, collateral=collateral).encode())
    try:
        if found.platform not in STATED or not is_newer(registered.evidence.collateral, collateral):
            raise Rejected(
                "nodes.challenge_old", "its maker's word in this is no newer than that it was registered with"
            )
        claims = evidence.verify(newer, measurements.simulated_root(call.state), call.facts.time_s, call.checks)
    except Unverified as error:
        # What does not verify says nothing of the enclave: anybody can bring that. One refusal is its maker's own.
        if error.code != WORTHLESS:
            raise Rejected(*error.reasons[0]) from error
        _close(call, receipt_key, found, "worth nothing")
        return
    if claims.trust >= found.trust:
        raise Rejected("nodes.challenge", f"by this, too, the enclave is of the class {claims.trust.word}")
    _close(call, receipt_key, found, f"worth {claims.trust.word}")


def close_current(call: Call, node: Address) -> None:
    """Close the node's enclave, if one is open: its key signs nothing that begins after this block."""
    signer = call.state.get(CURRENT + node)
    if signer is not None:
        found = ENCLAVES.get(call.state, Address(signer))
        if found is not None and not found.height_last:
            _close(call, Address(signer), found, "replaced")


def read(call: Call, receipt_key: Address) -> tuple[object, ...]:
    """`enclave`: what was verified of an enclave, by the address of its receipt key."""
    found = ENCLAVES.get(call.state, receipt_key)
    if found is None:
        raise Rejected("nodes.enclave_unknown", "no enclave with this receipt key was registered")
    return (
        found.node,
        found.keyset,
        found.release,
        found.platform,
        found.trust,
        found.module,
        found.height_first,
        found.height_last,
        found.expires_s,
    )


def read_current(call: Call, node: Address) -> tuple[bytes, int]:
    """`enclaveOf`: the receipt key that the node registered last (zero for none), and how many it registered."""
    return call.state.get(CURRENT + node) or bytes(20), ATTESTED.get(call.state, node)


def _need_fresh_keys(call: Call, node: Address, keys: Keyset) -> None:
    if (keys.chain_id, keys.node) != (call.facts.chain_id, node):
        raise Rejected(
            "nodes.keyset",
            f"the keys are for {checksummed(keys.node)} on chain {keys.chain_id}, not for {checksummed(node)} on"
            f" chain {call.facts.chain_id}",
        )
    used = (ENCLAVES.get(call.state, keys.receipt_key), HOT_KEYS.get(call.state, keys.receipt_key))
    if used != (None, None):
        raise Rejected("nodes.key_used", "this receipt key was registered before; an enclave makes new ones")


def _proved(call: Call, shown: Attestation) -> Claims:
    code = measurements.find(call.state, shown.release)
    if code.height_last:
        raise Rejected(
            "measurements.revoked", f"the release {to_hex(shown.release)} was revoked at block {code.height_last}"
        )
    if code.platform != shown.evidence.platform:
        raise Rejected(
            "nodes.platform", f"the release is for {code.platform}; the evidence is of {shown.evidence.platform[:40]!a}"
        )
    # How much a root is worth is for whoever relies on the enclave to say; the record tells it.
    expected = Policy((code.measurements,), TrustClass.SIMULATED, versions_min=code.versions_min)
    try:
        claims = prove(shown, expected, measurements.simulated_root(call.state), call.facts.time_s, call.checks)
    except Unverified as error:
        raise Rejected(*error.reasons[0]) from error
    measurements.need_unrevoked(call.state, claims)
    return claims


def _claim_module(call: Call, node: Address, claims: Claims, receipt_key: Address) -> None:
    """One enclave serves one node: another may not stand on the same one while it is open."""
    if claims.platform not in ALONE:
        return
    place = MODULES + module_name(claims.platform, claims.module)
    holder = call.state.get(place)
    found = None if holder is None else ENCLAVES.get(call.state, Address(holder))
    if found is not None and found.node != node and not found.height_last and call.facts.time_s <= found.expires_s:
        raise Rejected("nodes.module", f"the enclave {claims.module} serves {checksummed(found.node)} already")
    call.state.put(place, receipt_key)


def _open(call: Call, receipt_key: Address) -> Enclave:
    found = ENCLAVES.get(call.state, receipt_key)
    if found is None or found.height_last:
        raise Rejected("nodes.challenge", "there is no open enclave of this receipt key")
    return found


def _close(call: Call, receipt_key: Address, found: Enclave, reason: str) -> None:
    closed = replace(found, height_last=call.facts.height, closed_s=max(call.facts.time_s, 1))
    ENCLAVES.put(call.state, receipt_key, closed)
    call.emit(call.to, CLOSED, found.node, receipt_key, reason)
