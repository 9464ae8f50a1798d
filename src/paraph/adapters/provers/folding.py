"""A network with fewer steps that computes the same: factors and offsets go into the weights beside them.

Every step that is left costs a table in the proof, and rounding; a scaler before a matrix, or a batch normalisation
behind a convolution, need cost neither.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from paraph.adapters.provers.network import (
    Activation,
    Affine,
    Convolution,
    Joining,
    LargestPool,
    Matrix,
    Network,
    Reshaping,
    Step,
    Sum,
    evaluate,
    sources,
)
from paraph.proofs.zk.graph import Shape

ROUNDS_MAX: Final = 10_000
"""Each round takes away a step, or moves one nearer to its place."""


def folded(network: Network, output: int) -> Network:
    """The network up to one of its tensors, which becomes the output, with all that can be folded."""
    found = _pruned(network, output)
    for _ in range(ROUNDS_MAX):
        smaller = _once(found)
        if smaller is None:
            break
        found = _pruned(smaller, len(smaller.steps))
    return found


def consumers(steps: Sequence[Step]) -> list[list[int]]:
    """By tensor: the steps that read it."""
    found: list[list[int]] = [[] for _ in range(len(steps) + 1)]
    for number, step in enumerate(steps):
        for each in sources(step):
            found[each].append(number)
    return found


def _pruned(network: Network, output: int) -> Network:
    """Without steps that the output does not need."""
    needed = {output}
    for number in range(len(network.steps) - 1, -1, -1):
        if number + 1 in needed:
            needed.update(sources(network.steps[number]))
    if output == 0:
        return replace(network, steps=(Affine(0, np.ones((1, 1, 1)), np.zeros((1, 1, 1))),))
    place, steps = {0: 0}, []
    for number, step in enumerate(network.steps):
        if number + 1 in needed:
            steps.append(_reading(step, place))
            place[number + 1] = len(steps)
    return replace(network, steps=tuple(steps))


def _reading(step: Step, place: dict[int, int]) -> Step:
    """The step, reading tensors at their new places."""
    if isinstance(step, Sum | Joining):
        return replace(step, of=tuple(place[each] for each in step.of))
    return replace(step, of=place[step.of])


def _once(network: Network) -> Network | None:
    """One fold; None when nothing is left to fold."""
    readers = consumers(network.steps)
    shapes: list[Shape] | None = None
    for number, step in enumerate(network.steps):
        before = network.steps[step.of - 1] if not isinstance(step, Sum | Joining) and step.of else None
        alone = not isinstance(step, Sum | Joining) and readers[step.of] == [number]
        if isinstance(step, Affine):
            if alone and isinstance(before, Matrix | Convolution) and _by_channel(step):
                return _merged(network, number, _scaled(before, step))
            if alone and isinstance(before, Affine):
                both = Affine(before.of, before.scale * step.scale, before.offset * step.scale + step.offset)
                return _merged(network, number, both)
            shapes = shapes or _shapes(network)
            found = _into_readers(network, number, step, readers, shapes)
            if found is not None:
                return found
            if step.of == 0 and alone and len(network.steps) > 1 and (step.scale != 0).all():
                return _into_input(network, number, step)
        if isinstance(step, Activation) and step.rising and alone and isinstance(before, LargestPool):
            source = before.of
            if readers[source] == [step.of - 1]:
                # max and a rising function may change places; then the function follows the matrix behind it.
                steps = list(network.steps)
                steps[step.of - 1], steps[number] = replace(step, of=source), replace(before, of=step.of)
                return replace(network, steps=tuple(steps))
    return None


def _shapes(network: Network) -> list[Shape]:
    with np.errstate(all="ignore"):
        values = evaluate(network, np.zeros((1, *network.shape)))
    return [(each.shape[1], each.shape[2], each.shape[3]) for each in values]


def _by_channel(step: Affine) -> bool:
    return step.scale.shape[1:] == (1, 1) == step.offset.shape[1:]


def _merged(network: Network, number: int, step: Step) -> Network:
    """The step `number` and the one before it become one, in the place of the later."""
    return replace(network, steps=(*network.steps[:number], step, *network.steps[number + 1 :]))


def _scaled(before: Matrix | Convolution, step: Affine) -> Matrix | Convolution:
    factor, offset = step.scale.reshape(-1), step.offset.reshape(-1)
    each = factor if len(factor) > 1 else np.broadcast_to(factor, before.bias.shape)
    weight = before.weight * each.reshape(-1, *(1,) * (before.weight.ndim - 1))
    return replace(before, weight=weight, bias=before.bias * factor + offset)


def _into_readers(
    network: Network, number: int, step: Affine, readers: list[list[int]], shapes: list[Shape]
) -> Network | None:
    """Into the weights of all that read it, or past a change of shape; None if one of them cannot take it."""
    mine = readers[number + 1]
    shape = shapes[number + 1]
    steps = list(network.steps)
    for each in mine:
        reader = steps[each]
        if isinstance(reader, Matrix):
            factor = np.broadcast_to(step.scale, shape).reshape(-1)
            offset = np.broadcast_to(step.offset, shape).reshape(-1)
            bias = reader.bias + reader.weight @ offset
            steps[each] = replace(reader, of=step.of, weight=reader.weight * factor, bias=bias)
        elif isinstance(reader, Convolution) and _by_channel(step) and not (any(reader.pad) and step.offset.any()):
            steps[each] = _before_convolution(reader, step, shape[0])
        elif isinstance(reader, Reshaping) and len(mine) == 1:
            # First the shape, then factors of the new shape.
            steps[number] = replace(reader, of=step.of)
            full = (np.broadcast_to(part, shape).reshape(reader.shape) for part in (step.scale, step.offset))
            steps[each] = Affine(number + 1, *full)
        else:
            return None
    return replace(network, steps=tuple(steps)) if mine else None


def _before_convolution(reader: Convolution, step: Affine, channels: int) -> Convolution:
    factor = np.broadcast_to(step.scale.reshape(-1), (channels,)).reshape(reader.groups, -1)
    offset = np.broadcast_to(step.offset.reshape(-1), (channels,)).reshape(reader.groups, -1)
    outputs = len(reader.weight) // reader.groups
    # Of the inputs of each output's own group.
    factors, offsets = np.repeat(factor, outputs, axis=0), np.repeat(offset, outputs, axis=0)
    bias = reader.bias + (reader.weight.sum(axis=(2, 3)) * offsets).sum(axis=1)
    return replace(reader, of=step.of, weight=reader.weight * factors[:, :, None, None], bias=bias)


def _into_input(network: Network, number: int, step: Affine) -> Network:
    """What is done to the input before anything else is done before it is made int8."""
    place = {each: each - (each > number) for each in range(len(network.steps) + 1)}
    place[number + 1] = 0
    steps = tuple(_reading(each, place) for at, each in enumerate(network.steps) if at != number)
    return replace(
        network,
        steps=steps,
        input_scale=network.input_scale * step.scale,
        input_offset=network.input_offset * step.scale + step.offset,
    )
