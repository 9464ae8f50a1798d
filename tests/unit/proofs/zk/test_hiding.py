"""What mode 2 hides: what is seen of two inputs has the same distribution, and no mask may be missing for that.

What is seen: messages, t's and μ; both polynomials, as their values on H, where the witness lies; opened columns. Each
is compared with the uniform distribution and between an input of zeros and one of extremes, over proofs with other
randomness. All randomness comes from fixed seeds, so that a test has one outcome for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from math import exp, sqrt
from statistics import NormalDist
from typing import Final, TypeAlias

import pytest
from tests.support.zk import Lies, make

from paraph.core.ident import Digest
from paraph.proofs.zk.argument import reduce
from paraph.proofs.zk.channel import Channel
from paraph.proofs.zk.field import Ext, P, columns, interpolate
from paraph.proofs.zk.graph import Clip, Graph, Requant
from paraph.proofs.zk.opening import open_columns
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Mode

GRAPH: Final = Graph((2,), (Requant(0, 1, 3, -128, 127, Clip(-8, 7)),))
ZEROS: Final = (0, 0)
EXTREMES: Final = (127, -128)
PROOFS: Final = 10
ALPHA: Final = 1e-7
"""What is less probable is a difference. Some hundred values are looked at, for seeds that never change."""
BINS: Final = 16

Seen: TypeAlias = dict[str, list[int]]
"""By kind: base elements, in the order of a proof; columns are without order."""


class Listening(Channel):
    """A verifier's ear that keeps all that it hears."""

    heard: dict[str, list[int]]

    def sent(self, label: bytes) -> Ext:
        found = super().sent(label)
        self.heard[label.decode()] += found
        return found

    def elements(self, label: bytes, count: int) -> list[Ext]:
        found = super().elements(label, count)
        for each in columns(found):
            self.heard[f"{label.decode()} on H"] += on_h(each, self.plan.line)
        return found


def on_h(coefficients: Sequence[int], line: int) -> list[int]:
    """A polynomial's values on H: of what is left of it modulo X^ℓ − 1."""
    folded = [sum(coefficients[at::line]) % P for at in range(line)]
    back = interpolate(folded)
    return [line * back[-at] % P for at in range(line)]


@cache
def view(inputs: tuple[int, int], without: str, number: int) -> Seen:
    """All that a stranger sees of a proof, and that is not the statement."""
    layout = plan(GRAPH, 1, Mode.HIDING)
    chance = f"{inputs} {without} {number}".encode()
    made = make(GRAPH, b"", [list(inputs)], Mode.HIDING, Lies(without=frozenset([without])), chance)
    channel = Listening(layout, made.statement.transcript(), made.proof)
    channel.heard = defaultdict(list)
    channel.transcript.absorb(b"nonce", channel.take(32))
    root = Digest(channel.take(32))
    channel.transcript.absorb(b"witness", root)
    opened = open_columns(channel, reduce(channel), root, made.statement.exact.weight_root)
    for column in opened.values():
        kinds = (0, "witness"), (layout.vector_rows, "pads"), (layout.vector_rows + 4 * layout.pad_groups, "masks")
        for (start, kind), (end, _) in zip(kinds, (*kinds[1:], (len(column), "")), strict=True):
            channel.heard[f"column of {kind}"] += column[start:end]
    return dict(channel.heard)


def views(inputs: tuple[int, int], without: str, count: int) -> list[Seen]:
    return [view(inputs, without, number) for number in range(count)]


# --- statistics ------------------------------------------------------------------------------------------------------


def uneven(values: Iterable[int]) -> float:
    """How probable it is that uniform values fall so unevenly: χ², by Wilson and Hilferty."""
    counts = [0] * BINS
    for each in values:
        counts[each * BINS // P] += 1
    mean, free = sum(counts) / BINS, BINS - 1
    chi = sum((each - mean) ** 2 for each in counts) / mean
    z = ((chi / free) ** (1 / 3) - (1 - 2 / (9 * free))) / sqrt(2 / (9 * free))
    return 1 - NormalDist().cdf(z)


def unlike(a: Sequence[int], b: Sequence[int]) -> float:
    """How probable it is that two samples of one distribution differ so: Kolmogorov and Smirnov."""
    merged = sorted([(each, 1 / len(a)) for each in a] + [(each, -1 / len(b)) for each in b])
    height = most = 0.0
    for place, (value, step) in enumerate(merged):
        height += step
        if place + 1 == len(merged) or merged[place + 1][0] != value:
            most = max(most, abs(height))
    return 2 * exp(-2 * most * most * len(a) * len(b) / (len(a) + len(b)))


def repeated(of: Sequence[Seen], kind: str) -> bool:
    """Whether one place has one value in two proofs: a chance of 2^-31 for each pair."""
    return any(len(set(each)) < len(each) for each in zip(*(seen[kind] for seen in of), strict=True))


def differences(zeros: Sequence[Seen], extremes: Sequence[Seen]) -> set[str]:
    """The kinds that are not uniform, or not the same for both inputs."""
    found = set()
    for kind in zeros[0]:
        mine, theirs = ([each for seen in of for each in seen[kind]] for of in (zeros, extremes))
        told = min(uneven(mine), uneven(theirs), unlike(mine, theirs)) < ALPHA
        if not kind.startswith("column"):
            told = told or repeated(zeros, kind) or repeated(extremes, kind)
        if told:
            found.add(kind)
    return found


# --- claims ----------------------------------------------------------------------------------------------------------


def test_statistics() -> None:
    """The measures tell what they should, and nothing of what is alike."""
    even = [at * (P // 4096) for at in range(4096)]

    assert uneven(even) > 0.99
    assert uneven([each // 2 for each in even]) < ALPHA
    assert uneven([*even, *even[:512]]) < ALPHA
    assert unlike(even, even) > 1
    assert unlike(even, [each // 2 for each in even]) < ALPHA
    assert on_h([3, 0, 0, 0, 4, 0], 4) == [7] * 4
    assert on_h([0, 1, 0, 0], 4)[0] == 1


def test_nothing_is_told() -> None:
    """Of two inputs the same is seen: uniform values of every kind."""
    zeros, extremes = views(ZEROS, "", PROOFS), views(EXTREMES, "", PROOFS)

    assert {"root", "d", "h2", "p0", "q1", "q", "a", "rem", "m", "y", "g0", "g2", "t", "mu"} <= zeros[0].keys()
    assert {"u on H", "q on H", "column of witness", "column of pads", "column of masks"} <= zeros[0].keys()
    assert differences(zeros, extremes) == set()


@pytest.mark.slow
def test_nothing_is_told_by_many() -> None:
    """The same over some hundred proofs."""
    assert differences(views(ZEROS, "", 150), views(EXTREMES, "", 150)) == set()


TOLD: Final = {
    "pads": {"a", "y", "rem", "q"},
    "tails": {"column of witness"},
    "masks": {"u on H", "q on H", "column of masks", "mu"},
}


@pytest.mark.parametrize("without", TOLD)
def test_every_mask_is_needed(without: str) -> None:
    """Without pads, tails or masks the same measures tell the inputs: they would see what leaks."""
    told = differences(views(ZEROS, without, 3), views(EXTREMES, without, 3))

    assert told >= TOLD[without]


def test_succinct_tells() -> None:
    """Mode 1 hides nothing, and says so: its columns are of the input."""
    made = make(GRAPH, b"", [list(ZEROS)], Mode.SUCCINCT)
    channel = Channel(plan(GRAPH, 1, Mode.SUCCINCT), made.statement.transcript(), made.proof)
    root = Digest(channel.take(32))
    channel.transcript.absorb(b"witness", root)
    opened = open_columns(channel, reduce(channel), root, made.statement.exact.weight_root)

    block = channel.plan.blocks.offset // channel.plan.line
    assert {column[block] for column in opened.values()} == {0}
