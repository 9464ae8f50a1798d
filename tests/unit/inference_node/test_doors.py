"""The doors: OpenAI's API, the Open Inference Protocol, the native one, and what they make of hostile bytes."""

import asyncio
import base64
import json
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from eth_account import Account as EthAccount
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.market import TENSOR_ID, TEXT_ID, Market, chat_body, go, opened, price_of, rows_body, until
from tests.support_ledger.world import ALICE, BOB, OPG
from tests.unit.inference_node.engines import DyingText, SlowText

from paraph.adapters.fakes.engines import FakeTensorEngine
from paraph.adapters.tensors import FORMATS, pack
from paraph.core.encode import JsonObject
from paraph.core.errors import Unavailable
from paraph.core.ident import to_hex
from paraph.core.limits import JSON_BYTES_MAX
from paraph.core.tensor import Tensor
from paraph.flows import effective
from paraph.flows.ports import TensorSpec
from paraph.inference_node.service import QUEUE_PAYER_MAX
from paraph.proofs.bundle import answer_from_json
from paraph.proofs.receipt import stream_next, stream_start

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "say it"}]
CHAT = {"model": "test/words", "messages": MESSAGES, "max_tokens": 5}
Test = Callable[[Market, httpx.AsyncClient], Awaitable[None]]


def run(test: Test, **parts: Any) -> None:
    """Run a test with a client of a market's node."""

    async def main() -> None:
        market = Market(**parts)
        async with market.door() as http:
            await test(market, http)
        await market.close()
        assert market.service._jobs == {}

    go(main())


def header(market: Market, body: JsonObject, **changes: Any) -> dict[str, str]:
    """The payment header for an effective body."""
    data = json.dumps(market.sign(body, **changes).as_json()).encode()
    return {"paraph-request": base64.b64encode(data).decode()}


def events(text: str) -> list[Any]:
    """The events of a stream."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


# --- OpenAI ------------------------------------------------------------------------------------------------------


def test_models_are_listed_with_prices() -> None:
    """Models are listed, with id, owner and price; one is found by name; another is 404."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        listed = (await http.get("/v1/models")).json()
        one = (await http.get("/v1/models/test/words")).json()
        none = await http.get("/v1/models/nobody")

        assert [each["id"] for each in listed["data"]] == ["test/words", "test/rows"]
        assert one["paraph"]["price"] == {"version": 1, "base": "1000", "per_input_unit": "10", "per_output_unit": "30"}
        assert (none.status_code, none.json()["error"]["code"]) == (404, "models.not_served")
        market.ledger.down = True
        market.clock.advance(5_000)
        assert (await http.get("/v1/models")).status_code == 503

    run(test)


def test_quote_is_paid_by_a_stock_wallet() -> None:
    """A call without payment is answered 402 with a document that a stock wallet signs; paid so, it is served."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        unpaid = await http.post("/v1/chat/completions", json=CHAT)
        quote = unpaid.json()["paraph"]
        document = quote["sign"]
        said = document["message"] = document["message"] | {"key": "0x" + "07" * 32, "payer": to_hex(ALICE.address)}
        signature = EthAccount.from_key(ALICE.dangerous_secret()).sign_typed_data(full_message=document).signature
        names = {"model_id": "modelId", "body_digest": "bodyDigest", "max_price": "maxPrice"}
        own = ("key", "payer", "node", "model_id", "body_digest", "layer", "max_price", "deadline")
        signed = {name: said[names.get(name, name)] for name in own}
        signed |= {"chain_id": document["domain"]["chainId"], "signature": to_hex(signature)}
        paid = await http.post(
            "/v1/chat/completions",
            json=CHAT,
            headers={"paraph-request": base64.b64encode(json.dumps(signed).encode()).decode()},
        )

        assert (unpaid.status_code, unpaid.json()["error"]["code"]) == (402, "request.unpaid")
        assert quote["body"] == chat_body()
        assert paid.status_code == 200
        assert paid.json()["choices"][0]["finish_reason"] == "length"

    run(test)


def test_chat() -> None:
    """A chat completion is OpenAI's, with the answer and its receipt beside it."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        body = chat_body(logprobs=True, top_logprobs=1)
        asked = {**CHAT, "logprobs": True, "top_logprobs": 1}
        found = (await http.post("/v1/chat/completions", json=asked, headers=header(market, body))).json()

        answer = answer_from_json(found["paraph"])
        choice = found["choices"][0]
        assert found["object"] == "chat.completion"
        assert choice["message"] == {"role": "assistant", "content": answer.response["text"]}
        assert len(choice["logprobs"]["content"]) == 5
        assert found["usage"]["completion_tokens"] == 5
        assert answer.receipt.receipt.price == price_of(found["usage"]["prompt_tokens"], 5)

    run(test)


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("door", ["chat/completions", "completions"])
def test_stream(door: str, usage: bool) -> None:
    """A stream's chunks carry running digests, its end the receipt over them; usage comes last where asked for."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        chat = door == "chat/completions"
        asked: dict[str, Any] = CHAT if chat else {"model": "test/words", "prompt": "say it", "max_tokens": 5}
        body = chat_body() if chat else effective.completion(asked, TEXT_ID)
        more = {"stream": True} | ({"stream_options": {"include_usage": True}} if usage else {})
        found = await http.post(f"/v1/{door}", json=asked | more, headers=header(market, body))

        told = events(found.text)
        answer = next(answer_from_json(each["paraph"]) for each in told if "receipt" in each.get("paraph", {}))
        link = stream_start(answer.receipt.receipt.request_hash)
        for each in told[:5]:
            link = stream_next(link, each["paraph"]["chunk"])
            assert each["paraph"]["digest"] == to_hex(link)
        assert link == answer.receipt.receipt.stream_digest
        texts = [
            each["choices"][0].get("delta", {}).get("content") if chat else each["choices"][0]["text"]
            for each in told[:5]
        ]
        assert "".join(texts) == answer.response["text"]
        assert told[5]["choices"][0]["finish_reason"] == "length"
        assert [each["usage"]["completion_tokens"] for each in told[6:]] == ([5] if usage else [])
        assert found.text.endswith("data: [DONE]\n\n")

    run(test)


def test_stop_text() -> None:
    """A stop text ends the answer before it."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        whole = (await http.post("/v1/chat/completions", json=CHAT, headers=header(market, chat_body()))).json()
        words = whole["choices"][0]["message"]["content"].split()
        asked = {**CHAT, "stop": words[2]}
        found = await http.post(
            "/v1/chat/completions", json=asked, headers=header(market, chat_body(stop=words[2]), key=b"2")
        )

        choice = found.json()["choices"][0]
        assert words[2] not in choice["message"]["content"] or choice["finish_reason"] == "length"

    run(test)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(encoding: str) -> None:
    """Embeddings come as floats or base64, the same vectors."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        body = effective.embeddings({"input": ["a", "b"]}, TEXT_ID)
        asked = {"model": "test/words", "input": ["a", "b"], "encoding_format": encoding}
        found = (await http.post("/v1/embeddings", json=asked, headers=header(market, body))).json()

        vectors = [each["embedding"] for each in found["data"]]
        if encoding == "base64":
            vectors = [list(struct.unpack("<8f", base64.b64decode(each))) for each in vectors]
        assert [len(each) for each in vectors] == [8, 8]
        assert found["usage"] == {"prompt_tokens": 2, "total_tokens": 2}

    run(test)


@pytest.mark.parametrize(
    ("door", "asked", "named"),
    [
        ("chat/completions", {**CHAT, "logit_bias": {}}, "logit_bias"),
        ("chat/completions", {**CHAT, "n": 2}, "n"),
        ("chat/completions", {**CHAT, "tools": [{"type": "function"}]}, "tool_choice, tools"),
        ("chat/completions", {**CHAT, "response_format": {"type": "json_object"}}, "response_format"),
        ("chat/completions", {**CHAT, "max_tokens": 0}, "max_tokens"),
        ("chat/completions", {**CHAT, "max_tokens": 1 << 30}, "max_tokens"),
        ("chat/completions", {**CHAT, "max_tokens": 4, "max_completion_tokens": 5}, "max_tokens"),
        ("chat/completions", {**CHAT, "temperature": 3}, "temperature"),
        ("chat/completions", {**CHAT, "stop": ""}, "stop"),
        ("chat/completions", {**CHAT, "stream": "yes"}, "stream"),
        ("chat/completions", {**CHAT, "stream_options": {"include_usage": True}}, "stream_options"),
        ("chat/completions", {**CHAT, "stream": True, "stream_options": {"odd": 1}}, "stream_options"),
        ("chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": 1}}, "stream_options"),
        ("completions", {"model": "test/words", "prompt": "a", "echo": True}, "echo"),
        ("embeddings", {"model": "test/words", "input": "a", "dimensions": 3}, "dimensions"),
        ("embeddings", {"model": "test/words", "input": "a", "stream": True}, "stream"),
        ("embeddings", {"model": "test/words", "input": "a", "encoding_format": "hex"}, "encoding_format"),
        ("embeddings", {"model": "test/words", "input": "a", "inputs": "b"}, "inputs"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else None,
)
def test_refused_parameters_are_named(door: str, asked: dict[str, Any], named: str) -> None:
    """What cannot be honoured is refused with a 400 that names it, before anything is quoted; it is never dropped."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        found = await http.post(f"/v1/{door}", json=asked)

        assert (found.status_code, found.json()["error"]["param"]) == (400, named)
        assert market.service._jobs == {}

    run(test)


# --- the Open Inference Protocol ---------------------------------------------------------------------------------


def test_protocol_says_what_it_serves() -> None:
    """Server, health and model pages are there; a language model is no tensor model."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        assert (await http.get("/v2")).json()["name"] == "paraph"
        assert (await http.get("/v2/health/live")).json() == {"live": True}
        assert (await http.get("/v2/health/ready")).status_code == 200
        model = (await http.get("/v2/models/test/rows")).json()
        assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
        assert model["versions"] == [to_hex(TENSOR_ID)]
        assert (await http.get("/v2/models/test/rows/ready")).json() == {"ready": True}
        assert (await http.get("/v2/models/nobody/ready")).status_code == 404
        assert (await http.get("/v2/models/test/words")).status_code == 400
        market.outbox.failure = Unavailable("store.full", "full")
        assert (await http.get("/v2/health/ready")).status_code == 503

    run(test)


VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**53 - 1],
    "INT8": [-128, 127],
    "INT16": [-32768, 32767],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**53) + 1, 2**53 - 1],
    "FP16": [-1.5, 65504],
    "BF16": [-1.5, 3],
    "FP32": [-1.5, 0.1],
    "FP64": [-1e15, 1e-300],
    "BYTES": ["", "héllo"],
}


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_goes_in_and_comes_out(datatype: str) -> None:
    """Every datatype is taken as JSON values, and comes back as JSON values and as exact bytes."""
    assert VALUES.keys() == {*FORMATS, "BF16", "BYTES"}
    spec = (TensorSpec("x", datatype, (-1,)),)

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        values = VALUES[datatype]
        body = effective.infer((pack("x", datatype, (2,), values),), (), TENSOR_ID)
        asked = {"id": "mine", "inputs": [{"name": "x", "datatype": datatype, "shape": [2], "data": values}]}
        found = await http.post("/v2/models/test/rows/infer", json=asked, headers=header(market, body))

        assert found.status_code == 200, found.text
        shown = found.json()
        assert shown["id"] == "mine"
        output = shown["outputs"][0]
        assert (output["name"], output["datatype"], output["shape"]) == ("y", datatype, [2])
        exact = shown["paraph"]["response"]["outputs"][0]
        if output["data"] is not None:
            again = pack("y", datatype, (2,), output["data"])
            assert base64.b64encode(again.data).decode() == exact["data"]

    run(test, tensor=FakeTensorEngine(spec, (TensorSpec("y", datatype, (-1,)),)))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "json.shape"),
        ({"inputs": []}, "request.parameter"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3]}]}, "tensor.data"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[1], [2, 3, 4]]}]}, "tensor.data"),
        ({"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": [1]}]}, "tensor.data"),
        ({"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [128]}]}, "tensor.data"),
        ({"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1.5]}]}, "tensor.data"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": [1]}]}, "json.shape"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1] * 17, "data": [1]}]}, "json.shape"),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "parameters": {}}]},
            "request.unknown_parameter",
        ),
        ({"inputs": [], "parameters": {}}, "request.unknown_parameter"),
        ({"inputs": [], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, "request.parameter"),
        ({"inputs": [], "outputs": [{}]}, "request.parameter"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}], "id": 7}, "json.shape"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else None,
)
def test_wrong_inputs_are_refused(asked: dict[str, Any], code: str) -> None:
    """Tensors of a wrong shape, datatype or count, and members that are not understood, are refused before any work."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        found = await http.post("/v2/models/test/rows/infer", json=asked, headers=header(market, rows_body()))

        assert found.status_code == 400
        assert found.json()["error"]["code"] in (code, "request.unknown_parameter", "json.shape")
        assert market.promised == 0

    run(test)


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        (pack("y", "FP32", (1, 4), [1, 2, 3, 4]), "engine.input_name"),
        (pack("x", "FP64", (1, 4), [1, 2, 3, 4]), "engine.input_dtype"),
        (pack("x", "FP32", (1, 3), [1, 2, 3]), "engine.input_shape"),
    ],
    ids=["name", "datatype", "shape"],
)
def test_inputs_that_the_model_does_not_take(tensor: Any, code: str) -> None:
    """Inputs of another name, datatype or shape than the model's are refused, and cost nothing."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        body = effective.infer((tensor,), (), TENSOR_ID)
        found = await http.post("/paraph/v1/answer", json=market.message(body))

        assert (found.status_code, found.json()["error"]["code"]) == (400, code)
        assert market.promised == 0

    run(test)


def test_numbers_that_json_has_not() -> None:
    """Outputs that JSON cannot say stand in the exact bytes only, and the reply says where."""

    class Strange(FakeTensorEngine):
        async def infer(self, inputs: Any, outputs: Any) -> Any:
            return (
                Tensor("nan", "FP32", (1,), b"\x00\x00\xc0\x7f"),
                Tensor("raw", "BYTES", (1,), b"\x01\x00\x00\x00\xff"),
            )

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        asked = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0]}]}
        found = (await http.post("/v2/models/test/rows/infer", json=asked, headers=header(market, rows_body()))).json()

        assert [each["data"] for each in found["outputs"]] == [None, None]
        assert found["outputs"][0]["parameters"] == {"binary_in": "paraph.response.outputs"}

    run(test, tensor=Strange())


# --- the native door ---------------------------------------------------------------------------------------------


def test_outcomes() -> None:
    """What became of a request: unknown, pending, settled."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        signed = market.sign(chat_body())
        place = f"/paraph/v1/outcome/{to_hex(ALICE.address)}/{to_hex(signed.request.key)}"
        first = (await http.get(place)).json()["outcome"]
        first_bytes = (await http.post("/paraph/v1/answer", json=market.message(chat_body()))).content
        second = (await http.get(place)).json()["outcome"]
        await market.settler.settle_pending()
        third = (await http.get(place)).json()["outcome"]
        again = (await http.post("/paraph/v1/answer", json=market.message(chat_body()))).content

        assert (first, second, third) == ("unknown", "pending", "settled batch 1")
        assert first_bytes == again
        assert (await http.get("/paraph/v1/outcome/0x12/0x34")).status_code == 400

    run(test)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"chain_id": 1}, 400, "request.chain_id"),
        ({"node": BOB.address}, 400, "request.node"),
        ({"deadline": 1}, 400, "request.expired"),
        ({"deadline": 2**40}, 400, "request.deadline"),
        ({"signer": BOB}, 402, "request.signature"),
        ({"max_price": 1}, 402, "request.cap"),
        ({"payer": BOB, "signer": BOB}, 402, "escrow.empty"),
        ({"model_id": bytes(32)}, 400, "request.body"),
    ],
    ids=str,
)
def test_refusals_have_their_status(changes: dict[str, Any], status: int, code: str) -> None:
    """Each refusal of a signed request has its HTTP status and stable code, and costs nothing."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        found = await http.post("/paraph/v1/answer", json=market.message(chat_body(), **changes))

        assert (found.status_code, found.json()["error"]["code"]) == (status, code)
        assert market.promised == 0

    run(test)


def test_key_reused_is_a_conflict() -> None:
    """The same key for another body is 409."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        await http.post("/paraph/v1/answer", json=market.message(chat_body()))
        found = await http.post("/paraph/v1/answer", json=market.message(chat_body("other")))

        assert (found.status_code, found.json()["error"]["code"]) == (409, "request.key_reused")

    run(test)


def test_full_queue_says_when_to_come_back() -> None:
    """Beyond the queue the answer is 429 with Retry-After."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        engine = market.text
        assert isinstance(engine, SlowText)
        for number in range(QUEUE_PAYER_MAX):
            market.service.start(market.sign(chat_body(), key=bytes([number])), chat_body())
        found = await http.post("/paraph/v1/answer", json=market.message(chat_body(), key=b"one more"))
        engine.let(10_000)

        assert (found.status_code, found.json()["error"]["code"]) == (429, "node.busy")
        assert int(found.headers["retry-after"]) >= 1

    run(test, text=SlowText())


def test_death_in_a_stream_is_told() -> None:
    """An engine that dies in a stream ends it with a typed error and no receipt; before the first chunk it is a 503."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        late = await http.post("/paraph/v1/answer", json=market.message(chat_body(), stream=True))
        market.text.after = 0  # type: ignore[attr-defined]
        early = await http.post("/paraph/v1/answer", json=market.message(chat_body(), stream=True, key=b"2"))

        assert [*events(late.text)[-1]] == ["error"]
        assert early.status_code == 503
        assert market.promised == 0

    run(test, text=DyingText(3, Unavailable("engine.died", "killed")))


# --- disconnects -------------------------------------------------------------------------------------------------


class Wire:
    """One ASGI request whose client can go away."""

    def __init__(self, path: str, body: Any) -> None:
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self._first = True
        self._body = json.dumps(body).encode()
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(b"content-type", b"application/json")],
            "server": ("node.test", 80),
            "client": ("me", 1),
        }

    async def receive(self) -> Any:
        if self._first:
            self._first = False
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("events_before", [0, 1, 3])
def test_client_that_goes_away_is_charged_for_what_was_made(stream: bool, events_before: int) -> None:
    """When the client hangs up, before the first chunk or after, generation stops and only what was made is charged."""

    async def test(market: Market, _: httpx.AsyncClient) -> None:
        engine = market.text
        assert isinstance(engine, SlowText)
        body = chat_body(max_tokens=100)
        wire = Wire("/paraph/v1/answer", market.message(body, stream=stream))
        serving = asyncio.ensure_future(market.app(wire.scope, wire.receive, wire.send))
        await until(lambda: engine.begun == 1)
        engine.let(events_before)
        await asyncio.sleep(0.02)
        wire.gone.set()
        await asyncio.sleep(0.02)
        engine.let(2)
        async with asyncio.timeout(20):
            await serving
        await market.service.drain()

        (entry,) = market.outbox.pending(9)
        usage: Any = entry.answer.response["usage"]
        assert entry.answer.response["finish_reason"] == "cancelled"
        assert usage["output_tokens"] <= events_before + 2
        assert engine.cancelled == 1

    run(test, text=SlowText())


# --- hostile bytes -----------------------------------------------------------------------------------------------

DOORS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v2/models/test/rows/infer", "/paraph/v1/answer")
JUNK: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "truncated": (b'{"model": "test/wo', 400),
    "a list": (b"[]", 400),
    "deep": (b"[" * 100_000, 400),
    "deep object": (b'{"a":' * 100 + b"1" + b"}" * 100, 400),
    "duplicate keys": (b'{"model": "a", "model": "b"}', 400),
    "not UTF-8": (b'{"model": "\xff"}', 400),
    "lone surrogate": (b'{"model": "\\ud800"}', 400),
    "NaN": (b'{"model": NaN}', 400),
    "infinity": (b'{"temperature": 1e999}', 400),
    "huge integer": (b'{"max_tokens": ' + b"9" * 5000 + b"}", 400),
    "oversized": (b'{"model": "' + b"x" * JSON_BYTES_MAX + b'"}', 413),
}


@pytest.mark.parametrize("name", JUNK)
def test_hostile_bodies(name: str) -> None:
    """No body of bytes, at any door, gets anything but a typed error of ours."""
    data, status = JUNK[name]

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        for door in DOORS:
            found = await http.post(door, content=data)

            assert found.status_code == status, (door, found.text)
            assert found.json()["error"]["type"] in ("malformed", "rejected")

    run(test)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "e30=",
        "W10=",
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b'{"a":' * 40).decode(),
        "A" * 9000,
        "é",
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_hostile_headers(text: str) -> None:
    """A payment header that is not base64 of a signed request is malformed."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        found = await http.post("/v1/chat/completions", json=CHAT, headers={b"paraph-request": text.encode()})

        assert (found.status_code, found.json()["error"]["type"]) == (400, "malformed")

    run(test)


@contextmanager
def shared() -> Iterator[tuple[asyncio.Runner, Market]]:
    with asyncio.Runner() as runner:
        yield runner, Market(opened())


NAMES = (
    "model messages prompt input inputs outputs stream stream_options request body id kind max_tokens n role content"
    " name datatype shape data tools stop"
).split()
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "test/words", "test/rows", "user", "chat", "infer", "FP32", "x", "0x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(DOORS), st.dictionaries(st.sampled_from(NAMES), TREES, max_size=8)), min_size=1)
)
def test_any_json_gets_a_typed_error(calls: list[tuple[str, Any]]) -> None:
    """Whatever JSON a stranger sends, no door fails: each reply is a quote or a typed error, never a 500."""
    with shared() as (runner, market):

        async def ask() -> list[httpx.Response]:
            async with market.door() as http:
                return [
                    await http.post(door, json={"model": "test/words", **body} if "v1" in door else body)
                    for door, body in calls
                ]

        for found in runner.run(ask()):
            assert found.status_code in (400, 402, 404), found.text
            assert found.json()["error"]["code"]
        runner.run(market.close())


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(DOORS), st.binary(max_size=60)), min_size=1))
def test_any_bytes_get_a_typed_error(calls: list[tuple[str, bytes]]) -> None:
    """The same for bytes that are not even JSON."""
    with shared() as (runner, market):

        async def ask() -> list[httpx.Response]:
            async with market.door() as http:
                return [await http.post(door, content=data) for door, data in calls]

        assert all(found.status_code in (400, 404) for found in runner.run(ask()))
        runner.run(market.close())


def test_escrow_is_enough_for_the_tests() -> None:
    """The market's payer can pay for what these tests ask."""
    assert opened().escrow(ALICE.address) == OPG
