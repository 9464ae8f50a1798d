"""Receipts verified: a client's whole check of a settled answer, and the ledger's check of a receipt in a batch."""

from pathlib import Path

from bench.figures import Figure, Result
from bench.ledger import START_S, Ledger
from bench.raw import signatures, verification
from bench.rounds import again, alternate
from bench.wallets import OPERATOR, PRODUCER, calldata
from paraph.core.amount import Wei
from paraph.ledger.block import facts_of, simulate
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT
from paraph.ledger.state import State
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import verify

SIGNATURES_OF_BUNDLE = 3
"""The payer's, the node's, and the block producer's."""
SIGNATURES_OF_RECEIPT = 2
"""The payer's and the node's."""
GAS = 60_000_000


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    count, rounds = (100, 3) if quick else (400, 9)
    ledger = Ledger(folder)
    owed = ledger.owed(count)
    ledger.commit(ledger.wallets.batch(owed))
    bundles = ledger.bundles(owed, 1)
    encoded = [bundle.encode() for bundle in bundles]
    call = calldata(ledger.owed(count))
    facts = facts_of(State(ledger.chain.read), ledger.chain.height + 1, START_S + 2, PRODUCER.address)

    def check() -> None:
        for bundle in bundles:
            verify(bundle, ledger.trust)

    def check_bytes() -> None:
        for data in encoded:
            verify(decode_bundle(data), ledger.trust)

    def settle() -> None:
        simulate(ledger.chain.read, facts, OPERATOR.address, SETTLEMENT.address, Wei(0), call, GAS)

    raw_bundle = signatures(count * SIGNATURES_OF_BUNDLE)
    raw_receipt = signatures(count * SIGNATURES_OF_RECEIPT)
    found = alternate(
        rounds,
        check=again(check, count),
        check_bytes=again(check_bytes, count),
        raw_bundle=verification(raw_bundle, count),
        settle=again(settle, count),
        raw_receipt=verification(raw_receipt, count),
    )
    ledger.close()
    three, two = "libsecp256k1 alone, 3 signatures each", "libsecp256k1 alone, 2 signatures each"
    rows = (
        ("settled answers verified", "check", three, "raw_bundle"),
        ("settled answers read from their file's bytes and verified", "check_bytes", three, "raw_bundle"),
        ("receipts verified and paid by the ledger's rules, in a batch", "settle", two, "raw_receipt"),
    )
    return Result(
        [
            Figure(name, found[mine].per_cpu_s, "per second per core", other, found[theirs].per_cpu_s, cpu=True)
            for name, mine, other, theirs in rows
        ],
        {"receipts": count, "rounds": rounds, "bundle_bytes": len(encoded[0])},
    )
