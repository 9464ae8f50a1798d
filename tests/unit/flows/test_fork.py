"""Every node is told of a fork, those that do not listen too, and what each said is passed on."""

from typing import Any

import pytest
from tests.sim.market import play
from tests.support.comet import FOUR, header, sealed

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import ParaphError, Rejected, Unavailable, Unverified
from paraph.flows import fork as module
from paraph.flows.effect import Effect, Flow, Rpc, Wait, Witnesses, ask
from paraph.flows.fork import Report, report, reporting, summary
from paraph.proofs.light.conflict import Fork

ONE = sealed(header(9, FOUR), FOUR)
FORK = Fork(ONE, sealed(header(9, FOUR, data_hash=sha256(b"other")), FOUR), None, None, ())
TAKEN: Json = {"height": 9, "evidence": [{"kind": "duplicate_vote", "validators": [], "hash": "0x"}]}
NOT_YET = Unavailable("rpc.error", "no block follows 9 here yet", rpc_code="-32002")


class Nodes:
    """Full nodes, each with its answers, one at each asking; the last is given for ever."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[int] = []
        self.waited_ms = 0

    def __call__(self, effect: Effect[Any]) -> Any:
        match effect:
            case Witnesses():
                return len(self.answers) - 1
            case Wait(milliseconds):
                self.waited_ms += milliseconds
                return None
            case Rpc(method, params, server):
                assert (method, params) == ("paraph_reportFork", (FORK.as_json(),))
                self.asked.append(server)
                answers = self.answers[server]
                found = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(found, ParaphError):
                    raise found
                return found
            case _:
                raise AssertionError(effect)


def test_every_node_is_told() -> None:
    """The node and all witnesses are told; one that refuses, is away or answers nonsense keeps no other from it."""
    away = Unavailable("http.unreachable", "http://w2: refused" + 400 * "!")
    nodes = Nodes([TAKEN], [Rejected("rpc.error", "nobody can be slashed")], [away], [{"evidence": 5}], [[]])

    found = play(report(FORK), nodes)

    assert nodes.asked == [0, 1, 2, 3, 4]
    assert [each.taken for each in found] == [True, False, False, False, False]
    assert found[0] == Report(0, True, "consensus has it, in 1 pieces")
    assert found[1].sentence == "nobody can be slashed"
    assert len(found[2].sentence) == module.SENTENCE_MAX
    assert nodes.waited_ms == 0


def test_a_node_that_cannot_judge_yet_is_asked_again() -> None:
    """A node without the next block is asked again for a while, and then left."""
    soon, never = Nodes([NOT_YET, NOT_YET, TAKEN]), Nodes([NOT_YET])

    assert play(report(FORK), soon)[0].taken
    assert not play(report(FORK), never)[0].taken
    assert (len(soon.asked), len(never.asked)) == (3, module.TRIES)
    assert (soon.waited_ms, never.waited_ms) == (2 * module.PAUSE_MS, (module.TRIES - 1) * module.PAUSE_MS)


def test_summary() -> None:
    """One sentence says how many took it, and of each other one what it said."""
    reports = (Report(0, False, "is away"), Report(1, True, "x"), Report(2, False, "refuses"))

    assert summary(reports) == "1 of 3 nodes took the evidence; the node: is away; witness 2: refuses"


def ending(error: Unverified | None) -> Flow[int]:
    count = yield from ask(Witnesses())
    if error is not None:
        raise error
    return count


def test_fork_is_told_before_it_is_raised() -> None:
    """A flow that ends with a fork has told every node; its error says so, and keeps its code and evidence."""
    nodes = Nodes([TAKEN], [TAKEN])

    with pytest.raises(Unverified) as caught:
        play(reporting(ending(Unverified((("light.fork", "two blocks"),), height=9, fork=FORK))), nodes)

    assert nodes.asked == [0, 1]
    assert (caught.value.code, caught.value.facts) == ("light.fork", {"height": 9, "fork": FORK})
    assert caught.value.message == "two blocks; 2 of 2 nodes took the evidence"


def test_all_else_passes_through() -> None:
    """A result, and an error that is no fork, are as they were, and nobody is told anything."""
    nodes = Nodes([TAKEN])
    other = Unverified((("light.power", "too few"),))

    with pytest.raises(Unverified) as caught:
        play(reporting(ending(other)), nodes)

    assert caught.value is other
    assert play(reporting(ending(None)), nodes) == 0
    assert nodes.asked == []
