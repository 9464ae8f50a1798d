"""What the room owns: models by id, their price schedules, and their list (the records proofs speak of)."""

from paraph.core.ident import Address, ModelId
from paraph.ledger.state import Listing, Records
from paraph.proofs.records import Model, Price

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a03"))
MODELS: Records[Model] = Records(b"models/record/", Model)
PRICES: Records[Price] = Records(b"models/price/", Price)
LIST = Listing(b"models/list/")


def price_place(model_id: ModelId, version: int) -> bytes:
    """The key of a schedule within PRICES."""
    return model_id + version.to_bytes(4, "big")
