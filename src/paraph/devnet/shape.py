"""The shape of a devnet: how many full nodes it has, and which of them vote.

It is chosen once, when the devnet is made, and remembered in its folder: the genesis follows from it.
"""

from dataclasses import dataclass
from typing import Final

from paraph.core.encode import JsonObject, as_integer, decode, take
from paraph.core.errors import Malformed, Rejected

VALIDATORS_MAX: Final = 40
"""As many as a set has by default; each is three processes, so a laptop carries about ten."""
BLOCK_PAUSE_MS: Final = 500
"""Between blocks: on one machine votes arrive at once, and a person waits for most of them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many full nodes, and what they are to each other.

    Args:
        validators: how many agree on blocks, each a full node with CometBFT; 0: one solo full node, without CometBFT.
        follower: one more full node that follows the validators and does not vote.
        block_pause_ms: how long validators wait after a block.

    Raises:
        Rejected: `devnet.shape`.
    """

    validators: int = 0
    follower: bool = False
    block_pause_ms: int = BLOCK_PAUSE_MS

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if not 0 <= self.validators <= VALIDATORS_MAX:
            raise Rejected("devnet.shape", f"a devnet has 0 to {VALIDATORS_MAX} validators, not {self.validators}")
        if self.follower and not self.validators:
            raise Rejected("devnet.shape", "a follower needs validators to follow; a solo devnet has none")

    @property
    def voters(self) -> tuple[str, ...]:
        """The full nodes that are validators."""
        return tuple(f"full-node-{number}" for number in range(1, self.validators + 1))

    @property
    def operators(self) -> tuple[str, ...]:
        """Whose the validators are: the names of their operators' keys, in the same order."""
        return tuple(f"validator-{number}" for number in range(1, self.validators + 1))

    @property
    def full_nodes(self) -> tuple[str, ...]:
        """Every full node. Clients ask the first; the inference node asks the last."""
        if not self.validators:
            return ("full-node",)
        return (*self.voters, "full-node-follower") if self.follower else self.voters

    def __str__(self) -> str:
        if not self.validators:
            return "one solo full node"
        count = "1 validator" if self.validators == 1 else f"{self.validators} validators"
        return f"{count} and a follower" if self.follower else count

    def as_json(self) -> JsonObject:
        """What the folder remembers."""
        return {"validators": self.validators, "follower": self.follower, "block_pause_ms": self.block_pause_ms}


SOLO: Final = Shape()


def decode_shape(data: bytes) -> Shape:
    """Read a remembered shape. Raises `Malformed` (`devnet.shape`, `json.…`) and `Rejected` (`devnet.shape`)."""
    validators, follower, pause_ms = take(decode(data), "a devnet's shape", "validators", "follower", "block_pause_ms")
    if not isinstance(follower, bool):
        raise Malformed("devnet.shape", f"a devnet's follower is true or false, not {follower!r:.80}")
    return Shape(
        as_integer(validators, "validators", 0, VALIDATORS_MAX),
        follower,
        as_integer(pause_ms, "block_pause_ms", 0, 2**31 - 1),
    )
