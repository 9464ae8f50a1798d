"""What the room owns: one account per payer."""

from paraph.core.ident import Address
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.state import Records

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a04"))
ACCOUNTS: Records[Account] = Records(b"escrow/account/", Account)
