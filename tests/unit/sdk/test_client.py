"""The SDK: both clients do the same, every answer they return is verified, and what they save verifies anywhere."""

import asyncio
import inspect
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from tests.sim.market import TENSOR, TENSOR_ID, TEXT, TEXT_ID, Hands, Market, endpoint_of, go, price_of
from tests.support_ledger.world import ALICE, BOB, OPERATOR, OPG, OWNER

from paraph.adapters.http.client import Done, Shown
from paraph.core.amount import Wei
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.tensor import Tensor
from paraph.flows.effect import Flow, Hear, Post, Show
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.sdk import Answer, AsyncClient, AsyncStream, Client, Network, Stream, Unanswered
from paraph.sdk.network import FILE_BYTES_MAX, load_network

ROWS = {"x": [[1.0, 2.0, 3.0, 4.0]]}


class ByHand:
    """A driver over a market, for the synchronous client."""

    def __init__(self, market: Market) -> None:
        self.hands = Hands(market)
        self.closed = False

    def run(self, flow: Flow[Any]) -> Any:
        return self.hands.run(flow)

    def play(self, flow: Flow[Any]) -> Iterator[Any]:
        reply: Any = None
        failure: ParaphError | None = None
        try:
            while True:
                try:
                    effect = flow.send(reply) if failure is None else flow.throw(failure)
                except StopIteration as done:
                    yield Done(done.value)
                    return
                reply, failure = None, None
                try:
                    if isinstance(effect, Show):
                        yield Shown(effect.chunk)
                    else:
                        reply = self.hands(effect)
                except ParaphError as error:
                    failure = error
        finally:
            flow.close()

    def close(self) -> None:
        self.closed = True


def client_of(market: Market, **parts: Any) -> Client:
    client = Client(Network("http://rpc.test", market.ledger.trust), ALICE)
    client.close()
    client._driver = ByHand(market)  # type: ignore[assignment]
    return client


def with_async(test: Callable[[AsyncClient, Market], Awaitable[None]]) -> None:
    """Run a test with an asynchronous client of a market."""

    async def main() -> None:
        market = Market()
        client = AsyncClient(Network("http://rpc.test", market.ledger.trust), ALICE)
        await client.close()
        client._driver = market.buyer()
        async with client:
            await test(client, market)
        await market.close()

    go(main())


def test_chat() -> None:
    """A chat answer has text, verdict, price and key; by name or id of the model."""
    client = client_of(Market())

    answer = client.chat(TEXT.name, "say it", max_tokens=5, seed=1)
    by_id = client.chat("0x" + TEXT_ID.hex(), [{"role": "user", "content": "say it"}], max_tokens=3)

    assert answer.verdict.verified
    assert len(answer.text.split()) == 5
    assert answer.finish_reason == "length"
    assert answer.price == price_of(answer.receipt.input_units, 5)
    assert answer.request_key == "0x" + answer.receipt.request_key.hex()
    assert (answer.tool_calls, answer.outputs, answer.embeddings, answer.settled) == ([], {}, [], False)
    assert by_id.receipt.output_units == 3


def test_seed_is_drawn_and_signed() -> None:
    """Where sampling needs a seed and none was given, one is drawn, and the signed body holds it."""
    client = client_of(Market())

    drawn = client.complete(TEXT.name, "say it", max_tokens=2)
    fixed = client.complete(TEXT.name, "say it", max_tokens=2, temperature=0)

    assert drawn.bundle.body["seed"] != 0
    assert fixed.bundle.body["seed"] == 0


def test_tensors() -> None:
    """Lists, numpy arrays and tensors go in; exact tensors and flat numbers come out."""
    client = client_of(Market())
    array = numpy.array(ROWS["x"], numpy.float32)

    found = [
        client.infer(TENSOR.name, inputs, ["label"])
        for inputs in (ROWS, {"x": array}, {"x": Tensor("x", "FP32", (1, 4), array.tobytes())})
    ]

    assert len({canonical(answer.response) for answer in found}) == 1
    assert found[0].tensors["label"].datatype == "INT64"
    assert len(found[0].outputs["label"]) == 1
    assert found[0].text == ""


def test_embeddings() -> None:
    """Vectors come in the order of the texts; one text is one text, not its letters."""
    client = client_of(Market())

    assert [len(each) for each in client.embed(TEXT.name, ["a", "b", "c"]).embeddings] == [8, 8, 8]
    assert len(client.embed(TEXT.name, "hello").embeddings) == 1


def test_stream() -> None:
    """Pieces come as they are generated; the verified answer is there at the end, and not before."""
    client = client_of(Market())
    stream = client.chat_stream(TEXT.name, "say it", max_tokens=5)

    with pytest.raises(Unavailable) as caught:
        _ = stream.answer
    pieces = list(stream)

    assert caught.value.code == "stream.unfinished"
    assert len(pieces) == 5
    assert "".join(pieces) == stream.answer.text
    assert isinstance(stream, Stream)


def test_left_stream_hangs_up() -> None:
    """Whoever stops reading a stream hangs up at once, and has no answer."""
    client = client_of(Market())
    stream = client.chat_stream(TEXT.name, "say it", max_tokens=5)
    for _ in stream:
        break
    heard = sum(isinstance(effect, Hear) for effect, _ in client._driver.hands.told)  # type: ignore[attr-defined]

    assert list(stream) == []
    assert sum(isinstance(effect, Hear) for effect, _ in client._driver.hands.told) == heard  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        _ = stream.answer


def test_saved_answer_verifies(tmp_path: Path) -> None:
    """A saved answer, settled or not, verifies from the file alone; saving again replaces the file whole."""
    market = Market()
    client = client_of(market)
    answer = client.infer(TENSOR.name, ROWS)
    file = tmp_path / "answer.json"

    answer.save(file)
    before = judge(decode_bundle(file.read_bytes()), market.ledger.trust)
    go(market.settler.settle_pending())
    client.settled(answer, 5).save(str(file))
    after = decode_bundle(file.read_bytes())

    assert before.verified
    assert judge(after, market.ledger.trust).verified
    assert after.chain.settled is not None
    assert [each.name for each in tmp_path.iterdir()] == ["answer.json"]
    with pytest.raises(Unavailable) as caught:
        answer.save(tmp_path / "none" / "answer.json")
    assert caught.value.code == "file.write"


def test_saved_answer_is_its_owners(tmp_path: Path) -> None:
    """A saved answer is readable by its owner alone, and is not written through a link; failing leaves nothing."""
    answer = client_of(Market()).chat(TEXT.name, "say it", max_tokens=2)
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "a.json").symlink_to(other)

    answer.save(tmp_path / "a.json")

    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
    assert other.read_text() == "mine"
    with pytest.raises(Unavailable):
        answer.save(tmp_path / "nowhere" / "a.json")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "other"]


def test_settlement_that_does_not_come() -> None:
    """Waiting for a settlement ends with the patience."""
    client = client_of(Market())

    with pytest.raises(Unavailable) as caught:
        client.settled(client.infer(TENSOR.name, ROWS), 0.2)

    assert caught.value.code == "settlement.pending"


def test_lost_answer_is_had_again() -> None:
    """A node that went away and came back gives the answer to the same signed request; a new key is not drawn."""
    client = client_of(market := Market())
    hands = client._driver.hands  # type: ignore[attr-defined]
    hands.dead.add(endpoint_of(market.operator))
    with pytest.raises(Unanswered) as caught:
        client.chat(TEXT.name, "say it", max_tokens=2)
    hands.dead.clear()

    answer = client.again(caught.value)

    assert answer.verdict.verified
    assert answer.receipt.request_key == caught.value.asked.signed.request.key


def test_registry_and_wallet() -> None:
    """Reads are proved; deposits, transfers and calls are in a block when they return."""
    market = Market()
    client = client_of(market)
    before = client.balance(BOB.address)

    client.transfer(BOB.address, 5)
    client.deposit(7)
    client.transact(ESCROW, "requestWithdrawal", 3)

    assert client.balance(BOB.address) == before + 5
    assert (client.escrow().available, client.escrow().leaving) == (OPG + 4, 3)
    assert client.models().keys() == {TEXT_ID, TENSOR_ID}
    assert client.offer(TEXT.name).price.base == 1000
    assert client.nodes().keys() == {OPERATOR.address}
    assert client.escrow(OWNER.address).available == 0


@pytest.mark.parametrize(
    ("ask", "kind", "code"),
    [
        (lambda client: client.chat("nobody's", "hi"), Rejected, "models.unknown"),
        (lambda client: client.chat(TEXT.name, "hi", layer="magic"), Rejected, "request.layer"),
        (lambda client: client.chat(TEXT.name, "hi", layer="zkml"), Rejected, "models.layer"),
        (lambda client: client.chat(TEXT.name, "hi", node=BOB.address), Rejected, "nodes.unknown"),
        (lambda client: client.chat(TEXT.name, "hi", max_price=1), Rejected, "request.cap"),
        (lambda client: client.chat(TEXT.name, "hi", temprature=1), Rejected, "request.unknown_parameter"),
        (lambda client: client.chat(TEXT.name, "hi", tools=[{}]), Rejected, "request.unhonoured_parameter"),
        (lambda client: client.chat(TEXT.name, "hi", temperature=float("nan")), Malformed, "request.parameter"),
        (lambda client: client.chat(TEXT.name, []), Malformed, "request.messages"),
        (lambda client: client.infer(TENSOR.name, {"x": [[1.0], [1.0, 2.0]]}), Malformed, "tensor.data"),
        (lambda client: client.infer(TENSOR.name, {"z": [1.0]}), Rejected, "engine.input_name"),
        (lambda client: client.infer(TENSOR.name, {}), Malformed, "request.parameter"),
        (lambda client: client.chat(TENSOR.name, "hi"), Rejected, "request.kind"),
        (lambda client: client.chat(TEXT.name, "w " * 600, max_tokens=5), Rejected, "engine.context"),
    ],
    ids=range(14),
)
def test_refusals(ask: Callable[[Client], Any], kind: type[ParaphError], code: str) -> None:
    """What is wrong with a question has its typed error, and costs nothing."""
    market = Market()

    with pytest.raises(kind) as caught:
        ask(client_of(market))

    assert caught.value.code == code
    assert market.promised == 0


def test_asynchronous_client() -> None:
    """The asynchronous client gets the same answers."""

    async def test(client: AsyncClient, market: Market) -> None:
        asked = [
            client.chat(TEXT.name, "a", max_tokens=3),
            client.complete(TEXT.name, "a", max_tokens=3),
            client.embed(TEXT.name, ["a"]),
            client.infer(TENSOR.name, ROWS),
        ]
        answers = [await each for each in asked]
        stream = client.chat_stream(TEXT.name, "b", max_tokens=4)
        pieces = [piece async for piece in stream]
        await market.settler.settle_pending()

        assert all(answer.verdict.verified for answer in answers)
        assert "".join(pieces) == stream.answer.text
        assert isinstance(stream, AsyncStream)
        assert (await client.settled(answers[0])).settled
        assert (await client.models()).keys() == {TEXT_ID, TENSOR_ID}
        assert (await client.nodes()).keys() == {OPERATOR.address}
        assert (await client.offer(TEXT.name)).model.name == TEXT.name
        await client.deposit(5)
        await client.transfer(BOB.address, 5)
        await client.transact(ESCROW, "requestWithdrawal", 1)
        assert (await client.escrow()).leaving == 1
        assert await client.balance() > 0

    with_async(test)


def test_many_at_once() -> None:
    """One asynchronous client answers many questions at the same time, each its own."""

    async def test(client: AsyncClient, market: Market) -> None:
        answers = await asyncio.gather(*(client.infer(TENSOR.name, {"x": [[float(n), 0, 0, 0]]}) for n in range(12)))

        assert len({answer.request_key for answer in answers}) == 12
        bodies: list[Any] = [answer.bundle.body for answer in answers]
        firsts = [numpy.frombuffer(b64decode(body["inputs"][0]["data"]), numpy.float32)[0] for body in bodies]
        assert firsts == list(range(12))

    with_async(test)


def test_left_stream_hangs_up_asynchronously() -> None:
    """Breaking off an asynchronous stream leaves no answer."""

    async def test(client: AsyncClient, market: Market) -> None:
        stream = client.chat_stream(TEXT.name, "b", max_tokens=4)
        pieces = aiter(stream)
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]

        assert [piece async for piece in stream] == []
        with pytest.raises(Unavailable):
            _ = stream.answer

    with_async(test)


def test_clients_have_the_same_methods() -> None:
    """What one client can do the other can, with the same parameters."""
    names = {name for name in vars(Client) if not name.startswith("_")}

    assert names == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in names - {"open"}:
        one, other = (inspect.signature(getattr(kind, name)) for kind in (Client, AsyncClient))
        assert list(one.parameters) == list(other.parameters)


def test_network_file(tmp_path: Path) -> None:
    """A network file comes back as it was; what is none has a typed error; a client opens it."""
    network = Network("http://rpc.test", Market().ledger.trust)
    file = tmp_path / "network.json"
    file.write_text(json.dumps(network.as_json()))

    assert load_network(file) == network
    with Client.open(file, ALICE) as client:
        assert client.network == network
    for text in ("", "{}", json.dumps({**network.as_json(), "format": "x"}), " " * (FILE_BYTES_MAX + 1)):
        file.write_text(text)
        with pytest.raises(Malformed):
            load_network(file)
    with pytest.raises(Unavailable):
        load_network(tmp_path / "none")


def test_key_stays_in_the_process() -> None:
    """What a client sends never holds its key."""
    market = Market()
    client = client_of(market)
    client.chat(TEXT.name, "hi", max_tokens=2, max_price=Wei(10**7))

    secret = ALICE.dangerous_secret().hex()
    assert all(secret not in repr(effect) for effect, _ in client._driver.hands.told)  # type: ignore[attr-defined]
    assert secret not in repr(client.__dict__)
    assert any(isinstance(effect, Post) for effect, _ in client._driver.hands.told)  # type: ignore[attr-defined]
    assert isinstance(Answer, type)
