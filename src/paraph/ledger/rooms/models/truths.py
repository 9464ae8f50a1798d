"""What is always so of models."""

from paraph.core.ident import ModelId
from paraph.ledger.rooms.models.keys import MODELS, PRICES, price_place
from paraph.proofs.records import Model, Price


def one_price_is_in_force(dump: dict[bytes, bytes]) -> list[str]:
    """Every model has all its schedules, and only the newest is in force."""
    wrong = []
    for key, value in sorted(dump.items()):
        if key.startswith(MODELS.prefix):
            model_id = ModelId(key[len(MODELS.prefix) :])
            newest = Model.decode(value).price_version
            for version in range(1, newest + 1):
                stored = dump.get(PRICES.prefix + price_place(model_id, version))
                if stored is None or (Price.decode(stored).ended_s == 0) != (version == newest):
                    wrong.append(f"model {model_id.hex()} schedule {version} of {newest}")
    return wrong
