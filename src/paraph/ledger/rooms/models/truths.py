"""What is always so of models."""

from paraph.core.digest import sha256
from paraph.core.ident import ModelId
from paraph.ledger.rooms.models.keys import EXACT, GRAPH_WORK, GRAPHS, MODELS, PRICES, price_place
from paraph.proofs.records import ExactModel, Model, Price


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


def exact_models_are_whole(dump: dict[bytes, bytes]) -> list[str]:
    """What is exact is a model, and its graph is kept under its digest, with the work that a proof takes."""
    wrong = []
    for key, value in sorted(dump.items()):
        if key.startswith(EXACT.prefix):
            model_id, graph = key[len(EXACT.prefix) :], ExactModel.decode(value).graph
            if MODELS.prefix + model_id not in dump:
                wrong.append(f"{model_id.hex()} is exact, and no model")
            if GRAPHS + graph not in dump or GRAPH_WORK.prefix + graph not in dump:
                wrong.append(f"the graph of model {model_id.hex()} is not kept")
        if key.startswith(GRAPHS) and sha256(value) != key[len(GRAPHS) :]:
            wrong.append(f"graph {key[len(GRAPHS) :].hex()} is another")
    return wrong
