"""The room's ABI."""

from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.escrow import keys, rules

CONTRACT = Contract(
    "Escrow",
    keys.ADDRESS,
    "Money set aside for inference. A signed request debits it once, up to its cap; the rest can be withdrawn.",
    (
        bind("deposit() payable", rules.deposit, 20_000),
        bind("depositFor(address payer) payable", rules.deposit_for, 20_000),
        bind("requestWithdrawal(uint256 amount)", rules.request_withdrawal, 20_000),
        bind("cancelWithdrawal()", rules.cancel_withdrawal, 20_000),
        bind("withdraw()", rules.withdraw, 30_000),
        bind(
            "account(address payer) view returns (uint256 available, uint256 leaving, uint64 unlockTime)",
            rules.read,
            3_000,
        ),
    ),
    (rules.DEPOSITED, rules.LEAVING, rules.CANCELLED, rules.WITHDRAWN),
)
