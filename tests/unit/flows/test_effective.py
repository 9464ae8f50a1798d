"""The effective request: nothing is dropped, defaults are spelled out, and doing it twice changes nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.market import TENSOR_ID, TEXT_ID

from paraph.core.encode import canonical
from paraph.core.errors import Malformed, ParaphError, Rejected
from paraph.core.ident import to_hex
from paraph.core.limits import BODY_DEPTH_MAX
from paraph.core.tensor import Tensor
from paraph.flows import effective

HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def chat(**members: Any) -> dict[str, Any]:
    return dict(effective.chat({"messages": HI, **members}, TEXT_ID))


def test_defaults_are_spelled_out() -> None:
    """A bare request means its defaults, and says so."""
    assert chat() == {"kind": "chat", "model": to_hex(TEXT_ID), "messages": HI, **effective.DEFAULTS}


def test_null_means_the_default() -> None:
    """A parameter of null is one that was not given."""
    assert chat(temperature=None, max_tokens=None, tools=None, response_format=None) == chat()


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"stop": "end", "seed": 7, "temperature": 0.5, "logprobs": True, "top_logprobs": 3},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, *HI]},
        {"max_completion_tokens": 9},
        {"max_completion_tokens": 9, "max_tokens": 9},
        {"n": 1, "stream": True, "stream_options": {}},
    ],
    ids=str,
)
def test_twice_is_once(members: dict[str, Any]) -> None:
    """The effective form of an effective form is itself."""
    once = chat(**members)

    assert effective.effective(once, TEXT_ID) == once


def test_what_does_not_change_the_answer_is_left_out() -> None:
    """How an answer travels is no part of what is signed."""
    assert chat(stream=True, stream_options={"include_usage": True}, n=1) == chat()


def test_max_completion_tokens_is_max_tokens() -> None:
    """OpenAI's newer name means the same; two names that differ are refused, not dropped."""
    assert chat(max_completion_tokens=7) == chat(max_tokens=7)
    with pytest.raises(Malformed):
        chat(max_completion_tokens=7, max_tokens=8)


def test_text_parts_are_joined() -> None:
    """Content in parts is its text; a part that is no text is refused."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert chat(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == "ab"
    with pytest.raises(Rejected) as caught:
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])
    assert caught.value.code == "request.content"


@pytest.mark.parametrize(
    "members",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "robot", "content": "hi"}]},
        {"messages": [{"role": "user", "content": "hi", "mood": "good"}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"tool_choice": "required"},
        {"tools": [7]},
        {"tools": {"a": 1}},
        {"response_format": "json"},
        {"max_tokens": 0},
        {"max_tokens": effective.TOKENS_MAX + 1},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"temperature": 2.01},
        {"temperature": float("nan")},
        {"temperature": True},
        {"temperature": "hot"},
        {"top_p": -0.1},
        {"seed": effective.SEED_MAX + 1},
        {"logprobs": 1},
        {"top_logprobs": 2},
        {"top_logprobs": 21, "logprobs": True},
        {"stop": ""},
        {"stop": ["a", ""]},
        {"stop": ["a"] * 17},
        {"stop": [7]},
    ],
    ids=str,
)
def test_wrong_values_are_malformed(members: dict[str, Any]) -> None:
    """A value outside its range or of another kind is malformed."""
    with pytest.raises(Malformed):
        chat(**members)


@pytest.mark.parametrize("members", [{"logit_bias": {}}, {"n": 2}, {"n": None}, {"best_of": 1, "user": "me"}], ids=str)
def test_unknown_parameters_are_named(members: dict[str, Any]) -> None:
    """What is not understood is refused by name, every one of them."""
    with pytest.raises(Rejected) as caught:
        chat(**members)

    assert caught.value.code == "request.unknown_parameter"
    assert caught.value.facts["parameters"] == ", ".join(sorted(members))


def test_completion() -> None:
    """A completion takes one prompt, also as a list of one."""
    one = effective.completion({"prompt": ["tell"], "max_tokens": 3}, TEXT_ID)

    assert one["prompt"] == "tell"
    assert effective.effective(one, TEXT_ID) == one
    with pytest.raises(Malformed):
        effective.completion({"prompt": ["a", "b"]}, TEXT_ID)


def test_embeddings() -> None:
    """Embeddings take a text or a list; none, another kind or both names at once are refused."""
    one = effective.embeddings({"input": "a"}, TEXT_ID)

    assert one == {"kind": "embeddings", "model": to_hex(TEXT_ID), "inputs": ["a"]}
    assert effective.effective(one, TEXT_ID) == one
    wrongs: list[dict[str, Any]] = [{"input": []}, {"input": [1]}, {}, {"input": "a", "inputs": ["b"]}]
    for wrong in wrongs:
        with pytest.raises(Malformed):
            effective.embeddings(wrong, TEXT_ID)
    with pytest.raises(Rejected):
        effective.embeddings({"input": "a", "dimensions": 7}, TEXT_ID)


def test_infer() -> None:
    """Tensors go by name, each once, at least one and not too many."""
    tensor = Tensor("x", "UINT8", (1,), b"\1")
    body = effective.infer((tensor,), ("y",), TENSOR_ID)

    assert effective.effective(body, TENSOR_ID) == body
    assert effective.tensors_of(body) == ((tensor,), ("y",))
    for inputs, outputs in (((), ()), ((tensor, tensor), ()), ((tensor,), ("y", "y")), ((tensor,), ("y",) * 300)):
        with pytest.raises(Malformed):
            effective.infer(inputs, outputs, TENSOR_ID)
    with pytest.raises(Rejected):
        effective.effective({**body, "batch": 1}, TENSOR_ID)


@pytest.mark.parametrize("kind", [None, "poem", 7, ["chat"]], ids=str)
def test_unknown_kind(kind: Any) -> None:
    """A body of no known kind is malformed."""
    with pytest.raises(Malformed) as caught:
        effective.effective({"kind": kind}, TEXT_ID)

    assert caught.value.code == "request.kind"


def test_nesting_is_bounded() -> None:
    """A body as deep as the limit is taken, one deeper is refused: a bundle must be able to hold it."""

    def tool(depth: int) -> dict[str, Any]:
        inner: Any = 1
        for _ in range(depth):
            inner = [inner]
        return chat(tools=[{"type": "function", "deep": inner}])

    # A scalar inside n lists inside a tool stands n + 3 levels below the body.
    assert effective.chat(tool(BODY_DEPTH_MAX - 4), TEXT_ID)

    with pytest.raises(Malformed) as caught:
        effective.chat(tool(BODY_DEPTH_MAX - 3), TEXT_ID)
    assert caught.value.code == "request.depth"


def test_honourable() -> None:
    """What an engine does not know may stand at its default and is left out; otherwise all are named."""
    body = chat(temperature=0.5)

    assert effective.honourable(body, frozenset({"temperature"})) == {
        name: body[name] for name in ("kind", "model", "messages", "max_tokens", "temperature")
    }
    with pytest.raises(Rejected) as caught:
        effective.honourable(chat(temperature=0.5, tools=[TOOL], seed=3), frozenset({"temperature"}))
    assert caught.value.code == "request.unhonoured_parameter"
    assert caught.value.facts["parameters"] == "seed, tool_choice, tools"


def test_most_tokens_cover_everything_shown() -> None:
    """All of a message can be shown to the model, so all of it counts: name, tool calls, and the tools themselves."""
    long = "x" * 9_000
    calls = [{"role": "assistant", "tool_calls": [{"function": {"arguments": long}}]}]

    assert effective.tokens_most(chat(messages=calls))[0] > 9_000
    assert effective.tokens_most(chat(tools=[{"function": {"description": long}}]))[0] > 9_000
    assert effective.tokens_most(effective.completion({"prompt": long}, TEXT_ID))[0] > 9_000
    assert effective.tokens_most(effective.embeddings({"input": ["ab", "c"]}, TEXT_ID)) == (19, 0)
    assert effective.tokens_most(chat(max_tokens=3))[1] == 3


NAMES = sorted(
    {
        *effective.DEFAULTS,
        "kind",
        "messages",
        "prompt",
        "input",
        "inputs",
        "outputs",
        "tools",
        "n",
        "tool_choice",
        "response_format",
        "odd",
    }
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.sampled_from(["", "a", "user", "chat", "infer", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "name", "datatype", "shape", "data"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(["chat", "completion", "embeddings", "infer", "poem"])


@given(KINDS, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), st.booleans())
def test_any_body_is_typed(kind: str, members: dict[str, Any], good: bool) -> None:
    """Whatever a body holds, it has an effective form that is its own effective form, or a typed error."""
    try:
        # Half of them hold what their kind needs, so that the rest of the members is read.
        needed: dict[str, Any] = {"chat": {"messages": HI}, "completion": {"prompt": "a"}, "embeddings": {"input": "a"}}
        found = effective.effective({**members, **(needed.get(kind, {}) if good else {}), "kind": kind}, TEXT_ID)
        again = effective.effective(found, TEXT_ID)
    except ParaphError:
        return

    assert canonical(again) == canonical(found)
