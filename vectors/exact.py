"""Proofs of exact models, and forgeries of them.

The proofs are made by the slow prover of the tests, which has no chance in it: each run writes the same bytes.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from tests.support.zk import Made, make

from paraph.core.encode import Json
from paraph.core.errors import Malformed, Unverified, must
from paraph.core.ident import Address, Digest, to_hex
from paraph.proofs.zk.graph import Add, Clip, Concat, Conv, Gemm, Graph, Listed, MaxPool, Requant, SumPool
from paraph.proofs.zk.graph_json import graph_from_bytes
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement
from paraph.proofs.zk.verify import verify

DENSE: Final = Graph((6,), (Gemm(0, 5), Requant(1, 1, 6, -98_354, 98_354, Clip(0, 127)), Gemm(2, 3)))
SIGMOID: Final = Listed(-8, (0, 1, 2, 5, 11, 20, 34, 49, 64, 78, 93, 107, 116, 122, 125, 126, 127))
SPATIAL: Final = Graph(
    (1, 4, 4),
    (
        Conv(0, 2, (2, 2), (1, 1), (0, 0, 1, 1), 1),
        Requant(1, 1, 5, -65_586, 65_586, Clip(-128, 127)),
        MaxPool(2, (2, 2), (2, 2)),
        SumPool(2, (2, 2), (2, 2), (0, 0, 0, 0)),
        Requant(4, 3, 4, -512, 512, SIGMOID),
        Concat((3, 5), 0),
        Add((6, 6), (2, -1)),
        Requant(7, 1, 0, -384, 384, Clip(-100, 100)),
        Gemm(8, 3),
    ),
)
"""A convolution, both pools, a table, a sum: every kind of layer."""


def _file(graph: Graph) -> bytes:
    """Weights that follow from their place."""
    parts = []
    for block in graph.blocks:
        parts.append(bytes(37 * (block.node + 1) * (at + 3) % 251 for at in range(block.outputs * block.inputs)))
        parts += [(11 * at - 20).to_bytes(4, "little", signed=True) for at in range(block.outputs)]
    return b"".join(parts)


def _inputs(graph: Graph, count: int) -> list[list[int]]:
    size = graph.input[0] if len(graph.input) == 1 else graph.input[0] * graph.input[1] * graph.input[2]
    return [[(53 * (b + 1) * (at + 1) % 255) - 127 for at in range(size)] for b in range(count)]


WANTED: Final = {
    "dense": (DENSE, 1, Mode.SUCCINCT),
    "dense, three requests": (DENSE, 3, Mode.SUCCINCT),
    "dense, hiding": (DENSE, 2, Mode.HIDING),
    "spatial": (SPATIAL, 1, Mode.SUCCINCT),
}


@cache
def made(name: str) -> Made:
    """A true proof."""
    graph, count, mode = WANTED[name]
    return make(graph, _file(graph), _inputs(graph, count), mode)


def _told(name: str) -> dict[str, Json]:
    of = made(name)
    statement = of.statement
    requests: list[Json] = []
    for b, entry in enumerate(statement.entries):
        requests.append(
            {
                "key": to_hex(entry.key),
                "commitment": to_hex(entry.commitment),
                "salt": to_hex(of.salts[b]),
                "seed": None if of.seeds is None else to_hex(of.seeds[b]),
                "inputs": list(of.inputs[b]),
                "outputs": list(of.outputs[b]),
                "path": [to_hex(each) for each in statement.path(b)],
            }
        )
    verify(statement, of.proof)
    return {
        "name": name,
        "mode": int(statement.mode),
        "graph": statement.exact.graph.bytes.decode(),
        "weights": to_hex(_file(statement.exact.graph)),
        "weight_root": to_hex(statement.exact.weight_root),
        "exact_id": to_hex(statement.exact.id),
        "prover": to_hex(statement.prover),
        "chain_id": statement.chain_id,
        "beacon": to_hex(statement.beacon),
        "batch_root": to_hex(statement.batch_root),
        "requests": requests,
        "proof": to_hex(of.proof),
    }


def proofs() -> Json:
    """True proofs, each with what it is about."""
    return [_told(name) for name in WANTED]


# --- forgeries ---------------------------------------------------------------------------------------------------

ONES: Final = "0x" + "11" * 32
FORGERIES: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    ("another node", "dense", {"prover": "0x" + "11" * 20}),
    ("another network", "dense", {"chain_id": 7}),
    ("another block", "dense", {"beacon": ONES}),
    ("another request", "dense", {"key": [0, ONES]}),
    ("another input or output", "dense", {"commitment": [0, ONES]}),
    ("requests in another order", "dense, three requests", {"order": [1, 0, 2]}),
    ("a request left out", "dense, three requests", {"order": [0, 1]}),
    ("other weights", "dense", {"weight_root": ONES}),
    ("the other mode", "dense", {"mode": 2}),
    ("the mode that hides, taken for the one that does not", "dense, hiding", {"mode": 1}),
    ("another bound", "dense", {"graph": ["98354", "98355"]}),
    ("the witness root", "dense", {"flip": [0, 1]}),
    ("the first message", "dense", {"flip": [32, 1]}),
    ("a message in the middle", "dense", {"flip": [2_000, 128]}),
    ("an element that is not canonical", "dense", {"flip": [35, 255]}),
    ("the last hash", "dense", {"flip": [-1, 1]}),
    ("a column", "dense", {"flip": [-20_000, 4]}),
    ("cut short", "dense", {"cut": 1}),
    ("one byte more", "dense", {"more": "0x00"}),
    ("nothing", "dense", {"cut": -1}),
    ("the nonce", "dense, hiding", {"flip": [0, 1]}),
    ("a message under its pad", "dense, hiding", {"flip": [2_000, 1]}),
    ("the last hash of one that hides", "dense, hiding", {"flip": [-1, 1]}),
    ("a layer's message", "spatial", {"flip": [3_000, 1]}),
)


def edited(statement: Statement, true: bytes, edits: Mapping[str, Any]) -> tuple[Statement, bytes]:
    """A true proof and its statement with edits, as FORMAT.md tells."""
    proof = bytearray(true)
    entries = list(statement.entries)
    for edit, value in edits.items():
        match edit:
            case "prover":
                statement = replace(statement, prover=Address(bytes.fromhex(value[2:])))
            case "chain_id":
                statement = replace(statement, chain_id=value)
            case "beacon":
                statement = replace(statement, beacon=Digest(bytes.fromhex(value[2:])))
            case "key":
                entries[value[0]] = Entry(Digest(bytes.fromhex(value[1][2:])), entries[value[0]].commitment)
            case "commitment":
                entries[value[0]] = Entry(entries[value[0]].key, Digest(bytes.fromhex(value[1][2:])))
            case "order":
                entries = [entries[at] for at in value]
            case "weight_root":
                exact = Exact(statement.exact.graph, Digest(bytes.fromhex(value[2:])))
                statement = replace(statement, exact=exact)
            case "mode":
                statement = replace(statement, mode=Mode(value))
            case "graph":
                graph = graph_from_bytes(statement.exact.graph.bytes.replace(value[0].encode(), value[1].encode()))
                statement = replace(statement, exact=Exact(graph, statement.exact.weight_root))
            case "flip":
                proof[value[0]] ^= value[1]
            case "cut":
                del proof[len(proof) - value if value > 0 else 0 :]
            case "more":
                proof += bytes.fromhex(value[2:])
            case _:
                must(condition=False, truth="every edit is known")
    return replace(statement, entries=tuple(entries)), bytes(proof)


def code(statement: Statement, proof: bytes) -> str | None:
    """The code of the first reason for which a proof is refused; None when it holds."""
    try:
        verify(statement, proof)
    except (Malformed, Unverified) as error:
        return error.code
    return None


def forgeries() -> Json:
    """Lies about true proofs, and the code that each is refused with."""
    found: list[Json] = []
    for name, of, edits in FORGERIES:
        refused = code(*edited(made(of).statement, made(of).proof, edits))
        must(refused is not None, f"{name} is refused")
        found.append({"name": name, "of": of, "edits": dict(edits), "refused": refused})
    return found
