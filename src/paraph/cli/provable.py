"""Asking exact models on the command line: numbers become their integers, and what their integers mean."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paraph.cli.places import needs
from paraph.core.errors import Rejected
from paraph.core.tensor import Tensor

if TYPE_CHECKING:
    from paraph.adapters.provers.card import Card
    from paraph.sdk.answer import Answer
    from paraph.sdk.client import Client

PATIENCE_S = 600
"""The longest that a proof is waited for; it may take hours by its promise, and can be fetched later."""


def by_card(client: "Client", model: str, named: Mapping[str, Any]) -> "tuple[Mapping[str, Any], Card | None]":
    """Inputs as an exact model takes them, with the card by which numbers became integers; None where none did.

    What was given as INT8 is the model's own integers already.

    Raises:
        Rejected: `exact.input`: other than one input, or numbers that the model does not take.
        Unverified: `model.card`: the nodes' card is not the registered one.
    """
    if all(isinstance(each, Tensor) for each in named.values()):
        return named, None
    if len(named) != 1:
        raise Rejected("exact.input", f"an exact model has one input; {len(named)} were given")
    with needs("zk"):
        import numpy as np
    ((name, values),) = named.items()
    card = client.card(model)
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise Rejected("exact.input", f"{name}: an exact model takes numbers: {error}") from error
    # One row is proven at a time: it may be written without the brackets around it.
    row = numbers if numbers.shape[:1] == (1,) and numbers.ndim > 1 else numbers[np.newaxis]
    return {name: card.to_int8(row)}, card


def meaning(card: "Card", answer: "Answer") -> dict[str, Any]:
    """What an exact answer means by the model's card: the answer in a word, where there is one, and the scores."""
    import numpy as np

    ((_, integers),) = answer.outputs.items()
    scores = card.from_int32(np.array(integers, np.int32))
    return {"answer": card.answer(integers), "scores": [float(each) for each in scores]}


def wait_sentence(progress: Mapping[str, Any]) -> str:
    """How far a proof is, in a few words."""
    said = progress["node"]
    state = f"{progress['stage']}; the node says: {said['state']}" if said is not None else progress["stage"]
    return f"waiting for the proof ({state}; {progress['blocks_left']} blocks left)"
