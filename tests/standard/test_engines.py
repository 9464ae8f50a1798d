"""What every engine does, whatever runs inside it: the fakes pass the same claims as the real ones."""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import aclosing
from typing import cast

import pytest
from tests.standard.real_models import language_model
from tests.standard.small_models import double

from paraph.adapters.engines.llama import open_llama
from paraph.adapters.engines.onnx import open_onnx
from paraph.adapters.engines.openai_upstream import Upstream, open_upstream
from paraph.adapters.fakes.engines import FakeTensorEngine, FakeTextEngine
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected
from paraph.core.tensor import Tensor
from paraph.flows.ports import Finish, Given, Piece, TensorEngine, TextEngine, TextEvent
from paraph.proofs.profile import profile_from_json

CHAT: JsonObject = {
    "kind": "chat",
    "model": "m",
    "messages": [{"role": "user", "content": "Count to ten."}],
    "max_tokens": 8,
    "temperature": 0,
    "seed": 7,
}
COMPLETION: JsonObject = {
    "kind": "completion",
    "model": "m",
    "prompt": "One two three",
    "max_tokens": 8,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=["fake", "llama", "upstream"])
def text_engine(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[TextEngine]:
    if request.param == "fake":
        yield FakeTextEngine()
        return
    llama = runner.run(open_llama(language_model(), context_tokens=256, slots=2))
    engine: TextEngine = llama
    if request.param == "upstream":
        address = runner.run(llama._sandbox.started())["address"]
        upstream = Upstream(f"{address}/v1", "model", 256, api_key=llama._key)
        engine = runner.run(open_upstream(upstream))
    yield engine
    runner.run(engine.close())  # type: ignore[arg-type]
    runner.run(llama.close())


@pytest.fixture(scope="module", params=["fake", "onnx"])
def tensor_engine(
    request: pytest.FixtureRequest, runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TensorEngine]:
    if request.param == "fake":
        yield FakeTensorEngine()
        return
    engine = runner.run(open_onnx(double(tmp_path_factory.mktemp("onnx") / "double.onnx")))
    yield engine
    runner.run(engine.close())


async def answer(engine: TextEngine, request: JsonObject) -> list[TextEvent]:
    return [event async for event in engine.generate(request)]


def refusal(runner: asyncio.Runner, engine: TextEngine, request: JsonObject) -> Rejected:
    seen: list[TextEvent] = []

    async def ask() -> None:
        seen.extend([event async for event in engine.generate(request)])

    with pytest.raises(Rejected) as caught:
        runner.run(ask())
    assert seen == []
    return caught.value


def said(events: list[TextEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def rows(count: int) -> Tensor:
    return Tensor("x", "FP32", (count, 4), struct.pack(f"<{count * 4}f", *range(count * 4)))


@pytest.mark.parametrize("request_", [CHAT, COMPLETION], ids=["chat", "completion"])
def test_an_answer_is_given_then_pieces_then_finish(
    text_engine: TextEngine, runner: asyncio.Runner, request_: JsonObject
) -> None:
    """One `Given` comes first, one `Finish` last, and between them only pieces."""
    events = runner.run(answer(text_engine, request_))

    assert isinstance(events[0], Given)
    assert all(isinstance(event, Piece) for event in events[1:-1])
    assert isinstance(events[-1], Finish)


def test_max_tokens_is_kept(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """No more tokens are made than asked for, and the reason says so."""
    events = runner.run(answer(text_engine, {**CHAT, "max_tokens": 3}))

    end = events[-1]
    assert isinstance(end, Finish)
    assert (end.reason, end.output_tokens) == ("length", 3)


def test_token_ids_are_all_told_or_not_at_all(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """Where an engine knows token ids, there are as many as it counts, on both sides."""
    events = runner.run(answer(text_engine, CHAT))

    given, end = events[0], events[-1]
    assert isinstance(given, Given)
    assert isinstance(end, Finish)
    ids = [token for event in events if isinstance(event, Piece) for token in event.token_ids]
    if given.token_ids is None:
        assert ids == []
    else:
        assert (len(given.token_ids), len(ids)) == (end.input_tokens, end.output_tokens)


def test_text_ends_before_the_stop_string(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """Text is cut exactly before the first stop string, which may begin in the middle of a token."""
    whole = said(runner.run(answer(text_engine, CHAT)))
    stop = whole[5:9]

    events = runner.run(answer(text_engine, {**CHAT, "stop": [stop]}))

    end = events[-1]
    assert isinstance(end, Finish)
    assert end.reason == "stop"
    assert said(events) == whole[: whole.index(stop)]


def test_a_stop_string_that_does_not_come_takes_nothing(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """Text held back because a stop string might begin is shown when the answer ends."""
    if text_engine.profile.engine == "openai-upstream":
        pytest.skip("llama.cpp's server keeps such text to itself; what an upstream sends is passed on as it is")
    whole = said(runner.run(answer(text_engine, CHAT)))

    events = runner.run(answer(text_engine, {**CHAT, "stop": [whole[-3:] + "no such text"]}))

    assert said(events) == whole


def test_logprobs_spell_the_text(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """The entries' bytes, joined, are the text; each has as many alternatives as asked for."""
    events = runner.run(answer(text_engine, {**CHAT, "logprobs": True, "top_logprobs": 1}))

    entries = [entry for event in events if isinstance(event, Piece) for entry in event.logprobs]
    spelled = b"".join(bytes(cast("list[int]", entry["bytes"])) for entry in entries)
    assert spelled.decode() == said(events)
    assert all(len(entry["top_logprobs"]) == 1 for entry in entries)  # type: ignore[arg-type]
    assert all(entry.keys() == {"token", "logprob", "bytes", "top_logprobs"} for entry in entries)


def test_the_same_request_has_the_same_answer(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """A bit-exact engine repeats every event, whatever it did between and does beside."""
    request = {**CHAT, "temperature": 1.2, "logprobs": True, "top_logprobs": 2}
    if text_engine.profile.bit_exact != "yes":
        pytest.skip("this engine promises nothing about bits")
    first = runner.run(answer(text_engine, request))

    async def among_others() -> list[list[TextEvent]]:
        others = [answer(text_engine, {**COMPLETION, "seed": seed}) for seed in range(3)]
        return await asyncio.gather(answer(text_engine, request), *others)

    assert runner.run(among_others())[0] == first


def test_the_seed_chooses_the_answer(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """Seeds are heard: with high temperature, other seeds give other answers."""
    texts = {said(runner.run(answer(text_engine, {**CHAT, "temperature": 2.0, "seed": seed}))) for seed in range(4)}

    assert len(texts) > 1


def test_an_unknown_parameter_is_refused(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """What an engine does not honour it refuses, before anything else."""
    error = refusal(runner, text_engine, {**CHAT, "logit_bias": {}})

    assert error.code == "engine.parameter"


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"max_tokens": 0}, {"stop": [""]}, {"seed": 2**32}], ids=str)
def test_a_value_out_of_range_is_refused(text_engine: TextEngine, runner: asyncio.Runner, wrong: JsonObject) -> None:
    """A known parameter with a value out of its range is refused."""
    assert refusal(runner, text_engine, {**CHAT, **wrong}).code == "engine.request"


def test_more_than_the_context_is_refused(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """Prompt and answer must fit into the context together; the numbers are told."""
    error = refusal(runner, text_engine, {**CHAT, "max_tokens": text_engine.context_tokens})

    assert error.code == "engine.context"
    assert error.facts["context_tokens"] == text_engine.context_tokens


def test_closing_an_answer_frees_the_engine(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """Whoever closes the iterator early may ask again at once."""

    async def leave() -> None:
        for _ in range(4):
            async with aclosing(text_engine.generate({**COMPLETION, "max_tokens": 200})) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Piece):
                        break

    runner.run(asyncio.wait_for(leave(), 20))

    assert runner.run(asyncio.wait_for(answer(text_engine, CHAT), 20))


def test_a_text_profile_reads_back(text_engine: TextEngine) -> None:
    """The profile survives its JSON form."""
    assert profile_from_json(text_engine.profile.as_json()) == text_engine.profile


def test_embeddings_are_given_or_refused(text_engine: TextEngine, runner: asyncio.Runner) -> None:
    """One vector a text, or a refusal by the one code."""

    async def embed() -> tuple[tuple[tuple[float, ...], ...], int]:
        return await text_engine.embed(("one", "two"))

    if isinstance(text_engine, FakeTextEngine):
        vectors, tokens = runner.run(embed())
        assert len(vectors) == 2
        assert tokens > 0
    else:
        with pytest.raises(Rejected, match=r"engine\.no_embeddings"):
            runner.run(embed())


def infer(
    runner: asyncio.Runner, engine: TensorEngine, *inputs: Tensor, outputs: tuple[str, ...] = ()
) -> tuple[Tensor, ...]:
    async def ask() -> tuple[Tensor, ...]:
        return await engine.infer(inputs, outputs)

    return runner.run(ask())


def test_all_outputs_come_in_their_declared_order(tensor_engine: TensorEngine, runner: asyncio.Runner) -> None:
    """Naming no output asks for all."""
    found = infer(runner, tensor_engine, rows(2))

    assert [each.name for each in found] == [spec.name for spec in tensor_engine.outputs]
    assert [each.datatype for each in found] == [spec.datatype for spec in tensor_engine.outputs]


def test_outputs_come_as_asked_for(tensor_engine: TensorEngine, runner: asyncio.Runner) -> None:
    """Named outputs come in the order of the names."""
    names = tuple(spec.name for spec in reversed(tensor_engine.outputs))

    assert tuple(each.name for each in infer(runner, tensor_engine, rows(1), outputs=names)) == names


def test_the_same_tensors_give_the_same_bytes(tensor_engine: TensorEngine, runner: asyncio.Runner) -> None:
    """Equal inputs give equal bytes, whatever came between."""
    first = infer(runner, tensor_engine, rows(3))
    infer(runner, tensor_engine, rows(1))

    assert infer(runner, tensor_engine, rows(3)) == first


def test_rows_stay_rows(tensor_engine: TensorEngine, runner: asyncio.Runner) -> None:
    """A free leading side of the inputs is the outputs' too."""
    assert {each.rows for each in infer(runner, tensor_engine, rows(5))} == {5}


@pytest.mark.parametrize(
    ("tensor", "code", "expected", "got"),
    [
        (Tensor("z", "FP32", (1, 4), bytes(16)), "engine.input_name", "x", "z"),
        (Tensor("x", "FP64", (1, 4), bytes(32)), "engine.input_dtype", "FP32", "FP64"),
        (Tensor("x", "FP32", (1, 5), bytes(20)), "engine.input_shape", "[-1, 4]", "[1, 5]"),
        (Tensor("x", "FP32", (4,), bytes(16)), "engine.input_shape", "[-1, 4]", "[4]"),
    ],
    ids=["name", "dtype", "side", "rank"],
)
def test_a_wrong_input_is_refused_with_what_was_expected(
    tensor_engine: TensorEngine, runner: asyncio.Runner, tensor: Tensor, code: str, expected: str, got: str
) -> None:
    """Name, datatype and shape are checked, and the error tells both sides."""
    with pytest.raises(Rejected) as caught:
        infer(runner, tensor_engine, tensor)

    assert (caught.value.code, caught.value.facts["expected"], caught.value.facts["got"]) == (code, expected, got)


@pytest.mark.parametrize("count", [0, 2])
def test_every_input_comes_once(tensor_engine: TensorEngine, runner: asyncio.Runner, count: int) -> None:
    """A missing input and one given twice are refused."""
    with pytest.raises(Rejected) as caught:
        infer(runner, tensor_engine, *[rows(1)] * count)

    assert caught.value.code == "engine.input_name"


def test_an_unknown_output_is_refused(tensor_engine: TensorEngine, runner: asyncio.Runner) -> None:
    """Only declared outputs can be asked for."""
    with pytest.raises(Rejected) as caught:
        infer(runner, tensor_engine, rows(1), outputs=("nothing",))

    assert caught.value.code == "engine.output_name"


def test_a_tensor_profile_reads_back(tensor_engine: TensorEngine) -> None:
    """The profile survives its JSON form."""
    assert profile_from_json(tensor_engine.profile.as_json()) == tensor_engine.profile
