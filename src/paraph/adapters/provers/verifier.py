"""Which verifier looks at proofs of exact models: the fast one where its compiler is installed, else the reference one.

Both take and refuse the same proofs, with the same codes. The fast one loads at the first proof, which takes a second,
or five on a machine where it never ran: whoever never sees a proof pays nothing.
"""

from functools import cache
from importlib.util import find_spec
from typing import Final, Literal

from paraph.proofs.quotes.evidence import Verify
from paraph.proofs.zk.statement import Statement
from paraph.proofs.zk.verify import Opened
from paraph.proofs.zk.verify import verify as by_reference

COMPILER: Final = "numba"


def kind() -> Literal["fast", "reference"]:
    """Which one `verify` uses."""
    return "reference" if find_spec(COMPILER) is None else "fast"


def verify(statement: Statement, proof: bytes) -> Opened:
    """Look at a proof by the fastest verifier there is. Raises `Unverified` (`zk.…`), `Malformed` (`zk.size`)."""
    return _loaded(kind())(statement, proof)


@cache
def _loaded(wanted: str) -> Verify:
    if wanted == "reference":
        return by_reference
    from paraph.adapters.provers import check  # noqa: PLC0415  loads the compiler

    return check.verify
