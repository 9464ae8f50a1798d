"""The state tree at growing sizes: bytes of a proof, time to make and check one, and to take a block's changes in."""

import hashlib
from pathlib import Path

from bench.figures import Figure, Result
from bench.rounds import Task, Work, again, alternate
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.encode import canonical
from paraph.core.ident import Digest
from paraph.core.smt import EMPTY, proves
from paraph.ledger import tree

PROOFS = 1_000
CHANGES = 1_000
CHUNK = 50_000
"""Keys written at a time while a tree is filled: enough to be quick, few enough to fit in memory."""


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    sizes, rounds = ([10_000, 100_000], 3) if quick else ([10_000, 100_000, 1_000_000], 5)
    figures: list[Figure] = []
    for size in sizes:
        store = LmdbStore(folder / str(size))
        figures += _figures(store, size, rounds)
        store.close()
    return Result(figures, {"sizes": sizes, "rounds": rounds, "proofs": PROOFS, "changes": CHANGES, "value_bytes": 32})


def _figures(store: LmdbStore, size: int, rounds: int) -> list[Figure]:
    def get_node(node: bytes) -> bytes | None:
        return store.get("tree", node)

    plain: dict[bytes, bytes] = {}
    root = EMPTY
    for start in range(0, size, CHUNK):
        rows = {_key(index): _value(index, 0) for index in range(start, min(start + CHUNK, size))}
        plain |= rows
        root = _keep(store, tree.update(get_node, root, rows))
    # Every so-manieth key, and as many that are absent.
    step = size // PROOFS
    present = [_key(index) for index in range(0, size, step)]
    absent = [_key(size + index) for index in range(PROOFS)]
    proofs = [tree.prove(get_node, root, key) for key in present]
    absences = [tree.prove(get_node, root, key) for key in absent]
    raw = [32 * len(proof.siblings) + len(proof.other) for proof in proofs]
    raw_absent = [32 * len(proof.siblings) + len(proof.other) for proof in absences]
    shown = [len(canonical(proof.as_json())) for proof in proofs]

    def prove() -> None:
        for key in present:
            tree.prove(get_node, root, key)

    def check() -> None:
        for key, proof in zip(present, proofs, strict=True):
            assert proves(root, key, plain[key], proof)

    def look() -> None:
        for key in present:
            hashlib.sha256(plain[key]).digest()

    block = {_key(index * step): _value(index, 1) for index in range(CHANGES)}
    written: list[int] = []

    def change() -> None:
        tree.update(get_node, root, block)

    def change_and_keep() -> Work:
        # Every round changes what the last one wrote.
        rows = {key: hashlib.sha256(value + bytes([len(written)])).digest() for key, value in block.items()}
        written.append(len(rows))

        def work() -> None:
            nonlocal root
            root = _keep(store, tree.update(get_node, root, rows))

        return work

    copied = dict(plain)

    def change_plain() -> None:
        for key, value in block.items():
            copied[key] = value
            hashlib.sha256(value).digest()

    found = alternate(
        rounds,
        prove=again(prove, PROOFS),
        check=again(check, PROOFS),
        look=again(look, PROOFS),
        change=again(change),
        change_plain=again(change_plain),
    )
    kept = alternate(rounds, kept=Task(1, change_and_keep))["kept"]
    keys, other, each = f"{size:,} keys", "a dict and one SHA-256", "a dict and one SHA-256 each"
    us, ms = 1e6, 1e3
    look_us, dict_ms = found["look"].cpu_s * us, found["change_plain"].cpu_s * ms
    dict_wall_ms = found["change_plain"].wall_s * ms
    return [
        Figure(f"proof of a value, {keys}, mean", sum(raw) / len(raw), "bytes"),
        Figure(f"proof of a value, {keys}, largest of {PROOFS}", max(raw), "bytes"),
        Figure(f"proof of a value as JSON, {keys}, mean", sum(shown) / len(shown), "bytes"),
        Figure(f"proof of an absence, {keys}, mean", sum(raw_absent) / len(raw_absent), "bytes"),
        Figure(f"prove a value, {keys}", found["prove"].cpu_s * us, "µs", other, look_us, cpu=True),
        Figure(f"check a proof, {keys}", found["check"].cpu_s * us, "µs", other, look_us, cpu=True),
        Figure(f"change {CHANGES:,} of {keys}", found["change"].cpu_s * ms, "ms", each, dict_ms, cpu=True),
        Figure(f"change {CHANGES:,} of {keys}, kept on disk", kept.wall_s * ms, "ms", each, dict_wall_ms),
    ]


def _keep(store: LmdbStore, update: tree.Update) -> Digest:
    rows: dict[tuple[str, bytes], bytes | None] = {("tree", node): data for node, data in update.added.items()}
    rows |= {("tree", node): None for node in update.stale}
    store.write(rows)
    return update.root


def _key(index: int) -> bytes:
    return b"accounts/balance/" + hashlib.sha256(b"%d" % index).digest()[:20]


def _value(index: int, version: int) -> bytes:
    return hashlib.sha256(b"value %d of %d" % (version, index)).digest()
