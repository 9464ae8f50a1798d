"""What the room owns: batches (the records proofs speak of), and for each payer the requests already settled."""

from paraph.ledger.rooms.settlement.types import Settlement
from paraph.ledger.state import Numbers, Records
from paraph.proofs.records import Batch

BATCHES: Records[Batch] = Records(b"settlement/batch/", Batch)
BATCH_COUNT = Numbers(b"settlement/count")
SETTLED: Records[Settlement] = Records(b"settlement/request/", Settlement)
