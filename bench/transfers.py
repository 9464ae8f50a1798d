"""Plain transfers applied: from raw transactions to balances, tree and block on disk, and where the time goes."""

import hashlib
from pathlib import Path

from bench.figures import Figure, Result
from bench.ledger import START_S, Ledger
from bench.raw import recovery, signatures
from bench.rounds import Task, Work, again, alternate
from bench.wallets import CHAIN_ID, PRODUCER, SENDERS
from paraph.core.ident import Address
from paraph.ledger.block import Block, apply_block
from paraph.ledger.tx import check_form


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    count, rounds = (200, 3) if quick else (1_000, 7)
    ledger = Ledger(folder)

    # To a thousand accounts in turn: the first round makes them, the later ones find them.
    accounts = [Address(hashlib.sha256(b"account %d" % index).digest()[:20]) for index in range(count)]

    def whole() -> Work:
        raw = ledger.wallets.transfers(accounts)
        return lambda: _nothing(ledger.commit(*raw))

    seen = ledger.wallets.transfers(accounts)
    ledger.commit(*seen)

    def form() -> None:
        for raw in seen:
            check_form(raw, CHAIN_ID)

    found = alternate(
        rounds,
        raw=recovery(signatures(count), count),
        form=again(form, count),
        whole=Task(count, whole),
    )
    parent = ledger.chain.head.header.hash()
    block = Block(ledger.chain.height + 1, START_S + 1, PRODUCER.address, ledger.wallets.transfers(accounts), parent)
    applied = alternate(rounds, apply=again(lambda: _nothing(apply_block(ledger.chain.read, block)), count))["apply"]
    ledger.close()
    other = "libsecp256k1 alone, 1 recovery each"
    wall, cpu = found["raw"].per_s, found["raw"].per_cpu_s
    return Result(
        [
            Figure("transfers: bytes to a block on disk", found["whole"].per_s, "per second", other, wall),
            Figure(
                "transfers: bytes to a block on disk",
                found["whole"].per_cpu_s,
                "per second per core",
                other,
                cpu,
                cpu=True,
            ),
            Figure("… form and signature alone", found["form"].per_cpu_s, "per second per core", other, cpu, cpu=True),
            Figure("… applied, without tree and disk", applied.per_cpu_s, "per second per core", other, cpu, cpu=True),
        ],
        {"transfers": count, "senders": len(SENDERS), "rounds": rounds},
    )


def _nothing(_: object) -> None:
    """Drop a result."""
