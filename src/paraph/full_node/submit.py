"""Taking transactions over JSON-RPC, and refusing them in the words that wallets look for.

Wallets and libraries decide by geth's sentences whether to raise a fee, take another nonce or give up. Those stand in
front; our own code and numbers are in the error's data.
"""

from collections.abc import Callable
from typing import Final

from paraph.adapters.ethereum.rpc import INVALID_INPUT, REFUSED, UNAVAILABLE, Group, Method, RpcError, refusal
from paraph.core.encode import Json
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest, to_hex
from paraph.full_node.engine import Engine
from paraph.full_node.wire import read_data

WORDS: Final = {
    "tx.nonce": "nonce too low",
    "tx.funds": "insufficient funds for gas * price + value",
    "tx.gas_limit": "intrinsic gas too low or above the most any block holds",
    "tx.gas_block": "exceeds block gas limit",
    "tx.fee": "max fee per gas less than block base fee",
    "tx.size": "oversized data",
    "tx.type": "transaction type not supported",
    "tx.chain_id": "invalid chain id for signer",
    "mempool.known": "already known",
    "mempool.underpriced": "replacement transaction underpriced",
    "mempool.full": "txpool is full",
    "mempool.sender_full": "account limit exceeded",
    "signature.form": "invalid transaction v, r, s values",
    "signature.high_s": "invalid transaction v, r, s values",
}
"""Our code → geth's words (core/txpool and core/types)."""


class Submissions:
    """Takes raw transactions.

    Args:
        engine: where they wait for a block.
        heard: told of each one taken.
    """

    def __init__(self, engine: Engine, heard: tuple[Callable[[Digest], None], ...]) -> None:
        self._engine = engine
        self._heard = heard

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {"eth_sendRawTransaction": Method(self.send, (read_data,), 1, Group.SUBMIT)}

    async def send(self, raw: bytes) -> Json:
        """`eth_sendRawTransaction`: returns the hash as soon as the transaction waits for a block."""
        try:
            tx_hash = await self._engine.submit(raw)
        except ParaphError as error:
            raise _refused(error) from error
        for heard in self._heard:
            heard(tx_hash)
        return to_hex(tx_hash)


def _refused(error: ParaphError) -> RpcError:
    words = _words(error)
    message = error.message if words is None else f"{words}: {error.message}"
    match error:
        case Malformed():
            return refusal(INVALID_INPUT, message, error)
        case Rejected():
            return refusal(REFUSED if words is None else INVALID_INPUT, message, error)
        case Unavailable():
            return refusal(UNAVAILABLE if words is None else INVALID_INPUT, message, error)
        case _:
            raise error


def _words(error: ParaphError) -> str | None:
    expected, got = error.facts.get("expected"), error.facts.get("got")
    if error.code == "tx.nonce" and isinstance(expected, int) and isinstance(got, int) and got > expected:
        return "nonce too high"
    if error.code == "tx.fee" and "base_fee" not in error.facts:
        return "max priority fee per gas higher than max fee per gas"
    return WORDS.get(error.code)
