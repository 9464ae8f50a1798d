"""What the room owns: models by id, their price schedules, what they compute exactly, and their list.

Models, schedules and what is computed exactly are the records that proofs speak of.
"""

from paraph.core.ident import Address, ModelId
from paraph.ledger.state import Listing, Numbers, Records
from paraph.proofs.records import ExactModel, Model, Price

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a03"))
MODELS: Records[Model] = Records(b"models/record/", Model)
PRICES: Records[Price] = Records(b"models/price/", Price)
EXACT: Records[ExactModel] = Records(b"models/exact/", ExactModel)
GRAPHS = b"models/graph/"
"""By digest: the canonical bytes of a graph."""
GRAPH_WORK = Numbers(b"models/graph_work/")
"""By digest: the work of a proof of one run, which is also what it takes to lay a proof out."""
WORK = b"models/work"
"""What the last block that had any held of work on exact models."""
LIST = Listing(b"models/list/")


def price_place(model_id: ModelId, version: int) -> bytes:
    """The key of a schedule within PRICES."""
    return model_id + version.to_bytes(4, "big")
