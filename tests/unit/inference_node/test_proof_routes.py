"""The door for proofs: what is proven is given to whoever knows its key, what is not yet says how far it is."""

import base64
from typing import Any

import httpx
from starlette.applications import Starlette
from tests.sim.market import go
from tests.support_ledger.world import ALICE
from tests.unit.inference_node.proving import EXACT, MODELS, World

from paraph.core.ident import Address, Digest, digest_from_hex, to_hex
from paraph.inference_node.proof_routes import routes
from paraph.proofs.zk.statement import Entry, Mode, Statement
from paraph.proofs.zk.verify import verify


async def asked(world: World, path: str) -> tuple[int, Any]:
    """Status and JSON of an answer of the door's."""
    transport = httpx.ASGITransport(Starlette(routes=routes(world.prover)))
    async with httpx.AsyncClient(transport=transport, base_url="http://node.test") as http:
        reply = await http.get(path)
    return reply.status_code, reply.json()


def path_of(place: bytes) -> str:
    """Where the proof of an answer is."""
    return f"/v1/proofs/{to_hex(place[:20])}/{to_hex(place[20:])}"


def test_a_proof_is_given_with_all_that_its_statement_needs() -> None:
    """From the reply, and what the bundle knows (model, node, network), the statement is made again and verified."""

    async def test() -> None:
        world = World()
        await world.settled(1)
        place = await world.settled(2)
        await world.run()
        status, reply = await asked(world, path_of(place))
        told = reply["proof"]

        assert (status, reply["state"], set(reply)) == (200, "proven", {"state", "height", "proof"})
        assert told["entries"][told["index"]][0] == to_hex(place[20:])
        entries = tuple(
            Entry(digest_from_hex(key, "key"), digest_from_hex(made, "commitment")) for key, made in told["entries"]
        )
        identity = world.service.identity
        beacon = digest_from_hex(told["beacon"], "beacon")
        statement = Statement(Mode(told["mode"]), EXACT[MODELS[0]], identity.node, identity.chain_id, beacon, entries)
        verify(statement, base64.b64decode(told["proof"]))
        assert set(told) == {"mode", "beacon", "entries", "index", "proof"}

    go(test())


def test_until_then_it_says_how_far_it_is() -> None:
    """What is due is answered with its state and its last block; so is what will never be proven."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        waiting = await asked(world, path_of(place))
        world.court.height = 10_000
        await world.run()
        failed = await asked(world, path_of(place))

        assert waiting == (200, {"state": "waiting", "position": 0, "due": 111, "proof": None})
        assert (failed[0], failed[1]["state"], failed[1]["proof"]) == (200, "failed", None)

    go(test())


def test_what_was_never_promised() -> None:
    """An unknown key, another payer's, or no key at all is refused, and tells nothing of others."""

    async def test() -> None:
        world = World()
        place = await world.settled(1)
        others = [
            path_of(Address(bytes(20)) + place[20:]),
            path_of(ALICE.address + Digest(bytes(32))),
            "/v1/proofs/0x12/0x34",
        ]
        codes = [(await asked(world, each))[1]["error"]["code"] for each in others]

        assert codes == ["proof.unknown", "proof.unknown", "ident.hex"]

    go(test())


def test_counts() -> None:
    """Anybody may see how many proofs are due, were taken, and were missed; not whose."""

    async def test() -> None:
        world = World(mode=Mode.HIDING)
        await world.settled(1)
        before = await asked(world, "/v1/proofs")
        await world.run()

        assert before == (200, {"mode": 2, "unproven": 1, "proven": 0, "missed": 0})
        assert await asked(world, "/v1/proofs") == (200, {"mode": 2, "unproven": 0, "proven": 1, "missed": 0})

    go(test())
