"""The terms on which a full node answers JSON-RPC: strangers ask, and some of them mean it ill."""

from dataclasses import replace
from typing import Final

from paraph.adapters.ethereum import rpc
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable

BODY_BYTES_MAX: Final = 5 * 1024 * 1024
"""One request: two of the largest transactions in hex; as much as geth takes."""
BATCH_MAX: Final = 100
"""Calls in one batch: web3.py and ethers gather at most 100."""
ANSWER_BYTES_MAX: Final = 25 * 1024 * 1024
"""Answers to one batch together: what geth allows."""


async def answer(
    methods: rpc.Methods, body: bytes, around: rpc.Around = rpc.just_run, batch_max: int = BATCH_MAX
) -> bytes:
    """Answer one body on a full node's terms, with at most `batch_max` calls in a batch. See `rpc.answer`."""
    return await rpc.answer(methods, replace(TERMS, batch_max=batch_max), body, around)


def _number(error: ParaphError) -> int:
    match error:
        case Malformed():
            return rpc.INVALID_PARAMS
        case Rejected():
            return rpc.INVALID_INPUT
        case Unavailable():
            return rpc.UNAVAILABLE
        case _:
            return rpc.INTERNAL_ERROR


TERMS: Final = rpc.Terms(
    body_bytes_max=BODY_BYTES_MAX,
    batch_max=BATCH_MAX,
    answers_bytes_max=ANSWER_BYTES_MAX,
    fact_chars_max=None,
    missing=lambda _name: "does not exist/is not available",
    number=_number,
    no_params=(rpc.INVALID_REQUEST, "invalid request: params must be an array"),
    fault="rpc.internal",
)
