"""The prover: what was promised is proven once, in time, whatever fails meanwhile; and nothing is lost over a kill."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.market import go, until
from tests.support_ledger.world import ALICE
from tests.unit.inference_node.engines import FULL, FullStore
from tests.unit.inference_node.proving import DUE_FIRST, EXACT, GRAPH, MODELS, Court, World

from paraph.core.digest import tagged
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import RequestKey
from paraph.core.tags import Tag
from paraph.inference_node import offering
from paraph.inference_node import prover as module
from paraph.inference_node.offering import BATCH_MAX, batch_max
from paraph.inference_node.promises import INPUTS, Promises
from paraph.inference_node.prover import BEACON_AGE_MAX, GROW_AFTER, Rest
from paraph.proofs.records import ExactModel
from paraph.proofs.request import Layer
from paraph.proofs.zk.graph import Clip, Graph, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Entry, Mode, Statement
from paraph.proofs.zk.verify import verify

DOWN = Unavailable("http.unreachable", "the full node is down")


def key_of(place: bytes) -> RequestKey:
    """The request key of a place."""
    return RequestKey(place[20:])


def progress(world: World, place: bytes) -> dict[str, Any] | None:
    """What the prover shows of an answer of Alice's."""
    return world.prover.progress(ALICE.address, key_of(place))


@pytest.mark.parametrize("mode", list(Mode))
def test_a_settled_answer_is_proven(mode: Mode) -> None:
    """A proof is made in the node's mode, taken by the ledger, and can be fetched and verified; its input is gone."""

    async def test() -> None:
        world = World(mode=mode)
        place = await world.settled(1)
        assert progress(world, place) == {"state": "waiting", "position": 0, "due": DUE_FIRST + 1}
        await world.run()

        proven = world.promises.proven(place)
        assert proven is not None
        assert (proven.height, proven.index, proven.batch.mode) == (world.court.taken[place], 0, mode)
        identity, batch = world.service.identity, proven.batch
        exact = EXACT[MODELS[0]]
        verify(Statement(mode, exact, identity.node, identity.chain_id, batch.beacon, batch.entries), proven.proof)
        assert world.store.get(INPUTS, place) is None
        assert world.promises.counts() == {"unproven": 0, "proven": 1, "missed": 0}

    go(test())


def test_the_owner_of_a_request_can_check_its_part() -> None:
    """The seed of a hiding proof's rows follows from salt and request key, so its owner finds the input."""

    async def test() -> None:
        world = World(mode=Mode.HIDING)
        await world.settled(1)
        place = await world.settled(2)
        provable = world.promises.provable(place)
        answered = world.outbox.find(ALICE.address, key_of(place))
        assert answered is not None
        await world.run()

        proven = world.promises.proven(place)
        assert proven is not None
        identity, batch = world.service.identity, proven.batch
        statement = Statement(
            Mode.HIDING, EXACT[MODELS[0]], identity.node, identity.chain_id, batch.beacon, batch.entries
        )
        opened = verify(statement, proven.proof)
        output: Any = answered.answer.response["outputs"]
        data = __import__("base64").b64decode(output[0]["data"])
        outputs = [int.from_bytes(data[at : at + 4], "little", signed=True) for at in range(0, len(data), 4)]
        inputs = [each - 256 if each > 127 else each for each in provable.hidden.inputs]
        opened.need_request(proven.index, inputs, outputs, tagged(Tag.ZK_SEED, provable.hidden.salt + key_of(place)))

    go(test())


def test_answers_of_one_model_share_a_proof() -> None:
    """What is due of one model is proven together, the earliest due first; another model's answers are not mixed in."""

    async def test() -> None:
        world = World()
        late = await world.settled(9)
        other = await world.settled(5, model=1)
        early = await world.settled(3)
        await world.run()

        assert world.process.sizes == [2, 1]
        first, second = world.promises.proven(early), world.promises.proven(other)
        assert first is not None
        assert second is not None
        assert first.batch.places == (early, late)
        assert second.batch.places == (other,)

    go(test())


def test_a_batch_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proof is about more answers than the limit; the rest gets the next one."""
    monkeypatch.setattr(module.Rest.__init__, "__defaults__", (3, 0, 0, 0))

    async def test() -> None:
        world = World()
        for number in range(7):
            await world.settled(number)
        await world.run()

        assert world.process.sizes == [3, 3, 1]

    go(test())
    assert BATCH_MAX == 64


@pytest.mark.parametrize("gather_s", [0, 0.05])
def test_a_beacon_is_no_earlier_than_the_settlement(gather_s: float) -> None:
    """Where no block follows the settlement, the node has one made, after the time in which others may come."""

    async def test() -> None:
        world = World(gather_s=gather_s)
        place = await world.settled(1, followed=False)
        await world.prover.step()
        assert world.court.height == (10 if gather_s else 11)
        await asyncio.sleep(gather_s)
        await world.run()

        proven = world.promises.proven(place)
        assert proven is not None
        assert proven.batch.height == world.court.settled[place] == 10

    go(test())


def test_answers_wait_for_others_a_moment() -> None:
    """A settled answer waits for the gathering time, and then goes with those that came meanwhile."""

    async def test() -> None:
        world = World(gather_s=0.05)
        await world.settled(1)
        waited = await world.prover.step()
        await world.settled(2)
        await asyncio.sleep(0.06)
        await world.run()

        assert not waited
        assert world.process.sizes == [2]

    go(test())


def test_other_layers_are_not_proven() -> None:
    """An answer of the layer `signature` promises nothing: no row is kept for it, and its progress is unknown."""

    async def test() -> None:
        world = World()
        answered = await world.answer(1, layer=Layer.SIGNATURE)
        await world.outbox.close_entry(answered.place, "settled batch 1")
        await world.run()

        assert world.promises.counts() == {"unproven": 0, "proven": 0, "missed": 0}
        assert world.store.get(INPUTS, answered.place) is None
        assert progress(world, answered.place) is None
        assert progress(world, bytes(52)) is None

    go(test())


def test_what_is_shown_on_the_way() -> None:
    """Each state is shown: settling, waiting with a position, proving with its batch, publishing."""

    async def test() -> None:
        world = World()
        unsettled = await world.answer(3)
        first, second = await world.settled(1), await world.settled(2)
        seen: list[Any] = []
        world.process.during = lambda: seen.append(progress(world, second))
        world.court.failures = [DOWN]
        assert progress(world, unsettled.place) == {"state": "settling", "position": 2, "due": DUE_FIRST + 3}
        shown = progress(world, second)
        with pytest.raises(Unavailable):
            await world.prover.step()

        assert shown == {"state": "waiting", "position": 1, "due": DUE_FIRST + 2}
        assert seen == [
            {
                "state": "proving",
                "position": 1,
                "due": DUE_FIRST + 2,
                "since_ms": world.clock.now_ms(),
                "batch": 2,
            }
        ]
        assert progress(world, first) == {"state": "publishing", "position": 0, "due": DUE_FIRST + 1}

    go(test())


def test_refused_receipt_is_not_proven() -> None:
    """A receipt that the ledger refused is owed no proof: nothing is kept for it, and its progress says why."""

    async def test() -> None:
        world = World()
        answered = await world.answer(1)
        rows = module_rows(answered)
        await world.outbox.close_entry(answered.place, "refused settlement.window: too late", rows)
        await world.run()

        assert world.promises.counts() == {"unproven": 0, "proven": 0, "missed": 0}
        assert world.store.get(INPUTS, answered.place) is None
        assert progress(world, answered.place) == {"state": "failed", "reason": "refused settlement.window: too late"}

    go(test())


def module_rows(answered: Any) -> Any:
    """The rows of a refused answer."""
    from paraph.inference_node.promises import rows_of_outcome

    return rows_of_outcome(answered, None)


# --- kills -------------------------------------------------------------------------------------------------------


def test_killed_before_the_proof() -> None:
    """What was settled and not proven is found again after a kill."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        world.restart()
        await world.run()

        assert world.promises.proven(place) is not None

    go(test())


def test_killed_between_proof_and_ledger() -> None:
    """A proof that was made is sent after the restart, and not made again."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        world.court.failures = [DOWN]
        with pytest.raises(Unavailable):
            await world.prover.step()
        world.restart()
        await world.run()

        assert world.process.sizes == [1]
        assert world.promises.proven(place) is not None

    go(test())


def test_killed_between_ledger_and_note() -> None:
    """A proof that the ledger had taken before the node could note so is found taken, and given out."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        world.court.lost = [DOWN]
        with pytest.raises(Unavailable):
            await world.prover.step()
        world.restart()
        await world.run()

        proven = world.promises.proven(place)
        assert proven is not None
        assert world.process.sizes == [1]
        assert len(proven.proof) > 0

    go(test())


def test_a_proof_is_kept_before_it_is_sent() -> None:
    """While the disk is full no proof is sent: it could not be given out later; the work is done again then."""

    async def test() -> None:
        store = FullStore()
        world = World(store)
        place = await world.settled(1)
        store.error = FULL
        with pytest.raises(Unavailable):
            await world.prover.step()
        assert world.court.taken == {}
        store.error = None
        await world.run()

        assert world.promises.proven(place) is not None
        assert world.process.sizes == [1, 1]

    go(test())


# --- what fails --------------------------------------------------------------------------------------------------


def test_a_failed_proof_is_tried_again_smaller() -> None:
    """When the process fails, the next batch is half as large, after a rest; in the end everything is proven."""

    async def test() -> None:
        world = World()
        for number in range(4):
            await world.settled(number)
        memory = Rejected("engine.memory_limit", "too much")
        world.process.failures = [memory, memory]
        for _ in range(2):
            with pytest.raises(Rejected):
                await world.prover.step()
            assert not await world.prover.step()
            for rest in world.prover._rests.values():
                rest.until_s = 0
        await world.run()

        assert world.process.sizes == [4, 2, 1, 1, 1, 1]

    go(test())


def test_a_size_that_works_is_kept_for_long() -> None:
    """After a failure the smaller size stays, and grows again only after many batches of it were made."""
    rest = Rest(size=8)
    rest.failed(100)
    first = rest.until_s
    rest.failed(100)
    assert (first, rest.until_s) == (101, 102)
    sizes = []
    for _ in range(4 * GROW_AFTER):
        rest.succeeded()
        sizes.append(rest.size)

    assert rest.until_s == 0
    assert [sizes.count(size) for size in (8, 16, 32, 64)] == [GROW_AFTER - 1, GROW_AFTER, GROW_AFTER, GROW_AFTER + 1]


def test_a_refused_proof_holds_up_nobody() -> None:
    """While the proof of one model rests after a refusal, answers of others are proven."""

    async def test() -> None:
        world = World()
        held = await world.settled(1)
        world.court.failures = [Rejected("proofs.full", "the block has no room for more proofs")]
        assert await world.prover.step()
        for rest in world.prover._refused.values():
            rest.until_s += 1000
        other = await world.settled(2, model=1)
        await world.run()

        assert world.promises.proven(other) is not None
        assert world.promises.proven(held) is None
        for rest in world.prover._refused.values():
            rest.until_s = 0
        await world.run()
        assert world.promises.proven(held) is not None
        assert world.process.sizes == [1, 1]
        assert world.prover._refused == {}

    go(test())


def test_what_is_proven_or_missed_is_owed_no_more() -> None:
    """The load counts what is promised, and forgets it when it is taken, or late."""

    async def test() -> None:
        world = World()
        await world.settled(1)
        await world.settled(50)
        for model_id in world.promises.owed():
            world.service.load.owe(model_id)
        assert world.service.load.backlog_s == 2
        world.court.height = DUE_FIRST + 2
        await world.run()

        assert world.service.load.backlog_s == 0
        assert world.promises.owed() == []

    go(test())


def test_a_stale_beacon_is_drawn_anew() -> None:
    """A proof that could not be sent for so long that its beacon is forgotten, is made again."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        world.court.dues[place] = world.court.dues[place][0], world.court.dues[place][1]
        world.court.failures = [DOWN]
        with pytest.raises(Unavailable):
            await world.prover.step()
        world.court.height += 300
        longer = world.court.dues[place][1]
        world.court.dues[place] = MODELS[0], type(longer)(longer.commitment, 10_000)
        await _due_later(world.promises, place)
        assert await world.prover.step()
        await world.run()

        proven = world.promises.proven(place)
        assert proven is not None
        assert proven.batch.height == 10 + 300
        assert world.process.sizes == [1, 1]

    go(test())


async def _due_later(promises: Promises, place: bytes) -> None:
    """The window of this network is a long one."""
    (due,) = promises.unproven()
    await promises._outbox.write({("unproven", place): replace(due, due=10_000).row})


def test_a_refusal_that_may_pass_keeps_the_proof() -> None:
    """Refused for now (its block was full, the hot key's purse empty), the same proof is sent again."""

    async def test() -> None:
        world = World()
        await world.settled(1)
        world.court.failures = [Rejected("proofs.full", "the block has no room for more proofs")] * 3
        for _ in range(3):
            assert await world.prover.step()
            assert not await world.prover.step()
            for rest in world.prover._refused.values():
                rest.until_s = 0
        await world.run()

        assert world.process.sizes == [1]
        assert world.promises.counts() == {"unproven": 0, "proven": 1, "missed": 0}
        assert BEACON_AGE_MAX < 256

    go(test())


def test_what_is_late_is_noted_and_the_rest_proven() -> None:
    """A promise whose block has passed is noted as missed, with why; the others are proven without it."""

    async def test() -> None:
        world = World()
        late, good = await world.settled(1), await world.settled(50)
        world.court.height = DUE_FIRST + 2
        await world.run()

        assert str(world.promises.missed(late)).startswith(f"the proof was due at block {DUE_FIRST + 1}")
        assert world.promises.proven(good) is not None
        found = progress(world, late)
        assert found is not None
        assert found["state"] == "failed"
        assert world.store.get(INPUTS, late) is None

    go(test())


def test_a_batch_that_lost_a_promise_is_made_again() -> None:
    """When one answer of a proof is owed no proof any more, the others are proven anew without it."""

    async def test() -> None:
        world = World()
        gone, good = await world.settled(1), await world.settled(2)
        world.court.failures = [DOWN]
        with pytest.raises(Unavailable):
            await world.prover.step()
        del world.court.dues[gone]
        assert await world.prover.step()
        await world.run()

        assert world.process.sizes == [2, 1]
        assert "neither" in str(world.promises.missed(gone))
        assert world.promises.proven(good) is not None

    go(test())


def test_the_prover_survives_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on after errors of the ledger's, and after faults of ours; cancelled, it ends."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        faults: list[Exception] = [DOWN, ZeroDivisionError("ours")]
        beacon = Court.beacon

        async def failing(court: Court) -> Any:
            if faults:
                raise faults.pop(0)
            return await beacon(court)

        monkeypatch.setattr(Court, "beacon", failing)
        running = asyncio.create_task(world.prover.run(0.001))
        async with asyncio.timeout(10):
            await until(lambda: world.promises.proven(place))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert faults == []

    go(test())


# --- what is offered ---------------------------------------------------------------------------------------------


def offered(world: World) -> Any:
    """The models that the node offers to prove."""
    return world.service.identity.provable


def test_what_is_registered_is_offered() -> None:
    """A model whose files are what the ledger has is offered; looking again changes nothing."""

    async def test() -> None:
        world = World()
        world.service.identity = type(world.service.identity)(*_parts(world))
        await world.offering.look()
        await world.offering.look()

        assert offered(world) == set(MODELS)
        assert world.service.unprovable == {}

    go(test())


def _parts(world: World) -> tuple[Any, ...]:
    identity = world.service.identity
    return identity.chain_id, identity.node, identity.key


@pytest.mark.parametrize("part", ["graph", "weight root", "version"])
def test_other_files_than_registered_are_not_offered(part: str) -> None:
    """A model is not offered when graph, weights or version are other than registered; the error says which."""

    async def test() -> ParaphError:
        world = World()
        world.service.identity = type(world.service.identity)(*_parts(world))
        good = world.court.registered_[MODELS[0]]
        world.court.registered_[MODELS[0]] = ExactModel(
            bytes(32) if part == "graph" else good.graph,  # type: ignore[arg-type]
            bytes(32) if part == "weight root" else good.weight_root,  # type: ignore[arg-type]
            9 if part == "version" else good.version,
        )
        await world.offering.look()
        assert offered(world) == {MODELS[1]}
        found: ParaphError = world.service.unprovable[MODELS[0]]
        return found

    error = go(test())
    assert error.code == "node.exact"
    assert f"{part}: here" in error.message


def test_a_model_registered_later_is_offered_then() -> None:
    """What is not registered as exact, or cannot be looked up, is offered once it can be."""

    async def test() -> None:
        world = World()
        world.service.identity = type(world.service.identity)(*_parts(world))
        known = world.court.registered_.pop(MODELS[1])
        await world.offering.look()
        assert world.service.unprovable[MODELS[1]].code == "models.not_exact"
        assert offered(world) == {MODELS[0]}
        world.court.registered_[MODELS[1]] = known
        await world.offering.look()

        assert offered(world) == set(MODELS)
        assert world.service.unprovable == {}

    go(test())


def test_only_what_is_offered_can_be_proven_later() -> None:
    """A promise of a model that the node no longer has waits, and stops no other."""

    async def test() -> None:
        world = World()
        place = await world.settled(1, model=1)
        good = await world.settled(2)
        world.prover.offering = replace(world.offering, exact={MODELS[0]: EXACT[MODELS[0]]})
        await world.run()

        assert world.promises.proven(good) is not None
        assert progress(world, place) == {"state": "waiting", "position": 0, "due": DUE_FIRST + 1}

    go(test())


def test_entries_name_the_requests() -> None:
    """An entry of a proof is the request's key and the commitment of its promise."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)

        promised = world.court.dues[place][1]
        assert world.promises.provable(place).entry == Entry(key_of(place), promised.commitment)  # type: ignore[arg-type]

    go(test())


def test_a_batch_fits_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many runs as a transaction can carry the proof of; a model whose single run is too much is not offered."""
    sizes = {count: plan(GRAPH, count, Mode.HIDING).proof_bytes_max for count in (1, 16, 32)}

    def limited(limit: int) -> int:
        monkeypatch.setattr(offering, "PROOF_BYTES_MAX", limit)
        batch_max.cache_clear()
        return batch_max(GRAPH, Mode.HIDING)

    found = [limited(each) for each in (1 << 30, sizes[32] - 1, sizes[1], sizes[1] - 1)]

    async def test() -> None:
        world = World(mode=Mode.HIDING)
        world.service.identity = type(world.service.identity)(*_parts(world))
        await world.offering.look()
        assert offered(world) == frozenset()
        assert {each.code for each in world.service.unprovable.values()} == {"node.proof_size"}

    go(test())
    batch_max.cache_clear()
    assert found == [BATCH_MAX, 16, 1, 0]


def test_a_model_beyond_the_limits_of_proofs() -> None:
    """Where many runs are beyond what one proof can be about, fewer are proven together."""
    wide = Graph((2**12,), (Requant(0, 1, 0, -128, 127, Clip(0, 127)),))
    found = batch_max(wide, Mode.SUCCINCT)

    assert 0 < found <= BATCH_MAX
    with pytest.raises(Malformed):
        plan(wide, 1024, Mode.SUCCINCT)
