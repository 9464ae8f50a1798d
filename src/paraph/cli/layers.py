"""Verification layers as the command line says them: words, and the ledger's sets of bits."""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from paraph.proofs.request import Layer

F = TypeVar("F", bound=Callable[..., Any])

LAYERS: Final = {layer.word: layer for layer in Layer}


def layers_option(*default: str) -> Callable[[F], F]:
    """`--layer`, which may be given several times; `layers` in the command."""
    return click.option(
        "--layer",
        "layers",
        multiple=True,
        type=click.Choice(tuple(LAYERS)),
        default=default,
        show_default=True,
        help="A verification layer that is offered; repeat it.",
    )


def bits_of(layers: Iterable[str]) -> int:
    """The set of bits of layers by their words."""
    return sum(1 << (LAYERS[word] - 1) for word in set(layers))


def words_of(bits: int) -> list[str]:
    """The layers in a set of bits, in words."""
    return [layer.word for layer in Layer if bits >> (layer - 1) & 1]
