"""A prover of exact models on Python's integers: slow, plain, and made to be led astray by tests.

Written from docs/spec/zk.md alone, as an honest prover; `Lies` names the places where a test may change what it says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from paraph.core.ident import Address, Digest
from paraph.proofs.zk.argument import reduce
from paraph.proofs.zk.channel import Channel, known
from paraph.proofs.zk.claims import Claim, Functional, Gathered, Point, source
from paraph.proofs.zk.columns import codeword, leaf, node, seeded_tail
from paraph.proofs.zk.field import (
    GENERATOR,
    ONE,
    ZERO,
    Ext,
    P,
    add,
    columns,
    eq_table,
    evaluate_ext,
    inner,
    interpolate,
    interpolate_ext,
    lift,
    mul,
    powers,
    scale,
    sub,
    to_bytes,
    total,
    weighted,
)
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.layers import NOTHING, Part
from paraph.proofs.zk.opening import rank
from paraph.proofs.zk.plan import Layer, Plan, Segment, plan
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement, commitment
from paraph.proofs.zk.weights import column_bytes, weight_root, weight_vector

NODE: Final = Address(bytes(range(20)))
BEACON: Final = Digest(sha256(b"a block").digest())


@dataclass
class Lies:
    """What a test changes. Each function is given what an honest prover has, and gives what is used instead.

    Args:
        values: a request's number, a layer's, and the layer's quotients and outputs, before anything reads these.
        runs: all requests' values, after the model ran and before they are laid out and counted.
        vector: the witness vector, before it is committed.
        solves: quotients are what the committed sums make them, whether their table holds them or not.
        tag: a layer's number and its table's tag: what its lookups bear, and where they are counted.
        statement: what the prover believes the statement to be.
        matrix: the witness's codewords, before they are committed.
        message: a message's number, label and value.
        coin: a coin's label and value: what the prover takes it to be.
        fits_tree: p0 is said so that each level of the lookup tree seems to be the sum of the next (mode 1).
        known_choice: the coin `c` that the prover expects; it says p0 and p1 so that a wrong level is right there.
        fits_leaves: the first multiplicity is said so that the numerators of the leaves seem right (mode 1).
        fits_sum: the linear test is said so that its sum seems right.
        without: of "pads", "tails" and "masks": those that are all zero.
        proof: the whole.
    """

    values: Callable[[int, int, list[int], list[int]], list[int]] = lambda _b, _layer, _asked, values: values
    runs: Callable[[list["Run"], Plan], None] = lambda _runs, _plan: None
    vector: Callable[[list[int], Plan], list[int]] = lambda vector, _: vector
    solves: bool = False
    tag: Callable[[int, int], int] = lambda _layer, tag: tag
    statement: Callable[[Statement], Statement] = lambda statement: statement
    matrix: Callable[[list[list[int]], Plan], None] = lambda _matrix, _plan: None
    message: Callable[[int, bytes, Ext], Ext] = lambda _number, _label, value: value
    coin: Callable[[bytes, Ext], Ext] = lambda _label, value: value
    fits_tree: bool = False
    known_choice: Ext | None = None
    fits_leaves: bool = False
    fits_sum: bool = False
    without: frozenset[str] = frozenset()
    proof: Callable[[bytes], bytes] = lambda proof: proof


@dataclass
class Stream:
    """Field elements that nobody can guess, from a seed; a test may give the same seed twice."""

    seed: bytes
    counter: int = 0
    ready: list[int] = field(default_factory=list)

    def base(self, count: int) -> list[int]:
        """So many base elements."""
        while len(self.ready) < count:
            block = sha256(self.seed + self.counter.to_bytes(8, "big")).digest()
            words = [int.from_bytes(block[at : at + 4], "little") & 0x7FFF_FFFF for at in range(0, 32, 4)]
            self.ready += [word for word in words if word < P]
            self.counter += 1
        found, self.ready = self.ready[:count], self.ready[count:]
        return found

    def ext(self) -> Ext:
        """One element of the extension."""
        a, b, c, d = self.base(4)
        return (a, b, c, d)


@dataclass(frozen=True)
class Made:
    """A proof, and all that belongs to it."""

    statement: Statement
    proof: bytes
    inputs: list[list[int]]
    outputs: list[list[int]]
    salts: list[bytes]
    seeds: list[bytes] | None


@dataclass(frozen=True)
class Run:
    """One request's values: what each layer commits, its remainders and quotients; and the output, place by place."""

    block: list[int]
    values: list[list[int]]
    remainders: list[list[int]]
    quotients: list[list[int]]
    output: list[int]


def run(layout: Plan, weights: list[int], inputs: Sequence[int], b: int, lies: Lies) -> Run:
    """Run the model for request number b."""
    block = [0] * (1 << layout.block_bits)
    block[: len(inputs)] = inputs
    pieces: list[list[int]] = [block]
    remainders: list[list[int]] = []
    quotients: list[list[int]] = []
    for layer in layout.layers:
        sums = sums_of(layer, weights, pieces)
        if layer.table is None:
            block[layout.output_offset :] = sums
            return Run(block, pieces[1:], remainders, quotients, sums)
        table = layout.tables[layer.table]
        asked = [(layer.multiplier * each + layer.half) >> layer.shift for each in sums]
        assert table.values is not None
        found = [table.values[q - table.start] for q in asked]
        pieces.append(lies.values(b, len(quotients), asked, found))
        quotients.append(asked)
        remainders.append(
            [layer.multiplier * v + layer.half - (q << layer.shift) for v, q in zip(sums, asked, strict=True)]
        )
    raise AssertionError


def _term(pieces: Sequence[Sequence[int]], part: Part, position: int) -> int:
    place = part.index[position]
    return 0 if place == NOTHING else part.scale * pieces[part.source][place]


def _signed(value: int) -> int:
    return value - P if value > P // 2 else value


def outputs_of(layout: Plan, sums: Sequence[int]) -> list[int]:
    """The output in the order channels, rows, columns."""
    last = layout.layers[-1]
    width = 1 << last.output_bits
    return [sums[p * width + o] for o in range(last.outputs) for p in range(last.places)]


def make(
    graph: Graph,
    file: bytes,
    inputs: list[list[int]],
    mode: Mode = Mode.SUCCINCT,
    lies: Lies | None = None,
    chance: bytes = b"",
) -> Made:
    """Run the model for each input and prove it; with other chance, with other randomness."""
    lies = lies or Lies()
    layout = plan(graph, len(inputs), mode)
    weights = weight_vector(graph, file)
    zero = [0] * layout.inputs
    padded = [inputs[b] if b < len(inputs) else zero for b in range(1 << layout.batch_bits)]
    runs = [run(layout, weights, each, b, lies) for b, each in enumerate(padded)]
    outputs = [outputs_of(layout, each.output) for each in runs[: len(inputs)]]
    salts = [sha256(b"salt %d" % b).digest() for b in range(len(inputs))]
    seeds = [sha256(b"seed %d" % b + chance).digest() for b in range(len(padded))] if mode is Mode.HIDING else None
    entries = []
    for b, salt in enumerate(salts):
        x = b"".join(each.to_bytes(1, "little", signed=True) for each in inputs[b])
        y = b"".join(each.to_bytes(4, "little", signed=True) for each in outputs[b])
        entries.append(Entry(Digest(sha256(b"request %d" % b).digest()), commitment(salt, x, y)))
    exact = Exact(graph, weight_root(graph, file))
    statement = Statement(mode, exact, NODE, 1337, BEACON, tuple(entries))
    lies.runs(runs, layout)
    proof = Prover(layout, lies.statement(statement), weights, runs, seeds, lies, chance).prove()
    return Made(statement, proof, inputs, outputs, salts, seeds)


class Prover:
    """One proof."""

    def __init__(
        self,
        layout: Plan,
        statement: Statement,
        weights: list[int],
        runs: list[Run],
        seeds: list[bytes] | None,
        lies: Lies,
        chance: bytes = b"",
    ) -> None:
        self.plan, self.statement, self.weights, self.runs, self.seeds = layout, statement, weights, runs, seeds
        self.lies = lies
        self.hiding = layout.mode is Mode.HIDING
        self.out = bytearray()
        self.transcript = statement.transcript()
        self.chance = chance
        self.stream = Stream(b"pads" + chance)
        self.pads = [self.drawn("pads", 1)[0] for _ in range(layout.messages)] if self.hiding else []
        self.nonce = sha256(b"nonce" + chance).digest()
        self.said = 0
        self.numbers = 0
        self.excess = ZERO

    def drawn(self, what: str, count: int) -> list[Ext]:
        """So many elements of chance, or of nothing when a test leaves them out."""
        return [ZERO if what in self.lies.without else self.stream.ext() for _ in range(count)]

    def tail(self) -> list[int]:
        """The randomness of a row that is the prover's own."""
        return [0] * self.plan.tail if "tails" in self.lies.without else self.stream.base(self.plan.tail)

    # --- speaking --------------------------------------------------------------------------------------------

    def put(self, label: bytes, value: Ext) -> None:
        """Send an element as it is."""
        value = self.lies.message(self.numbers, label, value)
        self.numbers += 1
        self.out += to_bytes(value)
        self.transcript.absorb(label, to_bytes(value))

    def say(self, label: bytes, value: Ext) -> Ext:
        """Send a message, under its pad in mode 2; its value."""
        pad = self.pads[self.said] if self.hiding else ZERO
        self.said += 1
        self.put(label, add(value, pad))
        return value

    def hear(self, label: bytes) -> Ext:
        """Draw a coin."""
        return self.lies.coin(label, self.transcript.challenge(label))

    # --- the whole -------------------------------------------------------------------------------------------

    def prove(self) -> bytes:
        """All of it."""
        self.vector = self.lies.vector(self.witness(), self.plan)
        self.commit()
        self.argue()
        self.open()
        assert self.said == self.plan.messages
        return self.lies.proof(bytes(self.out))

    def witness(self) -> list[int]:
        """The witness vector, padded to a power of two."""
        layout, vector = self.plan, [0] * (1 << self.plan.witness_bits)
        for b, each in enumerate(self.runs):
            self.set(vector, layout.blocks, b, each.block)
            for number, layer in enumerate(layout.layers[:-1]):
                assert layer.values is not None
                self.set(vector, layer.values, b, each.values[number])
                if layer.remainders is not None:
                    self.set(vector, layer.remainders, b, each.remainders[number])
                self.count(vector, number, each)
        return [value % P for value in vector]

    def set(self, vector: list[int], segment: Segment, b: int, values: Sequence[int]) -> None:
        """Put one request's values into a segment."""
        at = segment.offset + b * len(values)
        vector[at : at + len(values)] = values

    def count(self, vector: list[int], number: int, of: Run) -> None:
        """How often each entry was looked up: only for real places and channels."""
        layer = self.plan.layers[number]
        assert layer.table is not None
        table = self.plan.tables[self.lies.tag(number, layer.table + 1) - 1]
        for p in range(layer.places):
            for o in range(layer.outputs):
                at = (p << layer.output_bits) + o
                vector[table.multiplicities.offset + of.quotients[number][at] - table.start] += 1
                if layer.range is not None:
                    vector[self.plan.tables[layer.range].multiplicities.offset + of.remainders[number][at]] += 1

    # --- commitments -----------------------------------------------------------------------------------------

    def rows(self) -> tuple[list[list[int]], list[list[int]]]:
        """Lines and tails of the witness's matrix, masks not included."""
        layout = self.plan
        lines = [self.vector[at * layout.line : (at + 1) * layout.line] for at in range(layout.vector_rows)]
        if not self.hiding:
            return lines, [[] for _ in lines]
        own = layout.blocks.offset // layout.line
        size = (1 << layout.block_bits) // layout.line
        tails = []
        for number in range(len(lines)):
            b, row = divmod(number - own, size)
            if 0 <= b < len(self.runs) and self.seeds is not None:
                known_tail = seeded_tail(self.seeds[b], self.nonce, row, layout.tail)
                tails.append([0] * layout.tail if "tails" in self.lies.without else known_tail)
            else:
                tails.append(self.tail())
        padded = self.pads + [ZERO] * (layout.pad_groups * layout.line - len(self.pads))
        for at in range(0, len(padded), layout.line):
            for column in columns(padded[at : at + layout.line]):
                lines.append(column)
                tails.append(self.tail())
        return lines, tails

    def commit(self) -> None:
        """The witness root."""
        layout = self.plan
        self.bits = layout.codeword.bit_length() - 1
        if self.hiding:
            for number in range(layout.products):
                x, y = self.factors(number)
                a = self.drawn("pads", 1)[0]
                self.pads += [mul(self.pads[x], self.pads[y]), a, mul(a, self.pads[y])]
        lines, tails = self.rows()
        self.matrix = [codeword(line, tail, self.bits) for line, tail in zip(lines, tails, strict=True)]
        self.coefficients = [_coefficients(line, tail) for line, tail in zip(lines, tails, strict=True)]
        self.masks = [self.drawn("masks", layout.degree) for _ in range(3)] if self.hiding else []
        for mask in self.masks:
            self.matrix += columns(evaluate_ext(mask, self.bits))
        self.lies.matrix(self.matrix, layout)
        self.salts = [
            sha256(b"leaf %d" % at + self.chance).digest()[:16] if self.hiding else b"" for at in range(layout.codeword)
        ]
        self.tree = _tree(
            [leaf(self.salts[at], column_bytes(each)) for at, each in enumerate(zip(*self.matrix, strict=True))]
        )
        root = self.tree[-1][0]
        if self.hiding:
            self.out += self.nonce
            self.transcript.absorb(b"nonce", self.nonce)
        self.out += root
        self.transcript.absorb(b"witness", root)

    def factors(self, number: int) -> tuple[int, int]:
        """The pads of a product's factors: the last four messages of a level are p0, p1, q0, q1."""
        level, which = divmod(number, 3)
        first = 1 + sum(2 * each + 4 for each in range(level)) + 2 * level
        p0, p1, q0, q1 = range(first, first + 4)
        return ((p0, q1), (p1, q0), (q0, q1))[which]

    # --- the conversation ------------------------------------------------------------------------------------

    def argue(self) -> None:
        """Sections 7.1 to 7.5."""
        self.claims: list[Claim] = []
        self.weight_claims: list[tuple[Segment, tuple[Ext, ...]]] = []
        self.sums: list[tuple[Ext, ...]] = []
        gamma, alpha = self.hear(b"gamma"), self.hear(b"alpha")
        point = self.lookups(gamma, alpha)
        layout = self.plan
        for layer in layout.layers[:-1]:
            assert layer.lookup is not None
            assert layer.values is not None
            low = point[len(point) - layer.lookup.bits :]
            self.say(b"q", self.at_point(self.all_quotients(layout.layers.index(layer)), low))
            self.tell(b"a", Point(layer.values, low))
            if layer.remainders is not None:
                self.tell(b"rem", Point(layer.remainders, low))
            self.sums.append(low)
        for number, table in enumerate(layout.tables):
            where = point[len(point) - table.bits :]
            short = ZERO
            if self.lies.fits_leaves and number == 0:
                lead = len(point) - table.bits
                short = mul(self.excess, inverse(eq_table(point[:lead])[table.entries.offset >> table.bits]))
            self.tell(b"m", Point(table.multiplicities, where), more=short)
        last = layout.layers[-1]
        where = tuple(self.hear(b"y") for _ in range(layout.batch_bits + last.place_bits + last.output_bits))
        ones = (ONE,) * (layout.block_bits - last.place_bits - last.output_bits)
        self.tell(b"y", Point(layout.blocks, (*where[: layout.batch_bits], *ones, *where[layout.batch_bits :])))
        self.sums.append(where)
        for number, low in enumerate(self.sums):
            self.layer(number, low)
        self.one_point()

    def all_quotients(self, number: int) -> list[int]:
        """A layer's quotients over all requests."""
        if self.lies.solves:
            return [q for b in range(len(self.runs)) for q in self.solved(number, b)]
        return [q % P for each in self.runs for q in each.quotients[number]]

    def solved(self, number: int, b: int) -> list[int]:
        """What a request's quotients must be for its committed sums and remainders, in the field."""
        layout, layer = self.plan, self.plan.layers[number]
        size = 1 << layer.place_bits + layer.output_bits
        pieces = []
        for segment in (layout.blocks, *(each.values for each in layout.layers[:-1])):
            assert segment is not None
            length = 1 << segment.bits - layout.batch_bits
            pieces.append(self.vector[segment.offset + b * length : segment.offset + (b + 1) * length])
        wide = sums_of(layer, self.weights, pieces)
        start = 0 if layer.remainders is None else layer.remainders.offset + b * size
        rem = [0] * size if layer.remainders is None else self.vector[start : start + size]
        shrink = pow(1 << layer.shift, -1, P)
        return [(layer.multiplier * v + layer.half - r) * shrink % P for v, r in zip(wide, rem, strict=True)]

    def at_point(self, values: Sequence[int], point: Sequence[Ext]) -> Ext:
        """A vector's extension."""
        return weighted(values, eq_table(point))

    def tell(self, label: bytes, functional: Functional, more: Ext = ZERO) -> None:
        """Send what a functional gives, and claim it."""
        value = self.value(functional)
        self.claims.append(Claim(functional, known(value)))
        self.say(label, add(value, more))

    def value(self, functional: Functional) -> Ext:
        """A functional of the witness vector."""
        return weighted(self.vector, self.spread(functional))

    def spread(self, functional: Functional) -> list[Ext]:
        """A functional's factors, over the whole witness vector."""
        found = [ZERO] * len(self.vector)
        match functional:
            case Point(segment, point):
                found[segment.offset : segment.offset + (1 << segment.bits)] = eq_table(point)
            case Gathered(batch, rows, across, parts):
                for part in parts:
                    segment = source(self.plan, part.source)
                    inner_size = 1 << segment.bits - self.plan.batch_bits
                    for position, place in enumerate(part.index):
                        if place == NOTHING:
                            continue
                        factor = mul(rows[position // len(across)], across[position % len(across)])
                        for b, each in enumerate(eq_table(batch)):
                            at = segment.offset + b * inner_size + place
                            found[at] = add(found[at], scale(mul(each, factor), part.scale))
        return found

    def leaves(self, gamma: Ext, alpha: Ext) -> tuple[list[Ext], list[Ext]]:
        """Numerators and denominators."""
        layout = self.plan
        size = 1 << layout.leaf_bits
        above, below = [ZERO] * size, [ONE] * size
        square = mul(gamma, gamma)

        def leaf_of(tag: int, q: int, a: int) -> Ext:
            return sub(alpha, add(lift(tag), add(scale(gamma, q % P), scale(square, a % P))))

        for number, layer in enumerate(layout.layers[:-1]):
            assert layer.lookup is not None
            assert layer.values is not None
            assert layer.table is not None
            tag = self.lies.tag(number, layout.tables[layer.table].tag)
            for at, q in enumerate(self.all_quotients(number)):
                real = (at >> layer.output_bits & (1 << layer.place_bits) - 1) < layer.places
                real = real and (at & (1 << layer.output_bits) - 1) < layer.outputs
                above[layer.lookup.offset + at] = ONE if real else ZERO
                below[layer.lookup.offset + at] = leaf_of(tag, q, self.vector[layer.values.offset + at])
                if layer.remainder_lookup is not None and layer.remainders is not None and layer.range is not None:
                    rem = self.vector[layer.remainders.offset + at]
                    above[layer.remainder_lookup.offset + at] = ONE if real else ZERO
                    below[layer.remainder_lookup.offset + at] = leaf_of(layout.tables[layer.range].tag, rem, 0)
        for table in layout.tables:
            for at in range(1 << table.bits):
                above[table.entries.offset + at] = lift(-self.vector[table.multiplicities.offset + at])
                a = 0 if table.values is None else table.values[at]
                below[table.entries.offset + at] = leaf_of(table.tag, table.quotient(at), a)
        return above, below

    def lookups(self, gamma: Ext, alpha: Ext) -> tuple[Ext, ...]:
        """Section 7.1."""
        levels = [self.leaves(gamma, alpha)]
        while len(levels[-1][0]) > 1:
            p, q = levels[-1]
            h = len(p) // 2
            levels.append(
                (
                    [add(mul(p[i], q[i + h]), mul(p[i + h], q[i])) for i in range(h)],
                    [mul(q[i], q[i + h]) for i in range(h)],
                )
            )
        levels.reverse()
        below = self.say(b"root", levels[0][1][0])
        above = ZERO
        point: tuple[Ext, ...] = ()
        for p, q in levels[1:]:
            mix = self.hear(b"lambda")
            claimed = add(above, mul(mix, below))
            h = len(p) // 2
            parts = [p[:h], p[h:], q[:h], q[h:]]
            drawn: list[Ext] = []
            for number in range(len(point)):
                factors = eq_table(point[number + 1 :])
                half = len(parts[0]) // 2
                low, high = [each[:half] for each in parts], [each[half:] for each in parts]
                rise = [[sub(b, a) for a, b in zip(x, y, strict=True)] for x, y in zip(low, high, strict=True)]
                at_0, at_1, lead = (inner(factors, _fractions(each, mix)) for each in (low, high, rise))
                slope = self.say(b"d", sub(at_1, at_0))
                self.say(b"h2", lead)
                x = self.hear(b"x")
                claimed = sub(claimed, mul(slope, point[number]))
                claimed = add(add(claimed, mul(sub(slope, lead), x)), mul(lead, mul(x, x)))
                drawn.append(x)
                parts = [
                    [add(a, mul(x, r)) for a, r in zip(each, up, strict=True)]
                    for each, up in zip(low, rise, strict=True)
                ]
            p0, p1, q0, q1 = (each[0] for each in parts)
            if self.lies.fits_tree:
                p0 = mul(sub(claimed, add(mul(p1, q0), mul(mix, mul(q0, q1)))), inverse(q1))
            if (c := self.lies.known_choice) is not None:
                found = add(add(mul(p0, q1), mul(p1, q0)), mul(mix, mul(q0, q1)))
                step = mul(sub(claimed, found), inverse(sub(mul(sub(ONE, c), q0), mul(c, q1))))
                p0, p1 = sub(p0, mul(c, step)), add(p1, mul(sub(ONE, c), step))
            for label, value in zip((b"p0", b"p1", b"q0", b"q1"), (p0, p1, q0, q1), strict=True):
                self.say(label, value)
            choice = self.hear(b"c")
            above, below = add(p0, mul(choice, sub(p1, p0))), add(q0, mul(choice, sub(q1, q0)))
            point = (choice, *drawn)
        # How much the numerators of the leaves are more than what the verifier believes.
        self.excess = sub(inner(levels[-1][0], eq_table(point)), above)
        return point

    def layer(self, number: int, low: tuple[Ext, ...]) -> None:
        """Section 7.4."""
        layout, layer = self.plan, self.plan.layers[number]
        batch = low[: layout.batch_bits]
        places = low[layout.batch_bits : layout.batch_bits + layer.place_bits]
        across = low[layout.batch_bits + layer.place_bits :]
        rows = tuple(eq_table(places)[: layer.places])
        direct = Gathered(batch, rows, tuple(eq_table(across)[: layer.outputs]), layer.direct)
        matrix = layer.matrix
        if matrix is None:
            self.claims.append(Claim(direct, known(self.value(direct))))
            return
        if layer.direct:
            self.tell(b"direct", direct)
        self.public(b"bias", matrix.bias, across)
        size = 1 << matrix.bits
        left = []
        for k in range(size):
            if k >= matrix.inputs:
                left.append(ZERO)
                continue
            one = tuple(ONE if j == k else ZERO for j in range(matrix.inputs))
            left.append(self.value(Gathered(batch, rows, one, matrix.parts)))
        right = [
            total(
                scale(each, self.weights[matrix.weights.offset + (o << matrix.bits) + k])
                for o, each in enumerate(eq_table(across))
            )
            for k in range(size)
        ]
        point = self.sumcheck(left, right)
        value = self.public(b"weight", matrix.weights, (*across, *point))
        gathered = Gathered(batch, rows, tuple(eq_table(point)[: matrix.inputs]), matrix.parts)
        self.claims.append(Claim(gathered, known(mul(value, self.value(gathered))), value))

    def public(self, label: bytes, segment: Segment, point: tuple[Ext, ...]) -> Ext:
        """Send a value of the weight vector."""
        value = weighted(self.weights[segment.offset : segment.offset + (1 << segment.bits)], eq_table(point))
        self.put(label, value)
        self.weight_claims.append((segment, point))
        return value

    def sumcheck(self, a: list[Ext], b: list[Ext]) -> tuple[Ext, ...]:
        """A product's sum, brought down to one point."""
        point = []
        while len(a) > 1:
            h = len(a) // 2
            rise_a, rise_b = ([sub(y, x) for x, y in zip(each[:h], each[h:], strict=True)] for each in (a, b))
            self.say(b"g0", inner(a[:h], b[:h]))
            self.say(b"g2", inner(rise_a, rise_b))
            x = self.hear(b"x")
            a, b = (
                [add(low, mul(x, up)) for low, up in zip(each, rise, strict=False)]
                for each, rise in ((a, rise_a), (b, rise_b))
            )
            point.append(x)
        return tuple(point)

    def one_point(self) -> None:
        """Section 7.5."""
        factors = powers(self.hear(b"rho"), len(self.claims))
        omega = [ZERO] * len(self.vector)
        for claim, factor in zip(self.claims, factors, strict=True):
            whole = mul(factor, claim.factor)
            omega = [
                add(a, mul(whole, b)) if b != ZERO else a
                for a, b in zip(omega, self.spread(claim.functional), strict=True)
            ]
        self.point = self.sumcheck(omega, [lift(value) for value in self.vector])
        self.omega = inner(omega, eq_table(self.point))

    # --- the opening -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Sections 8 and 9."""
        layout = self.plan
        equations = self.equations()
        beta, mask = ONE, [ZERO] * layout.test_degree
        if self.hiding:
            s0, s1 = self.masks[1], self.masks[2]
            mask = [*s0, *[ZERO] * layout.line]
            for place, each in enumerate(s1):
                mask[layout.line + place] = add(mask[layout.line + place], each)
            self.put(b"mu", scale(total(mask[:: layout.line]), layout.line))
            beta = self.hear(b"beta")
        factors = powers(self.hear(b"delta"), 1 + len(self.weight_claims) + len(equations))
        weight_rows = [
            _coefficients(self.weights[at : at + layout.line], []) for at in range(0, len(self.weights), layout.line)
        ]
        all_rows = [*weight_rows, *self.coefficients]
        for mask_rows in self.masks[1:]:
            all_rows += columns(mask_rows)
        near = [ZERO] * layout.degree
        for row, factor in zip(all_rows, [self.hear(b"tau") for _ in all_rows], strict=True):
            near[: len(row)] = [add(a, scale(factor, b)) for a, b in zip(near, row, strict=False)]
        test = [ZERO] * layout.test_degree
        own = rank(Segment(0, layout.witness_bits), self.point, layout.line)
        self.add_product(test, mul(factors[0], self.omega), own.line, self.coefficients[: layout.vector_rows], own.rows)
        for (segment, point), factor in zip(self.weight_claims, factors[1:], strict=False):
            its = rank(segment, point, layout.line)
            self.add_product(test, factor, its.line, weight_rows[its.start : its.start + len(its.rows)], its.rows)
        if self.hiding:
            wanted = [ZERO] * (layout.pad_groups * layout.line)
            for form, factor in zip(equations, factors[1 + len(self.weight_claims) :], strict=True):
                for pad, each_factor in form:
                    wanted[pad] = add(wanted[pad], mul(factor, each_factor))
            for pad, each_factor in self.last_value:
                wanted[pad] = sub(wanted[pad], mul(factors[0], each_factor))
            basis = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
            for group in range(layout.pad_groups):
                line = tuple(wanted[group * layout.line : (group + 1) * layout.line])
                first = layout.vector_rows + 4 * group
                self.add_product(test, ONE, line, self.coefficients[first : first + 4], basis)
            near = [add(a, b) for a, b in zip(near, self.masks[0], strict=True)]
            test = [add(mul(beta, a), b) for a, b in zip(test, mask, strict=True)]
        if self.lies.fits_sum:
            # What is heard so far has all that a verifier needs to say what the sum must be.
            wrong = sub(self.lies_sum(factors, equations, beta), scale(total(test[:: layout.line]), layout.line))
            test[0] = add(test[0], scale(wrong, pow(layout.line, -1, P)))
        for label, elements in ((b"u", near), (b"q", test)):
            data = b"".join(map(to_bytes, elements))
            self.out += data
            self.transcript.absorb(label, data)
        chosen = sorted(set(self.transcript.indices(b"columns", layout.queries, layout.codeword)))
        matrix = [
            codeword(self.weights[at : at + layout.line], (), self.bits)
            for at in range(0, len(self.weights), layout.line)
        ]
        tree = _tree([leaf(b"", column_bytes(each)) for each in zip(*matrix, strict=True)])
        for rows, salts, levels in ((matrix, None, tree), (self.matrix, self.salts, self.tree)):
            for index in chosen:
                self.out += (b"" if salts is None else salts[index]) + column_bytes([row[index] for row in rows])
            self.out += b"".join(_lacking(levels, chosen))

    def add_product(
        self, test: list[Ext], factor: Ext, line: Sequence[Ext], rows: Sequence[Sequence[int]], weights: Sequence[Ext]
    ) -> None:
        """Add factor · r(X) · Σ weight · row(X)."""
        known_line = interpolate_ext(line)
        mixed = [ZERO] * self.plan.degree
        for row, weight in zip(rows, weights, strict=False):
            mixed[: len(row)] = [add(a, scale(weight, b)) for a, b in zip(mixed, row, strict=False)]
        # A codeword is longer than the product has coefficients, so its values give them.
        pairs = zip(evaluate_ext(known_line, self.bits), evaluate_ext(mixed, self.bits), strict=True)
        shrink, power = pow(GENERATOR, -1, P), 1
        for at, each in enumerate(interpolate_ext([mul(a, b) for a, b in pairs])[: len(test)]):
            test[at] = add(test[at], mul(factor, scale(each, power)))
            power = power * shrink % P

    def lies_sum(self, factors: Sequence[Ext], equations: Sequence[object], beta: Ext) -> Ext:
        """In mode 1: what the verifier wants the linear test's sum to be."""
        assert not equations
        assert beta == ONE
        heard = Channel(self.plan, self.statement.transcript(), bytes(self.out))
        heard.transcript.absorb(b"witness", heard.take(32))
        reduced = reduce(heard)
        values = [reduced.value.constant, *(each.value for each in reduced.weights)]
        return inner(values, factors)

    def equations(self) -> list[list[tuple[int, Ext]]]:
        """The equations between pads, as a verifier would find them."""
        if not self.hiding:
            return []
        # What a verifier makes of all that was said so far; only its equations are of use here.
        heard = Channel(self.plan, self.statement.transcript(), bytes(self.out))
        heard.transcript.absorb(b"nonce", heard.take(32))
        heard.transcript.absorb(b"witness", heard.take(32))
        self.last_value = reduce(heard).value.pads
        found = [list(each.pads) for each in heard.equations]
        epsilon = self.hear(b"epsilon")
        for number in range(self.plan.products):
            x, y = self.factors(number)
            z = self.plan.messages + 3 * number
            t = add(mul(epsilon, self.pads[x]), self.pads[z + 1])
            self.put(b"t", t)
            found.append([(x, epsilon), (z + 1, ONE)])
            found.append([(y, t), (z, sub(ZERO, epsilon)), (z + 2, sub(ZERO, ONE))])
        return found


def sums_of(layer: Layer, weights: Sequence[int], pieces: Sequence[Sequence[int]]) -> list[int]:
    """A layer's sums for one request, of what is committed, in the order (p, o)."""
    width = 1 << layer.output_bits
    sums = [0] * (1 << layer.place_bits + layer.output_bits)
    for p in range(layer.places):
        for o in range(layer.outputs):
            value = sum(_term(pieces, part, p * layer.outputs + o) for part in layer.direct)
            if (matrix := layer.matrix) is not None:
                value += _signed(weights[matrix.bias.offset + o])
                row = matrix.weights.offset + (o << matrix.bits)
                for k in range(matrix.inputs):
                    gathered = sum(_term(pieces, part, p * matrix.inputs + k) for part in matrix.parts)
                    value += _signed(weights[row + k]) * gathered
            sums[p * width + o] = value
    return sums


def inverse(a: Ext) -> Ext:
    """1 / a, by Fermat."""
    found, power, left = ONE, a, P**4 - 2
    while left:
        if left & 1:
            found = mul(found, power)
        power = mul(power, power)
        left >>= 1
    return found


def _coefficients(line: Sequence[int], tail: Sequence[int]) -> list[int]:
    found = interpolate(line) + [0] * len(tail)
    for place, each in enumerate(tail):
        found[place] = (found[place] - each) % P
        found[len(line) + place] = (found[len(line) + place] + each) % P
    return found


def _fractions(parts: Sequence[Sequence[Ext]], mix: Ext) -> list[Ext]:
    p0, p1, q0, q1 = parts
    return [add(add(mul(a, d), mul(b, c)), mul(mix, mul(c, d))) for a, b, c, d in zip(p0, p1, q0, q1, strict=True)]


def _tree(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        level = levels[-1]
        levels.append([node(level[at], level[at + 1]) for at in range(0, len(level), 2)])
    return levels


def _lacking(levels: list[list[bytes]], chosen: Sequence[int]) -> list[bytes]:
    found: list[bytes] = []
    known_indices = list(chosen)
    for level in levels[:-1]:
        found += [level[index ^ 1] for index in known_indices if index ^ 1 not in known_indices]
        known_indices = sorted({index >> 1 for index in known_indices})
    return found
