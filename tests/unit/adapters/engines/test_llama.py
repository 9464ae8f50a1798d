"""Language models answer the same, tell every token, and come back after a death."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.standard.real_models import language_model
from tests.unit.adapters.engines.small_files import gguf

from paraph.adapters.engines.llama import RANDOM_SEED, LlamaEngine, open_llama
from paraph.core.encode import JsonObject, decode
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.flows.ports import Finish, Given, Piece, TextEvent


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner) -> Iterator[LlamaEngine]:
    engine = runner.run(open_llama(language_model(), context_tokens=256, slots=2, embeddings=True))
    yield engine
    runner.run(engine.close())


def chat(text: str = "Say hello in French.", **more: Any) -> JsonObject:
    messages = [{"role": "user", "content": text}]
    return {"kind": "chat", "model": "m", "messages": messages, "max_tokens": 12, "temperature": 0, **more}


def completion(prompt: str, **more: Any) -> JsonObject:
    return {"kind": "completion", "model": "m", "prompt": prompt, "max_tokens": 12, "temperature": 0, **more}


async def answer(engine: LlamaEngine, request: JsonObject) -> list[TextEvent]:
    return [event async for event in engine.generate(request)]


def fails(runner: asyncio.Runner, engine: LlamaEngine, request: JsonObject) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        runner.run(answer(engine, request))
    return caught.value


def said(events: list[TextEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def ids(events: list[TextEvent]) -> list[int]:
    return [token for event in events if isinstance(event, Piece) for token in event.token_ids]


def test_what_stood_before_the_model_is_told(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """The rendered text and its token ids, special tokens as tokens."""
    given = runner.run(answer(engine, chat()))[0]

    assert isinstance(given, Given)
    assert given.token_ids is not None
    assert given.text.endswith("<|im_start|>user\nSay hello in French.<|im_end|>\n<|im_start|>assistant\n")
    assert given.token_ids[:2] == (1, 9690)
    assert given.token_ids.count(2) == 2


def test_bits_do_not_depend_on_what_came_before(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """Token ids and log-probabilities are equal in a fresh process and in a used one, alone and among others."""
    request = chat(logprobs=True, top_logprobs=3, temperature=0.9, seed=5)
    used = runner.run(answer(engine, request))
    runner.run(answer(engine, chat("Say hello in French, and then in German.")))

    async def fresh() -> list[TextEvent]:
        other = await open_llama(language_model(), context_tokens=256, slots=2)
        try:
            return await answer(other, request)
        finally:
            await other.close()

    async def among() -> list[TextEvent]:
        return (await asyncio.gather(answer(engine, request), answer(engine, completion("One"))))[0]

    assert runner.run(answer(engine, request)) == used
    assert runner.run(among()) == used
    assert runner.run(fresh()) == used


def test_ids_of_characters_made_of_several_tokens_are_told(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """The server's stream keeps them to itself; the answer has them all, even when it ends within a character."""
    events = runner.run(answer(engine, completion("Smileys: 😀😀😀😀😀", max_tokens=8)))

    end = events[-1]
    assert isinstance(end, Finish)
    assert len(ids(events)) == end.output_tokens == 8
    assert said(events) == "😀😀"


def test_a_stop_string_ends_the_work(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """Tokens are counted up to the one that completes the stop string."""
    events = runner.run(answer(engine, chat(stop=["onj"], max_tokens=100)))

    assert said(events) == "B"
    assert events[-1] == Finish("stop", 35, 2)
    assert len(ids(events)) == 2


def test_the_models_own_end_is_a_stop(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """An end-of-sequence token is counted and told, and has no text."""
    events = runner.run(answer(engine, chat("Reply with one word: yes or no?", max_tokens=150)))

    end = events[-1]
    assert isinstance(end, Finish)
    assert end.reason == "stop"
    assert ids(events)[-1] == 2
    assert "<|im_end|>" not in said(events)


def test_prompt_and_answer_must_fit_the_context(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """The edge is allowed, one past it is refused with the numbers."""
    fits = completion("a", max_tokens=255, stop=[" "])
    runner.run(answer(engine, fits))

    error = fails(runner, engine, {**fits, "max_tokens": 256})

    assert (type(error), error.code) == (Rejected, "engine.context")
    assert error.facts == {"prompt_tokens": 1, "max_tokens": 256, "context_tokens": 256}


def test_a_prompt_beyond_the_context_is_refused(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """Before anything runs."""
    error = fails(runner, engine, completion("word " * 1000))

    assert error.code == "engine.context"
    assert error.facts["prompt_tokens"] == 1001


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (completion(""), "engine.request"),
        (chat(seed=RANDOM_SEED), "engine.seed"),
        (chat(tools=[]), "engine.parameter"),
        (chat(response_format={"type": "yaml"}), "engine.schema"),
        (
            {**chat(), "messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
            "engine.parameter",
        ),
    ],
    ids=["empty", "random seed", "tools", "schema", "tool message"],
)
def test_what_is_not_honoured_is_refused(
    engine: LlamaEngine, runner: asyncio.Runner, request_: JsonObject, code: str
) -> None:
    """Nothing is dropped in silence."""
    error = fails(runner, engine, request_)

    assert (type(error), error.code) == (Rejected, code)


def test_an_answer_keeps_to_a_schema(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """`response_format` is held by a grammar."""
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}

    found = decode(said(runner.run(answer(engine, chat(response_format=form, max_tokens=100)))).encode())

    assert isinstance(found, dict)
    assert found["mood"] in ("good", "bad")


def test_penalties_and_limits_of_the_sampler_are_heard(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """Each member changes an answer that depends on it."""
    base = completion("a a a a a a a a", temperature=1.5, seed=3)
    plain = said(runner.run(answer(engine, base)))

    for more in (
        {"top_k": 1},
        {"top_p": 0.05},
        {"min_p": 0.9},
        {"repeat_penalty": 5.0},
        {"presence_penalty": 2.0},
        {"seed": 4},
    ):
        assert said(runner.run(answer(engine, {**base, **more}))) != plain, more


def test_embeddings_have_length_one(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """One vector a text, the same for the same text."""
    vectors, tokens = runner.run(engine.embed(("hello", "world", "hello")))

    assert len(vectors) == 3
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-4)
    assert tokens == 3


def test_no_stranger_on_this_machine_can_ask(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """The server's port asks for the key of this start."""
    address = runner.run(engine._sandbox.started())["address"]

    with httpx.Client(trust_env=False) as client:
        assert client.post(f"{address}/completion", json={"prompt": "x", "n_predict": 1}).status_code == 401


def test_a_killed_server_is_unavailable_once(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """Mid-stream: the answer ends with an error, the next request has a fresh server and the same answer."""
    whole = runner.run(answer(engine, chat()))

    async def kill() -> int:
        seen = 0
        async for event in engine.generate(completion("One two three", max_tokens=200)):
            seen += isinstance(event, Piece)
            if seen == 3:
                assert engine.worker_pid is not None
                os.kill(engine.worker_pid, signal.SIGKILL)
        return seen

    with pytest.raises(Unavailable) as caught:
        runner.run(kill())

    assert caught.value.code == "engine.died"
    assert runner.run(answer(engine, chat())) == whole


def test_closing_an_answer_stops_the_work(engine: LlamaEngine, runner: asyncio.Runner) -> None:
    """With every slot taken by answers that were left, a new request is served at once."""

    async def leave_and_ask() -> list[TextEvent]:
        for _ in range(3):
            async with aclosing(engine.generate(completion("One two three", max_tokens=240))) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Piece):
                        break
        return await asyncio.wait_for(answer(engine, chat(max_tokens=2)), 3)

    assert len(runner.run(leave_and_ask())) == 4


def test_the_profile_names_what_can_change_bits(engine: LlamaEngine) -> None:
    """Quantised weights with flash attention share batches without changing bits."""
    profile = engine.profile

    assert (profile.engine, profile.flash_attention, profile.kv_type) == ("llama.cpp", "on", "f16")
    assert (profile.batch_class, profile.bit_exact, profile.threads) == ("invariant", "yes", 1)
    assert profile.sampler == "penalties;top_k;top_p;min_p;temperature"
    assert profile.chat_template_digest == "0x872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"


def test_more_context_than_the_model_was_trained_for_is_refused(runner: asyncio.Runner) -> None:
    """Beyond it, models talk nonsense."""
    with pytest.raises(Rejected) as caught:
        runner.run(open_llama(language_model(), context_tokens=8193))

    assert caught.value.code == "engine.context"


def test_a_header_without_a_model_is_refused(runner: asyncio.Runner, tmp_path: Path) -> None:
    """It passes the inspection, and llama.cpp cannot load it."""
    (tmp_path / "m.gguf").write_bytes(gguf())

    with pytest.raises(Rejected) as caught:
        runner.run(open_llama(tmp_path / "m.gguf"))

    assert caught.value.code == "engine.model"


def test_a_template_that_loops_does_not_stop_the_node(runner: asyncio.Runner) -> None:
    """The request is refused, completions still work."""
    template = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"

    async def work() -> tuple[str, list[TextEvent]]:
        engine = await open_llama(language_model(), context_tokens=256, slots=1, chat_template=template)
        try:
            with pytest.raises(Rejected) as caught:
                await answer(engine, chat())
            return caught.value.code, await answer(engine, completion("One", max_tokens=1))
        finally:
            await engine.close()

    code, events = runner.run(work())

    assert (code, len(events)) == ("engine.template_limit", 3)


def test_a_model_without_a_template_does_not_chat(runner: asyncio.Runner) -> None:
    """It completes."""

    async def work() -> str:
        engine = await open_llama(language_model(), context_tokens=256, slots=1, chat_template="")
        try:
            with pytest.raises(Rejected) as caught:
                await answer(engine, chat())
            return caught.value.code
        finally:
            await engine.close()

    assert runner.run(work()) == "engine.no_template"
