"""One lie each, by a prover that is honest in all else and recomputes what follows from the lie.

A lie is refused by the check that is meant for it; where a cheat could meet that check by one more lie, the next check
refuses, down to the columns, which nobody can choose.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

import pytest
from tests.support.zk import Lies, Made, Run, make
from tests.unit.proofs.zk.models import (
    DENSE,
    MODELS,
    PLAIN,
    RESIDUAL,
    inputs_of,
    proven,
    refusal,
    weights_of,
)

from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest
from paraph.proofs.zk import statement as statements
from paraph.proofs.zk.channel import Channel
from paraph.proofs.zk.field import ONE, ZERO, Ext, P, add, lift
from paraph.proofs.zk.graph import Clip, Gemm, Graph, Requant
from paraph.proofs.zk.plan import Plan, plan
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement
from paraph.proofs.zk.transcript import Transcript
from paraph.proofs.zk.verify import verify
from paraph.proofs.zk.weights import weight_root

MODES: Final = list(Mode)
OTHER: Final = Digest(b"\x11" * 32)


def lied(name: str, lies: Lies, mode: Mode = Mode.SUCCINCT, count: int = 1) -> str | None:
    """The code that a lie about a model is refused with."""
    graph = MODELS[name]
    made = make(graph, weights_of(graph), inputs_of(graph, count), mode, lies)
    return refusal(made.statement, made.proof)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["plain", "two", "dense", "residual", "pool"])
def test_truth(name: str, mode: Mode) -> None:
    """Without a lie, the same prover is believed; no refusal below is for another reason."""
    made = proven(name, mode)

    assert refusal(made.statement, made.proof) is None


# --- the statement ---------------------------------------------------------------------------------------------------


def entry(statement: Statement, index: int, **changes: Digest) -> Statement:
    """A statement with one request changed."""
    entries = list(statement.entries)
    entries[index] = replace(entries[index], **changes)
    return replace(statement, entries=tuple(entries))


def with_graph(statement: Statement, graph: Graph) -> Statement:
    return replace(statement, exact=Exact(graph, statement.exact.weight_root))


STATEMENTS: Final[dict[str, Callable[[Statement], Statement]]] = {
    "another node": lambda of: replace(of, prover=Address(b"\x11" * 20)),
    "another network": lambda of: replace(of, chain_id=of.chain_id + 1),
    "another beacon": lambda of: replace(of, beacon=OTHER),
    "another request": lambda of: entry(of, 1, key=OTHER),
    "another input or output": lambda of: entry(of, 2, commitment=OTHER),
    "a request less": lambda of: replace(of, entries=of.entries[:2]),
    "a request more": lambda of: replace(of, entries=(*of.entries, Entry(OTHER, OTHER))),
    "another order": lambda of: replace(of, entries=(of.entries[1], of.entries[0], of.entries[2])),
    "other weights": lambda of: replace(of, exact=Exact(of.exact.graph, OTHER)),
    "another bound": lambda of: with_graph(of, Graph((2,), (Requant(0, 1, 1, -127, 127, Clip(-8, 7)),))),
    "another table": lambda of: with_graph(of, Graph((2,), (Requant(0, 1, 1, -128, 127, Clip(-8, 8)),))),
    "another shape": lambda of: with_graph(of, Graph((2, 1, 1), of.exact.graph.nodes)),
    "the other mode": lambda of: replace(of, mode=Mode(3 - of.mode)),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", STATEMENTS)
def test_statement(change: str, mode: Mode) -> None:
    """A proof is of its own statement: with any one item changed, it is refused."""
    made = proven("plain", mode, 3)

    changed = STATEMENTS[change](made.statement)

    assert changed != made.statement
    # In mode 2 nothing is checked before the end. With another bound a table is shorter: other coins, other lengths.
    wanted = {"zk.lookup", "zk.encoding", "zk.length"} if mode is Mode.SUCCINCT else {"zk.sum"}
    if change in {"the other mode", "a request less", "a request more", "another bound"}:
        wanted = {"zk.lookup", "zk.encoding", "zk.length", "zk.sum"}
    assert refusal(changed, made.proof) in wanted


PROVERS: Final = ("another node", "another network", "another beacon", "another request", "another order")


@pytest.mark.parametrize("change", PROVERS)
def test_statement_of_the_prover(change: str) -> None:
    """It is the same the other way round: what the prover thinks it proves, and what is claimed, must be one."""
    made = make(PLAIN, b"", inputs_of(PLAIN, 3), Mode.SUCCINCT, Lies(statement=STATEMENTS[change]))

    assert refusal(made.statement, made.proof) == "zk.lookup"
    assert refusal(STATEMENTS[change](made.statement), made.proof) is None


@pytest.mark.parametrize("mode", MODES)
def test_version(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof holds under one version of the system only."""
    made = proven("plain", mode)

    monkeypatch.setattr(statements, "VERSION", 2)

    assert refusal(made.statement, made.proof) in {"zk.lookup", "zk.sum"}


def test_repeated_request() -> None:
    """A request stands in a batch once."""
    entries = proven("plain", Mode.SUCCINCT, 3).statement.entries

    with pytest.raises(Malformed) as caught:
        replace(proven("plain", Mode.SUCCINCT, 3).statement, entries=(*entries, entries[0]))
    assert caught.value.code == "zk.repeated"


# --- the coins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_all_that_is_sent_is_absorbed(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of a proof before its columns goes into the transcript, in order, and before any later coin."""
    made = proven("residual", mode)
    heard: list[tuple[bytes, bytes]] = []
    absorb, indices = Transcript.absorb, Transcript.indices
    before_columns: list[int] = []

    def absorbing(transcript: Transcript, label: bytes, data: bytes) -> None:
        heard.append((label, data))
        absorb(transcript, label, data)

    def choosing(transcript: Transcript, label: bytes, count: int, below: int) -> list[int]:
        before_columns.append(len(heard))
        return indices(transcript, label, count, below)

    monkeypatch.setattr(Transcript, "absorb", absorbing)
    monkeypatch.setattr(Transcript, "indices", choosing)

    assert refusal(made.statement, made.proof) is None
    labels = [label for label, _ in heard]
    said = b"".join(data for _, data in heard[8:])
    assert labels[:8] == [b"mode", b"exact", b"graph", b"prover", b"network", b"beacon", b"count", b"batch"]
    assert made.proof.startswith(said)
    assert before_columns == [len(heard)]
    layout = plan(RESIDUAL, 1, mode)
    columns = 4 * (layout.weight_rows + layout.witness_rows)
    assert len(made.proof) - len(said) <= layout.queries * (columns + 16 + 2 * 32 * 10)


FROZEN: Final = {
    **dict.fromkeys(("gamma", "alpha"), "zk.leaves"),
    **dict.fromkeys(("lambda", "x"), "zk.lookup"),
    **dict.fromkeys(("rho", "delta"), "zk.sum"),
    "y": "zk.test",
    "tau": "zk.proximity",
}
"""A coin `c` is missing: an honest prover has no use for it, and `test_known_coin` is about one that has."""


@pytest.mark.parametrize("label", FROZEN)
def test_frozen_coin(label: str) -> None:
    """A prover that chooses one kind of coin by itself is refused."""
    lies = Lies(coin=lambda name, value: lift(5) if name == label.encode() else value)

    assert lied("residual", lies) == FROZEN[label]


@pytest.mark.parametrize("label", [*FROZEN, "epsilon", "beta"])
def test_frozen_coin_hidden(label: str) -> None:
    """The same in mode 2, where all is judged at the end."""
    lies = Lies(coin=lambda name, value: lift(5) if name == label.encode() else value)

    assert lied("residual", lies, Mode.HIDING) in {"zk.sum", "zk.test", "zk.proximity"}


def test_known_coin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knew the coin of one level could prove a wrong count of lookups; it is drawn after all that it judges."""
    guess = lift(5)
    lies = Lies(vector=one_more(PLACES["multiplicity of a value"][0]), known_choice=guess)
    fresh = Transcript.challenge

    def guessed(transcript: Transcript, label: bytes) -> Ext:
        value = fresh(transcript, label)
        return guess if label == b"c" else value

    assert lied("plain", lies) == "zk.leaves"
    monkeypatch.setattr(Transcript, "challenge", guessed)
    assert lied("plain", lies) is None


def test_frozen_coins() -> None:
    """A prover that chooses all coins is refused."""
    assert lied("plain", Lies(coin=lambda _name, _value: lift(5))) == "zk.lookup"


# --- messages --------------------------------------------------------------------------------------------------------

LABELS: Final = (
    "root",
    "d",
    "h2",
    "p0",
    "p1",
    "q0",
    "q1",
    "q",
    "a",
    "rem",
    "m",
    "y",
    "direct",
    "bias",
    "g0",
    "g2",
    "weight",
)
REFUSED: Final = {
    **dict.fromkeys(("root", "d", "h2", "p0", "p1", "q0", "q1"), "zk.lookup"),
    **dict.fromkeys(("q", "a", "rem", "m"), "zk.leaves"),
    **dict.fromkeys(("y", "direct", "bias", "g0", "g2", "weight"), "zk.sum"),
}


class Once:
    """Adds one to the message of a label that is heard last or first."""

    def __init__(self, label: bytes, *, skip: int) -> None:
        self.label, self.skip, self.done = label, skip, False

    def __call__(self, _number: int, label: bytes, value: Ext) -> Ext:
        if label != self.label or self.done:
            return value
        self.skip -= 1
        self.done = self.skip < 0
        return add(value, ONE) if self.done else value


@pytest.mark.parametrize("label", LABELS)
def test_message(label: str) -> None:
    """Any message that is not what it should be is refused, though all after it is recomputed."""
    for skip in (0, 1):
        lie = Once(label.encode(), skip=skip)
        code = lied("residual", Lies(message=lie))
        if not lie.done:
            assert skip
            continue
        # The last level's values are judged by the leaves alone, if the level's own equation holds: here it does not.
        assert code == REFUSED[label]


@pytest.mark.parametrize("label", [*LABELS, "t", "mu"])
def test_padded_message(label: str) -> None:
    """The same in mode 2, where all is judged at the end."""
    lie = Once(label.encode(), skip=0)

    assert lied("residual", Lies(message=lie), Mode.HIDING) == "zk.sum"
    assert lie.done


# --- what is committed -----------------------------------------------------------------------------------------------


def one_more(place: Callable[[Plan], int], by: int = 1) -> Callable[[list[int], Plan], list[int]]:
    """The witness vector with one element changed."""

    def edit(vector: list[int], layout: Plan) -> list[int]:
        vector[place(layout)] = (vector[place(layout)] + by) % P
        return vector

    return edit


def value_place(layout: Plan) -> int:
    segment = layout.layers[0].values
    assert segment is not None
    return segment.offset


def remainder_place(layout: Plan) -> int:
    segment = layout.layers[0].remainders
    assert segment is not None
    return segment.offset


PLACES: Final[dict[str, tuple[Callable[[Plan], int], str, str]]] = {
    # the place; refused when the quotients are the honest ones; and when they fit the sums
    "input": (lambda layout: layout.blocks.offset, "zk.sum", "zk.lookup"),
    "output": (lambda layout: layout.blocks.offset + layout.output_offset, "zk.sum", "zk.sum"),
    "value": (value_place, "zk.lookup", "zk.lookup"),
    "remainder": (remainder_place, "zk.lookup", "zk.lookup"),
    "multiplicity of a value": (lambda layout: layout.tables[0].multiplicities.offset, "zk.lookup", "zk.lookup"),
    "multiplicity of a remainder": (lambda layout: layout.tables[1].multiplicities.offset, "zk.lookup", "zk.lookup"),
}


@pytest.mark.parametrize("solves", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_committed(place: str, *, solves: bool) -> None:
    """Any committed element that is not what the model gives is refused, before quotients are bent to it and after."""
    where, honest, bent = PLACES[place]

    assert lied("plain", Lies(vector=one_more(where), solves=solves)) == (bent if solves else honest)


@pytest.mark.parametrize("place", PLACES)
def test_committed_hidden(place: str) -> None:
    """The same in mode 2."""
    assert lied("plain", Lies(vector=one_more(PLACES[place][0]), solves=True), Mode.HIDING) == "zk.sum"


def wrong(_b: int, layer: int, asked: list[int], values: list[int]) -> list[int]:
    """A value outside its table; everything behind it follows from the wrong one."""
    return [values[0] + 1, *values[1:]] if layer == 0 else values


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["plain", "dense", "pool"])
def test_outside_the_table(name: str, mode: Mode) -> None:
    """A value that its table does not hold is refused, though all behind it follows: a wrong ReLU, a wrong maximum."""
    assert lied(name, Lies(values=wrong), mode) == ("zk.lookup" if mode is Mode.SUCCINCT else "zk.sum")


def test_value_of_another_quotient() -> None:
    """Rounding off by one, with a value that the table does hold, is refused by the sum."""

    def other(runs: list[Run], layout: Plan) -> None:
        run, table = runs[0], layout.tables[0]
        run.quotients[0][0] += 1
        assert table.values is not None
        run.values[0][0] = table.values[run.quotients[0][0] - table.start]
        run.block[layout.output_offset] = run.values[0][0]

    assert lied("plain", Lies(runs=other)) == "zk.sum"


def test_remainder_beyond_its_range() -> None:
    """Rounding off by one that fits the sum needs a remainder that no range holds."""

    def other(runs: list[Run], layout: Plan) -> None:
        run, table = runs[0], layout.tables[0]
        run.quotients[0][0] += 1
        assert table.values is not None
        run.values[0][0] = table.values[run.quotients[0][0] - table.start]
        run.block[layout.output_offset] = run.values[0][0]

    lies = Lies(runs=other, vector=one_more(remainder_place, -2))

    assert lied("plain", lies) == "zk.lookup"


def of_other_table(_b: int, layer: int, asked: list[int], values: list[int]) -> list[int]:
    """In the first layer of `TWO`: what the second table holds."""
    return [max(q, 0) for q in asked] if layer == 0 else values


@pytest.mark.parametrize("mode", MODES)
def test_swapped_tag(mode: Mode) -> None:
    """A value of another table, looked up and counted in that one, is refused by the tag."""
    lies = Lies(values=of_other_table, tag=lambda layer, tag: 2 if layer == 0 else tag)

    assert lied("two", lies, mode) == ("zk.leaves" if mode is Mode.SUCCINCT else "zk.sum")


def test_swapped_tag_unsaid() -> None:
    """The same with the right tag said and counted: the table does not hold it."""
    assert lied("two", Lies(values=of_other_table)) == "zk.lookup"


def test_one_lie_more() -> None:
    """Each check that a cheat can meet by another lie is followed by one that refuses it."""
    wrong_count = Lies(vector=one_more(PLACES["multiplicity of a value"][0]))

    steps = [
        wrong_count,
        replace(wrong_count, fits_tree=True),
        replace(wrong_count, fits_tree=True, fits_leaves=True),
        replace(wrong_count, fits_tree=True, fits_leaves=True, fits_sum=True),
    ]

    assert [lied("plain", each) for each in steps] == ["zk.lookup", "zk.leaves", "zk.sum", "zk.test"]


def test_no_codeword() -> None:
    """A row that is no codeword is seen by the columns, if it is far from all."""

    def spoil(matrix: list[list[int]], layout: Plan) -> None:
        row = matrix[0]
        for at in range(0, len(row), 2):
            row[at] = (row[at] + 1) % P

    assert lied("plain", Lies(matrix=spoil)) == "zk.proximity"
    assert lied("plain", Lies(matrix=spoil), Mode.HIDING) == "zk.proximity"


def test_one_wrong_entry() -> None:
    """A codeword with one wrong entry is still that codeword: nothing else can be read from it."""
    chosen: list[int] = []

    def spoil(matrix: list[list[int]], layout: Plan) -> None:
        for at in range(len(matrix[0])):
            if at not in chosen:
                matrix[0][at] = (matrix[0][at] + 1) % P
                chosen.append(at)
                return

    codes = {lied("plain", Lies(matrix=spoil)) for _ in range(4)}

    assert codes <= {None, "zk.proximity"}


# --- other models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_other_weights(mode: Mode) -> None:
    """A proof with other weights than the committed is refused by their tree, whatever the prover says."""
    root = weight_root(DENSE, weights_of(DENSE))
    file = bytearray(weights_of(DENSE))
    file[0] ^= 1

    lies = Lies(statement=lambda of: replace(of, exact=Exact(DENSE, root)))
    made = make(DENSE, bytes(file), inputs_of(DENSE, 1), mode, lies)

    assert refusal(lies.statement(made.statement), made.proof) == "zk.weights"


def test_another_model() -> None:
    """A proof of one graph is none of another that has the same shapes and weights."""
    other = Graph((3,), (Gemm(0, 4), Requant(1, 1, 6, -50_000, 50_000, Clip(0, 126)), Gemm(2, 3)))
    made = make(other, weights_of(DENSE), inputs_of(DENSE, 1))

    assert refusal(made.statement, made.proof) is None
    for statement in (proven("dense").statement, with_graph(made.statement, DENSE)):
        assert refusal(statement, made.proof) == "zk.lookup"
    # And a prover that takes the one graph for the other's statement:
    lies = Lies(statement=lambda of: with_graph(of, DENSE))
    made = make(other, weights_of(DENSE), inputs_of(DENSE, 1), Mode.SUCCINCT, lies)
    assert refusal(lies.statement(made.statement), made.proof) == "zk.leaves"


# --- requests --------------------------------------------------------------------------------------------------------


def test_padding_is_not_the_statements() -> None:
    """The batch is padded with runs that no request owns."""
    made = proven("plain", Mode.HIDING, 3)

    assert refusal(made.statement, made.proof) is None
    assert made.seeds is not None
    assert len(made.seeds) == 4


# --- elements of more than one spelling ------------------------------------------------------------------------------


def respelled(proof: bytes, place: int) -> bytes:
    """A proof with the base element at a place written as itself plus p."""
    value = int.from_bytes(proof[place : place + 4], "little") + P
    return proof[:place] + value.to_bytes(4, "little") + proof[place + 4 :]


@pytest.mark.parametrize("mode", MODES)
def test_respelled(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element of a proof has one spelling: messages, both polynomials, columns of weights and of the witness."""
    made = proven("residual", mode)
    layout = plan(RESIDUAL, 1, mode)
    taken = taking(made, monkeypatch)
    polynomials = [number for number, (_, size) in enumerate(taken) if size == 16 * layout.test_degree]
    messages = [at for at, size in taken[: polynomials[-1]] if size == 16]
    columns = {size: at for at, size in taken if size in {4 * layout.weight_rows, 4 * layout.witness_rows}}

    places = [*messages[::9], messages[0] + 12, messages[-1] + 4]
    near, test = (taken[polynomials[-1] - back] for back in (1, 0))
    places += [near[0], near[0] + near[1] - 4, test[0], test[0] + test[1] - 4]
    places += [at + more for size, at in columns.items() for more in (0, size - 4)]

    assert len(columns) == 2
    for place in places:
        assert refusal(made.statement, respelled(made.proof, place)) == "zk.encoding", place


def taking(made: Made, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Where a verifier reads, and how much, in order."""
    taken: list[tuple[int, int]] = []
    take = Channel.take

    def watched(channel: Channel, size: int) -> bytes:
        taken.append((sum(each for _, each in taken), size))
        return take(channel, size)

    with monkeypatch.context() as patched:
        patched.setattr(Channel, "take", watched)
        verify(made.statement, made.proof)
    return taken


# --- lengths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_more_bytes(mode: Mode) -> None:
    """A proof ends where it ends."""
    made = proven("plain", mode)
    layout = plan(PLAIN, 1, mode)

    assert len(made.proof) < layout.proof_bytes_max
    for more in (b"\0", made.proof[-1:], bytes(layout.proof_bytes_max - len(made.proof))):
        assert refusal(made.statement, made.proof + more) == "zk.length"


@pytest.mark.parametrize("mode", MODES)
def test_largest(mode: Mode) -> None:
    """A proof as long as may be is read, and refused for what it says; a longer one is not read."""
    made = proven("plain", mode)
    largest = plan(PLAIN, 1, mode).proof_bytes_max

    assert refusal(made.statement, bytes(largest)) in {"zk.leaves", "zk.sum", "zk.weights"}
    assert refusal(made.statement, b"\x70" * largest) in {"zk.lookup", "zk.sum"}
    assert refusal(made.statement, bytes(largest + 1)) == "zk.length"


def cuts(length: int, step: int) -> Sequence[int]:
    return [*range(400), *range(400, length, step), *range(length - 40, length)]


@pytest.mark.parametrize("mode", MODES)
def test_cut(mode: Mode) -> None:
    """Cut anywhere, a proof is refused for its length."""
    made = proven("plain", mode)

    assert {refusal(made.statement, made.proof[:cut]) for cut in cuts(len(made.proof), 997)} == {"zk.length"}


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "step"), [(Mode.SUCCINCT, 11), (Mode.HIDING, 37)])
def test_cut_anywhere(mode: Mode, step: int) -> None:
    """The same at every byte of what is said, and at every few of the columns, which are read alike."""
    made = proven("plain", mode)
    places = {*range(8_000), *range(8_000, len(made.proof), step)}

    assert {refusal(made.statement, made.proof[:cut]) for cut in sorted(places)} == {"zk.length"}


# --- bits ------------------------------------------------------------------------------------------------------------


def believed(mode: Mode, flips: int, seed: bytes) -> list[int]:
    """Places of bits that may be turned without a refusal, of so many at random."""
    made = proven("plain", mode)
    found = []
    for number in range(flips):
        word = int.from_bytes(sha256(seed + number.to_bytes(4, "big")).digest()[:8], "big")
        place = word % (8 * len(made.proof))
        turned = bytearray(made.proof)
        turned[place // 8] ^= 1 << place % 8
        if refusal(made.statement, bytes(turned)) is None:
            found.append(place)
    return found


def test_flips() -> None:
    """With any one bit turned, of a thousand at random, a proof is refused."""
    assert believed(Mode.SUCCINCT, 700, b"one") == []
    assert believed(Mode.HIDING, 300, b"two") == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_many_flips(mode: Mode) -> None:
    """The same with ten thousand."""
    assert believed(mode, 10_000, b"many") == []


# --- nothing instead of something ------------------------------------------------------------------------------------


def test_zeros() -> None:
    """Zeros satisfy every level of the tree, whatever was looked up; the leaves refuse them."""
    made = proven("plain")
    zeros = made.proof[:32] + bytes(len(made.proof) - 32)

    assert refusal(made.statement, zeros) == "zk.leaves"


def test_root_of_zero() -> None:
    """Zeros in the tree alone, and a true rest, are refused by the leaves too."""
    tree = {b"root", b"d", b"h2", b"p0", b"p1", b"q0", b"q1"}
    lies = Lies(message=lambda _number, label, value: ZERO if label in tree else value)

    assert lied("plain", lies) == "zk.leaves"
