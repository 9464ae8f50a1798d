"""Sending one transaction: nonce, fees and gas from the node, signed by the account, and its receipt awaited."""

from dataclasses import dataclass

from paraph.core.amount import WEI_PER_OPG, Wei, format_opg
from paraph.core.encode import Json, JsonObject, as_list, as_object, as_text
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.ident import Address, Digest, to_hex
from paraph.flows.effect import Flow, Now, Rpc, Sign, Wait, ask
from paraph.ledger.contract import Log
from paraph.ledger.tx import Tx

PATIENCE_MS = 30_000
FEE_WEI_MAX = 10 * WEI_PER_OPG
"""Most that one transaction may pay for its gas: a full block at ten times the lowest fee costs 0.6 OPG. The server
that names the fees may be the one who earns them."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that is in a block: its hash, the block's height, gas used, and its logs."""

    hash: Digest
    height: int
    gas_used: int
    logs: tuple[Log, ...]


def transact(chain_id: int, sender: Address, to: Address, value: Wei, data: bytes) -> Flow[Sent]:
    """Send a transaction and wait until it is in a block.

    Raises:
        Rejected: the node refuses it, it reverts (`tx.reverted`, with the reason), or the node asks for an absurd fee
            (`tx.fee_absurd`).
        Unavailable: `tx.pending`: not in a block in time; it may still be included.
    """
    call: JsonObject = {"from": to_hex(sender), "to": to_hex(to), "value": hex(value), "data": to_hex(data)}
    gas = quantity((yield from ask(Rpc("eth_estimateGas", (call,)))))
    nonce = quantity((yield from ask(Rpc("eth_getTransactionCount", (to_hex(sender), "pending")))))
    tip = quantity((yield from ask(Rpc("eth_maxPriorityFeePerGas", ()))))
    price = quantity((yield from ask(Rpc("eth_gasPrice", ()))))
    # Twice the current price: the base fee may rise for several full blocks before this is included.
    tx = Tx(2, chain_id, nonce, tip, 2 * price + tip, gas + gas // 4, to, value, data)
    if tx.gas_limit * tx.fee_max > FEE_WEI_MAX:
        asked = f"{format_opg(Wei(tx.gas_limit * tx.fee_max))} OPG for gas; at most {format_opg(FEE_WEI_MAX)}"
        raise Rejected("tx.fee_absurd", f"the server asks for {asked}; nothing was signed")
    raw = tx.with_signature((yield from ask(Sign(tx.signing_digest()))))
    tx_hash = as_text((yield from ask(Rpc("eth_sendRawTransaction", (to_hex(raw),)))), "a transaction hash")
    return (yield from receipt(tx_hash))


def receipt(tx_hash: str) -> Flow[Sent]:
    """Wait for a transaction's receipt. Raises as `transact` does."""
    began = yield from ask(Now())
    while (yield from ask(Now())) - began < PATIENCE_MS:
        found = yield from ask(Rpc("eth_getTransactionReceipt", (tx_hash,)))
        if found is not None:
            return _sent(as_object(found, "a receipt"))
        yield from ask(Wait(20))
    raise Unavailable("tx.pending", f"{tx_hash} is not in a block after {PATIENCE_MS} ms; it may still be included")


def _sent(found: JsonObject) -> Sent:
    if quantity(found.get("status")) != 1:
        reason = found.get("revertReason") or "no reason given"
        raise Rejected("tx.reverted", f"the transaction reverted: {reason}", hash=str(found.get("transactionHash")))
    logs = (as_object(log, "a log") for log in as_list(found.get("logs"), "logs", items_max=100_000))
    return Sent(
        Digest(_hex(found.get("transactionHash"))),
        quantity(found.get("blockNumber")),
        quantity(found.get("gasUsed")),
        tuple(
            Log(
                Address(_hex(log.get("address"))),
                tuple(_hex(topic) for topic in as_list(log.get("topics"), "topics", items_max=4)),
                _hex(log.get("data")),
            )
            for log in logs
        ),
    )


def quantity(value: Json) -> int:
    """A JSON-RPC quantity (`0x1a`) as an integer. Raises `Malformed` (`rpc.quantity`)."""
    text = as_text(value, "a quantity", bytes_max=66)
    if not text.startswith("0x") or not text[2:] or not set(text[2:]) <= set("0123456789abcdef"):
        raise Malformed("rpc.quantity", f"{text!r} is not a hex quantity")
    return int(text, 16)


def _hex(value: Json) -> bytes:
    try:
        return bytes.fromhex(as_text(value, "hex data").removeprefix("0x"))
    except ValueError as error:
        raise Malformed("rpc.data", "the node's reply holds bad hex") from error
