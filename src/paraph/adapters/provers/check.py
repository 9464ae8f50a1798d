"""Does a proof show what its statement claims? The fast verifier.

It says what `paraph.proofs.zk.verify` says, by which it is judged, and takes a hundredth of the time. Specified in
docs/spec/zk.md.
"""

from paraph.adapters.provers.check_argument import Argument
from paraph.adapters.provers.check_opening import open_columns
from paraph.adapters.provers.gathers import gathers
from paraph.adapters.provers.hearing import Hearing, refuse
from paraph.core.ident import Digest
from paraph.proofs.zk.plan import HASH_BYTES, plan
from paraph.proofs.zk.statement import Statement
from paraph.proofs.zk.verify import Opened


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
    hearing = Hearing(layout, statement.transcript(), proof)
    nonce = hearing.take(HASH_BYTES if hearing.hiding else 0)
    if nonce:
        hearing.transcript.absorb(b"nonce", nonce)
    committed = Digest(hearing.take(HASH_BYTES))
    hearing.transcript.absorb(b"witness", committed)
    reduced = Argument(hearing, gathers(statement.exact.graph)).run()
    return Opened(statement, nonce, dict(open_columns(hearing, reduced, committed, statement.exact.weight_root)))
