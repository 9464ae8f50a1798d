"""An effective request is read whole or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.adapters.engines.small_files import code_of

from paraph.adapters.engines.request import SAMPLING, read_request
from paraph.core.encode import Json
from paraph.core.errors import Rejected

HONOURED = SAMPLING | {"stop", "logprobs", "top_logprobs"}
LEAST: dict[str, Json] = {"kind": "completion", "prompt": "x", "max_tokens": 1}


def test_silence_means_off() -> None:
    """Absent sampling members have their neutral values."""
    request = read_request(LEAST, HONOURED)

    assert (request.temperature, request.top_p, request.top_k, request.min_p) == (1.0, 1.0, 0, 0.0)
    assert (request.repeat_penalty, request.presence_penalty, request.frequency_penalty) == (1.0, 0.0, 0.0)
    assert (request.stop, request.logprobs, request.top_logprobs, request.seed) == ((), False, 0, 0)


def test_what_is_not_honoured_is_refused_by_name() -> None:
    """The error tells which members."""
    with pytest.raises(Rejected) as caught:
        read_request({**LEAST, "tools": [], "n": 2}, HONOURED)

    assert (caught.value.code, caught.value.facts["got"]) == ("engine.parameter", "n, tools")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "image"},
        {"kind": None},
        {"kind": "chat"},
        {"messages": []},
        {"prompt": 3},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"temperature": -0.1},
        {"temperature": "1"},
        {"temperature": True},
        {"top_p": 1.1},
        {"top_k": -1},
        {"min_p": 2},
        {"presence_penalty": 3},
        {"repeat_penalty": 0},
        {"seed": -1},
        {"seed": 2**32},
        {"stop": "x"},
        {"stop": [""]},
        {"stop": ["x"] * 17},
        {"stop": [1]},
        {"logprobs": 1},
        {"top_logprobs": 21},
        {"model": 1},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Json]) -> None:
    """Every member has a type and a range."""
    with pytest.raises(Rejected) as caught:
        read_request({**LEAST, **wrong}, HONOURED)

    assert caught.value.code == "engine.request"


@pytest.mark.parametrize(
    "messages",
    [[], [1], [{"role": 1, "content": "x"}], [{"role": "user"}], [{"role": "user", "content": [1]}], "x"],
    ids=str,
)
def test_a_chat_has_messages_of_text(messages: Json) -> None:
    """Roles and contents are strings."""
    with pytest.raises(Rejected) as caught:
        read_request({"kind": "chat", "messages": messages, "max_tokens": 1}, HONOURED)

    assert caught.value.code == "engine.request"


def test_a_message_that_calls_tools_needs_no_content() -> None:
    """As OpenAI's own have none."""
    messages: list[Json] = [{"role": "assistant", "content": None, "tool_calls": []}]

    assert read_request({"kind": "chat", "messages": messages, "max_tokens": 1}, HONOURED).messages == tuple(messages)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["kind", "messages", "prompt", "max_tokens", *sorted(HONOURED)]), JSON))
def test_only_refusals_leave_the_reader(request: dict[str, Json]) -> None:
    """Whatever the members are, the request is read or refused."""
    assert code_of(lambda: read_request(request, HONOURED)) in ("fine", "engine.request")
