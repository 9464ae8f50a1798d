"""What the room owns: balances, nonces, allowances, and the replay guards of signed approvals and transfers."""

from paraph.core.ident import Address
from paraph.ledger.state import Numbers

BALANCES = Numbers(b"accounts/balance/")
NONCES = Numbers(b"accounts/nonce/")
ALLOWANCES = Numbers(b"accounts/allowance/")
PERMIT_NONCES = Numbers(b"accounts/permit/")
AUTHORIZATIONS = Numbers(b"accounts/authorization/")

OPG = Address(bytes.fromhex("0000000000000000000000000000000000000a01"))
STAKERS = Address(bytes.fromhex("0000000000000000000000000000000000000a10"))
"""The stakers' pool: a plain balance until staking distributes it."""
TREASURY = Address(bytes.fromhex("0000000000000000000000000000000000000a11"))
"""The treasury: receives its part of prices, and base fees, which Ethereum would burn; OPG's supply never shrinks."""
RESERVED = (range(0x0800, 0x0900), range(0x0A00, 0x0B00))
"""Addresses of native contracts and pools, as numbers: no transfer may end there except by their own methods.

The first range is for what Cosmos EVM has at the same address; the second is ours alone."""
