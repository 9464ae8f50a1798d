"""Does a proof show what its statement claims?

Slow, plain and exact, on Python's integers: faster verifiers are judged by it. Specified in docs/spec/zk.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.proofs.zk.argument import reduce
from paraph.proofs.zk.channel import Channel, refuse
from paraph.proofs.zk.columns import codeword, seeded_tail
from paraph.proofs.zk.field import P
from paraph.proofs.zk.opening import open_columns
from paraph.proofs.zk.plan import HASH_BYTES, Plan, plan
from paraph.proofs.zk.statement import Mode, Statement


@dataclass(frozen=True, slots=True)
class Opened:
    """A proof that holds, and the columns by which a request finds itself in it.

    Args:
        statement: what was proven.
        nonce: the proof's own in mode 2, empty in mode 1.
        columns: the opened columns of the witness, by index: entries from the first row to the last.
    """

    statement: Statement
    nonce: bytes
    columns: dict[int, Sequence[int]]

    def need_request(self, index: int, inputs: Sequence[int], outputs: Sequence[int], seed: bytes | None) -> None:
        """That request number `index` of the batch is about this input and this output.

        Args:
            index: its number in the batch.
            inputs: int8, in the order channels, rows, columns.
            outputs: int32, in the same order.
            seed: the request's, in mode 2; None in mode 1.

        Raises:
            Malformed: `zk.request`: no such number, other lengths than the model's, or values that no model has (a
                proof knows values modulo p only); `zk.seed`.
            Unverified: `zk.request`: the proof is about another input or output.
        """
        mode = self.statement.mode
        layout = plan(self.statement.exact.graph, len(self.statement.entries), mode)
        ok = 0 <= index < layout.count and len(inputs) == layout.inputs and len(outputs) == layout.outputs
        ok = ok and all(-128 <= each <= 127 for each in inputs) and all(abs(each) <= P // 2 for each in outputs)
        if not ok or (seed is None) is not (mode is Mode.SUCCINCT):
            raise Malformed("zk.request", "the request's number, its input, output or seed do not fit the proof")
        size = 1 << layout.block_bits
        block = _block(layout, inputs, outputs)
        first = (layout.blocks.offset + index * size) // layout.line
        for row in range(size // layout.line):
            values = block[row * layout.line : (row + 1) * layout.line]
            tail = [] if seed is None else seeded_tail(seed, self.nonce, row, layout.tail)
            found = codeword(values, tail, layout.codeword.bit_length() - 1)
            if any(column[first + row] != found[place] for place, column in self.columns.items()):
                refuse("zk.request", "the proof is about another input or output than this request's")


def verify(statement: Statement, proof: bytes) -> Opened:
    """Check a proof.

    Args:
        statement: what it claims; also says which model, and so how long the proof is.
        proof: its bytes.

    Raises:
        Malformed: `zk.size`: the model or the batch is beyond the limits.
        Unverified: `zk.…`: the first thing that is not right.
    """
    layout = plan(statement.exact.graph, len(statement.entries), statement.mode)
    if len(proof) > layout.proof_bytes_max:
        refuse("zk.length", f"the proof has {len(proof)} bytes; at most {layout.proof_bytes_max}")
    channel = Channel(layout, statement.transcript(), proof)
    nonce = channel.take(HASH_BYTES if statement.mode is Mode.HIDING else 0)
    if nonce:
        channel.transcript.absorb(b"nonce", nonce)
    committed = Digest(channel.take(HASH_BYTES))
    channel.transcript.absorb(b"witness", committed)
    reduced = reduce(channel)
    return Opened(statement, nonce, dict(open_columns(channel, reduced, committed, statement.exact.weight_root)))


def _block(layout: Plan, inputs: Sequence[int], outputs: Sequence[int]) -> list[int]:
    last = layout.layers[-1]
    found = [0] * (1 << layout.block_bits)
    found[: layout.inputs] = [each % P for each in inputs]
    width = 1 << last.output_bits
    for number, each in enumerate(outputs):
        channel, place = divmod(number, last.places)
        found[layout.output_offset + place * width + channel] = each % P
    return found
