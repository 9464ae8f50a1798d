"""Telling full nodes of a fork, so that those who signed two histories lose their bonds for it.

Which of two servers lied is not known, so each is told, and believes only what its own chain bears out. That a server
says it took the evidence is its word; the block that carries it is the proof.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from paraph.core.encode import Json, as_list, as_object
from paraph.core.errors import ParaphError, Unavailable, Unverified
from paraph.flows.effect import Flow, Rpc, Wait, Witnesses, ask
from paraph.proofs.light.conflict import Fork

T = TypeVar("T")

TRIES: Final = 5
PAUSE_MS: Final = 1_000
"""A node can judge a block once another one follows it: some blocks' time together."""
SENTENCE_MAX: Final = 300
"""Characters of a server's sentence that are passed on."""
EVIDENCE_MAX: Final = 1_000
"""Pieces of evidence in a reply: two for each validator of the largest set, and room."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a report.

    Args:
        server: who was told: 0 the node, the witnesses from 1.
        taken: whether it says that consensus has the evidence.
        sentence: what it said, or why it said nothing.
    """

    server: int
    taken: bool
    sentence: str


def report(fork: Fork) -> Flow[tuple[Report, ...]]:
    """Tell every server that there is. Raises nothing: who does not listen is in the reports."""
    document: Json = fork.as_json()
    found: list[Report] = []
    for server in range(1 + (yield from ask(Witnesses()))):
        found += [(yield from _told(document, server))]
    return tuple(found)


def reporting(flow: Flow[T]) -> Flow[T]:
    """The same flow; a fork that it ends with is told to every server first, and the error says what became of that."""
    try:
        return (yield from flow)
    except Unverified as error:
        fork = error.facts.get("fork")
        if not isinstance(fork, Fork):
            raise
        said = summary((yield from report(fork)))
        code, sentence = error.reasons[0]
        raise Unverified(((code, f"{sentence}; {said}"), *error.reasons[1:]), **error.facts) from error


def summary(reports: tuple[Report, ...]) -> str:
    """What became of reports, as one sentence."""
    took = sum(each.taken for each in reports)
    rest = [f"{_name(each.server)}: {each.sentence}" for each in reports if not each.taken]
    return "; ".join((f"{took} of {len(reports)} nodes took the evidence", *rest))


def _told(fork: Json, server: int) -> Flow[Report]:
    tries = 0
    while True:
        tries += 1
        try:
            reply = yield from ask(Rpc("paraph_reportFork", (fork,), server))
            count = len(as_list(as_object(reply, "the reply").get("evidence"), "evidence", items_max=EVIDENCE_MAX))
        except ParaphError as error:
            # Only a node that answers is worth asking again: one that does not takes seconds to say so.
            if isinstance(error, Unavailable) and "rpc_code" in error.facts and tries < TRIES:
                yield from ask(Wait(PAUSE_MS))
                continue
            return Report(server, taken=False, sentence=error.message[:SENTENCE_MAX])
        return Report(server, taken=True, sentence=f"consensus has it, in {count} pieces")


def _name(server: int) -> str:
    return f"witness {server}" if server else "the node"
