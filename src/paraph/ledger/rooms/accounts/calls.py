"""The room's ABI: ERC-20, EIP-2612 and EIP-3009."""

from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.accounts import keys, rules

_AUTHORIZATION = (
    "(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce,"
    " uint8 v, bytes32 r, bytes32 s)"
)

CONTRACT = Contract(
    "Opg",
    keys.OPG,
    "OPG, the network's coin, as an ERC-20: the same balance that transactions send as value.",
    (
        bind("name() view returns (string name)", rules.name, 3_000),
        bind("symbol() view returns (string symbol)", rules.symbol, 3_000),
        bind("decimals() view returns (uint8 decimals)", rules.decimals, 3_000),
        bind("totalSupply() view returns (uint256 supply)", rules.total_supply, 3_000),
        bind("balanceOf(address account) view returns (uint256 balance)", rules.balance_of, 3_000),
        bind("allowance(address owner, address spender) view returns (uint256 amount)", rules.allowance, 3_000),
        bind("transfer(address to, uint256 amount) returns (bool ok)", rules.transfer, 14_000),
        bind("approve(address spender, uint256 amount) returns (bool ok)", rules.approve, 14_000),
        bind("transferFrom(address from, address to, uint256 amount) returns (bool ok)", rules.transfer_from, 19_000),
        bind("DOMAIN_SEPARATOR() view returns (bytes32 separator)", rules.read_domain, 3_000),
        bind("version() view returns (string version)", rules.version, 3_000),
        bind("nonces(address owner) view returns (uint256 nonce)", rules.permit_nonce, 3_000),
        bind(
            "permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
            rules.permit,
            19_000,
        ),
        bind(
            "authorizationState(address authorizer, bytes32 nonce) view returns (bool used)",
            rules.authorization_state,
            3_000,
        ),
        bind("transferWithAuthorization" + _AUTHORIZATION, rules.transfer_with, 24_000),
        bind("receiveWithAuthorization" + _AUTHORIZATION, rules.receive_with, 24_000),
        bind(
            "cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)",
            rules.cancel,
            14_000,
        ),
    ),
    (rules.TRANSFER, rules.APPROVAL, rules.USED, rules.CANCELED),
)
