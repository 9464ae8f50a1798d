"""Following a chain: what a node shows is believed by its seal and continues what was shown, or nothing is shown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB
from tests.unit.flows.verified.nodes import Lie, SoloNode, ValidatorNode, down, forged, fork

from paraph.core.errors import BrokenTruth, Malformed, ParaphError, Unavailable, Unverified
from paraph.core.ident import Digest
from paraph.flows.effect import Rpc
from paraph.flows.verified.follow import KEYS_PER_CALL, Follower, Rewritten, pinned, view
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.proofs.header import HASHES_KEPT, HEAD_KEY, Head, hash_key
from paraph.proofs.light.conflict import Fork
from paraph.proofs.light.types import Anchor

HELD = BALANCES.prefix + BOB.address
NOTHING = b"accounts/balance/" + bytes(20)


def refused(node: SoloNode, follower: Follower, *keys: bytes) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        node.play(view(follower, keys))
    return caught.value


@pytest.fixture(params=[SoloNode, ValidatorNode])
def node(request: pytest.FixtureRequest) -> SoloNode:
    made: SoloNode = request.param()
    return made


def test_state_is_read(node: SoloNode) -> None:
    """Values, absences and the header come from one believed state, at first and as the chain goes on."""
    follower = node.follower()

    first = node.play(view(follower, (HELD, NOTHING)))
    node.ledger.send(ALICE, BOB.address, value=5)
    second = node.play(view(follower, (HELD,)))

    assert first.values[NOTHING] is None
    assert second.number(HELD) == first.number(HELD) + 5
    assert second.header == node.header()
    assert follower.newest is not None
    assert follower.newest.header == node.header()


def test_same_seal_is_believed_once() -> None:
    """A state known already is not verified again: the time is not even asked for."""
    node = ValidatorNode()
    follower = node.follower()
    node.play(view(follower, ()))
    node.now_s += 365 * 86_400

    assert node.play(view(follower, (HELD,))).number(HELD) > 0


def test_many_keys_are_of_one_state() -> None:
    """More keys than one call takes are asked for again when a block came in between, and given up after a while."""
    node = SoloNode()
    keys = [b"many/%d" % number for number in range(KEYS_PER_CALL + 1)]
    grown = iter([True, False, False, True, True, True, True, True, True, True, True])

    def growing(_effect: Rpc, reply: Any) -> Any:
        if next(grown, True):
            node.grow()
        return reply

    node.lie = growing
    found = node.play(view(node.follower(), keys))

    assert len(found.values) >= len(keys)
    assert refused(node, node.follower(), *keys).code == "verified.moving"


def recording(replies: list[Any]) -> Lie:
    """No lie: the replies are noted."""

    def noted(_effect: Rpc, reply: Any) -> Any:
        replies.append(reply)
        return reply

    return noted


def change_value(reply: Any) -> None:
    reply["proofs"][-1]["value"] = "0x01"


def hide_value(reply: Any) -> None:
    reply["proofs"][-1]["value"] = None


def other_key(reply: Any) -> None:
    reply["proofs"][-1] = reply["proofs"][0]


def fewer(reply: Any) -> None:
    reply["proofs"].pop()


def other_root(reply: Any) -> None:
    reply["seal"]["header"]["state_root"] = "0x" + "11" * 32


@pytest.mark.parametrize(
    ("lie", "kind", "code"),
    [
        (change_value, Unverified, "verified.proof"),
        (hide_value, Unverified, "verified.proof"),
        (other_key, Unverified, "verified.proof"),
        (fewer, Malformed, "verified.reply"),
        (other_root, Unverified, "header.signature"),
    ],
)
def test_lies_are_refused(lie: Callable[[Any], None], kind: type[ParaphError], code: str) -> None:
    """No changed value, proof, key or root passes."""
    node = SoloNode()

    def lying(_effect: Rpc, reply: Any) -> Any:
        lie(reply)
        return reply

    node.lie = lying
    error = refused(node, node.follower(), HELD)

    assert isinstance(error, kind)
    assert error.code == code


def test_node_that_goes_back(node: SoloNode) -> None:
    """A node that shows an older state than it showed is behind itself: nothing is taken, a later try may succeed."""
    follower = node.follower()
    old: list[Any] = []
    node.lie = recording(old)
    node.play(view(node.follower(), (HELD,)))
    node.lie = lambda _effect, reply: reply
    node.grow()
    node.play(view(follower, ()))

    node.lie = lambda _effect, reply: {"seal": old[0]["seal"], "proofs": reply["proofs"]}
    error = refused(node, follower, HELD)

    assert isinstance(error, Unavailable)
    assert error.code == "verified.stale"


def test_old_values_under_a_new_seal() -> None:
    """Values that were true in an older state do not hold under the newest seal."""
    node = SoloNode()
    old: list[Any] = []
    node.lie = recording(old)
    node.play(view(node.follower(), (HELD,)))
    node.ledger.send(ALICE, BOB.address, value=5)

    node.lie = lambda _effect, reply: {**reply, "proofs": old[0]["proofs"]}

    assert refused(node, node.follower(), HELD).code == "verified.proof"


def test_replies_that_cross() -> None:
    """A reply that arrives after a newer one is judged by what was known when it was asked for, and still good."""
    node = ValidatorNode()
    follower = node.follower()
    node.play(view(follower, ()))

    def crossed(_effect: Rpc, reply: Any) -> Any:
        node.lie = lambda _effect, reply: reply
        node.grow(2)
        node.play(view(follower, ()))
        return reply

    node.lie = crossed
    height = node.header().height

    assert node.play(view(follower, (HELD,))).header.height == height
    assert follower.newest is not None
    assert follower.newest.header.height == height + 2


@pytest.mark.parametrize("change", [{"height": 99}, {"chain_id": 1}, {"genesis": Digest(bytes(32))}, None])
def test_state_of_another_block(change: dict[str, Any] | None) -> None:
    """A signed header over a state of another block, network or without a head is refused."""
    node = SoloNode()
    state, header = node.ledger.chain.dump(), node.header()
    if change is None:
        del state[HEAD_KEY]
    else:
        state[HEAD_KEY] = replace(Head.decode(state[HEAD_KEY]), **change).encode()
    node.lie = forged(state, header)

    assert refused(node, node.follower(), HELD).code == "verified.head"


def test_two_headers_of_one_height() -> None:
    """A producer that signs two blocks of one height is caught by who sees both; the evidence is both."""
    node = SoloNode()
    follower = node.follower()
    node.play(view(follower, ()))

    node.lie = forged({**node.ledger.chain.dump(), HELD: b"\x09"}, node.header())
    error = refused(node, follower, HELD)

    assert error.code == "verified.rewritten"
    evidence = error.facts["fork"]
    assert isinstance(evidence, Rewritten)
    shown: Any = evidence.as_json()
    assert shown["first"]["header"]["height"] == shown["second"]["header"]["height"] == error.facts["height"]
    assert shown["first"] != shown["second"]
    assert shown["entry"] is None


def test_rewritten_history() -> None:
    """A longer history without the block that was shown is caught, and the entry that denies it is evidence."""
    node = SoloNode()
    follower = node.follower()
    node.play(view(follower, ()))
    other = fork(node)
    other.grow(node.header().height + 1)

    error = refused(other, follower)

    assert error.code == "verified.rewritten"
    evidence = error.facts["fork"]
    assert isinstance(evidence, Rewritten)
    shown: Any = evidence.as_json()
    assert shown["entry"]["value"] == "0x" + other.ledger.chain.header(node.header().height).hash().hex()


def test_long_absence() -> None:
    """After more blocks than a state remembers, the seal alone decides."""
    node = SoloNode()
    follower = node.follower()
    node.play(view(follower, ()))
    state, header = node.ledger.chain.dump(), replace(node.header(), height=node.header().height + HASHES_KEPT + 1)
    state[HEAD_KEY] = header.head().encode()
    state[hash_key(node.header().height)] = bytes(32)
    node.lie = forged(state, header)

    assert node.play(view(follower, ())).header.height == header.height


def test_follower_never_goes_back() -> None:
    """What is found late does not move a follower back."""
    node = SoloNode()
    follower, late = node.follower(), node.follower()
    node.play(view(late, ()))
    node.grow()
    node.play(view(follower, ()))
    assert late.newest is not None

    follower.advance(late.newest)

    assert follower.newest is not None
    assert follower.newest.header == node.header()


# --- validators --------------------------------------------------------------------------------------------------


def test_anchor_moves_on() -> None:
    """Trust goes on from the newest block, so that a set may change wholly over time."""
    sets = tuple({f"v{(height // 3) + place}": 1 for place in range(3)} for height in range(60))
    node = ValidatorNode(sets=sets)
    follower = node.follower()

    node.play(view(follower, ()))
    node.grow(9)
    node.play(view(follower, ()))

    assert follower.trust.anchor is not None
    assert follower.trust.anchor.height == node.header().height + 1
    assert {each.key for each in follower.trust.anchor.validators}.isdisjoint(
        each.key
        for each in node.trust.anchor.validators  # type: ignore[union-attr]
    )


def test_set_that_changed_wholly_is_reached_by_blocks_between() -> None:
    """Where the shown block does not follow at once, the blocks between are asked for."""
    sets = tuple({f"v{height + place}": 1 for place in range(3)} for height in range(90))
    node = ValidatorNode(sets=sets)

    node.play(view(node.follower(), ()))

    assert any(each.method == "paraph_getLightBlock" for each in node.asked)


def test_unsigned_block() -> None:
    """A seal without the votes is refused."""
    node = ValidatorNode()

    def unsigned(_effect: Rpc, reply: Any) -> Any:
        votes = reply["seal"]["blocks"][0]["commit"]["signatures"]
        votes[0] = votes[1] = None
        return reply

    node.lie = unsigned
    assert refused(node, node.follower()).code == "light.power"


def test_seal_of_the_wrong_kind() -> None:
    """Where a producer is pinned validators' votes are not believed, and the other way round."""
    votes, solo = ValidatorNode(), SoloNode()

    assert refused(votes, Follower(solo.trust)).code == "light.anchor"
    assert refused(solo, Follower(votes.trust)).code == "header.signature"


def test_missing_anchor_is_never_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should belief without an anchor ever succeed, that is a fault of ours and ends there."""
    node = ValidatorNode()
    monkeypatch.setattr("paraph.flows.belief.believe", lambda *_: "")

    with pytest.raises(BrokenTruth):
        node.play(view(Follower(replace(node.trust, anchor=None)), ()))


def test_expired_anchor() -> None:
    """An anchor older than the period is refused, whatever follows from it."""
    node = ValidatorNode()
    node.now_s += node.trust.trusting_period_s

    assert refused(node, node.follower()).code == "light.expired"


def test_block_from_the_future() -> None:
    """A block far ahead of our clock is refused."""
    node = ValidatorNode()
    node.now_s -= 1_000

    assert refused(node, node.follower()).code == "light.future"


def test_witness_that_agrees_and_one_that_is_down() -> None:
    """A witness that is down is a note, no reason to stop."""
    node = ValidatorNode()
    agreeing, dead = ValidatorNode(node.ledger), ValidatorNode(node.ledger)
    dead.lie = down
    node.witnesses = (agreeing, dead)
    follower = node.follower()

    node.play(view(follower, ()))

    assert follower.newest is not None
    assert [(note.server, note.code) for note in follower.newest.notes] == [(2, "http.unreachable")]


def test_witness_with_another_history() -> None:
    """Two signed blocks of one height are a fork; the evidence names both."""
    node = ValidatorNode()
    other = ValidatorNode(node.ledger)
    other.ledger = fork(node).ledger
    for _ in range(node.header().height):
        other.grow()
    node.witnesses = (other,)

    error = refused(node, node.follower())

    assert error.code == "light.fork"
    assert isinstance(error.facts["fork"], Fork)


def test_pinned_by_hand() -> None:
    """The block whose hash somebody told is pinned as the node shows it; another one is refused."""
    node = ValidatorNode()
    wanted = node.light_block(3)

    trust = node.play(pinned(node.trust, 3, wanted.header.hash()))

    assert trust.anchor == Anchor(3, wanted.validators, wanted.header.time.seconds)
    assert node.play(view(Follower(trust), ())).header == node.header()
    with pytest.raises(Unverified) as caught:
        node.play(pinned(node.trust, 4, wanted.header.hash()))
    assert caught.value.code == "verified.anchor"


def test_pinned_block_must_be_signed_and_young() -> None:
    """Neither a block without votes nor one older than the period is pinned."""
    node = ValidatorNode()
    wanted = node.light_block(3).header.hash()
    node.now_s += node.trust.trusting_period_s
    with pytest.raises(Unverified) as old:
        node.play(pinned(node.trust, 3, wanted))

    def unsigned(_effect: Rpc, reply: Any) -> Any:
        reply["commit"]["signatures"] = [None] * 4
        return reply

    node.lie = unsigned
    with pytest.raises(Unverified) as bare:
        node.play(pinned(node.trust, 3, wanted))

    assert (old.value.code, bare.value.code) == ("light.expired", "light.power")
