"""A price paid: split between the model's owner, the node's operator, the stakers' pool and the treasury."""

from dataclasses import dataclass

from paraph.core import abi
from paraph.core.amount import Wei, share
from paraph.core.errors import must
from paraph.core.ident import Address, ModelId, RequestKey
from paraph.ledger.contract import Call
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.rooms.models import rules as models
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import STAKERS_BPS, TREASURY_BPS
from paraph.proofs.records import Model

PAID = abi.event(
    "ReceiptPaid(bytes32 indexed requestKey, address owner, uint256 royalty, uint256 operator, uint256 stakers,"
    " uint256 treasury)"
)


@dataclass(frozen=True, slots=True)
class Payment:
    """What is paid: for which request, of which model, to which node, how much in wei."""

    key: RequestKey
    model_id: ModelId
    node: Address
    price: Wei


def pay(call: Call, source: Address, payment: Payment) -> None:
    """Pay a price out of an account of the ledger's, and say to whom."""
    model = models.find(call.state, payment.model_id)
    royalty, operator, stakers, treasury = split(call, model, payment.price)
    for account, part in (
        (model.owner, royalty),
        (payment.node, operator),
        (STAKERS, stakers),
        (TREASURY, treasury),
    ):
        accounts.move(call.state, source, account, part)
    call.emit(call.to, PAID, payment.key, model.owner, royalty, operator, stakers, treasury)


def split(call: Call, model: Model, price: Wei) -> tuple[Wei, Wei, Wei, Wei]:
    """A price's parts for owner, operator, stakers' pool and treasury. Rounding is in the operator's favour."""
    royalty = share(price, model.royalty_bps)
    stakers = share(price, params.get(call.state, STAKERS_BPS))
    treasury = share(price, params.get(call.state, TREASURY_BPS))
    operator = price - royalty - stakers - treasury
    must(operator >= 0, "the parts of a price are at most the price")
    return royalty, Wei(operator), stakers, treasury
