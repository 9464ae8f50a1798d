"""Chat templates render as Hugging Face's do, and what they do to us is bounded."""

import asyncio

import pytest

from paraph.adapters.engines.template import ChatTemplate
from paraph.core.errors import Rejected

MESSAGES = ({"role": "user", "content": "hi <b>"}, {"role": "assistant", "content": "yo"})


def render(text: str, deadline_s: float = 10.0) -> str:
    async def run() -> str:
        template = ChatTemplate(text, bos="<s>", eos="</s>", deadline_s=deadline_s)
        try:
            return await template.render(MESSAGES)
        finally:
            await template.close()

    return asyncio.run(run())


def refusal(text: str, deadline_s: float = 10.0) -> Rejected:
    with pytest.raises(Rejected) as caught:
        render(text, deadline_s)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for m in messages %}\n{{ m.role }}\n{% endfor %}", "user\nassistant\n"),
        ("{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}", "<s>hi <b></s>"),
        ("  {% if add_generation_prompt %}go{% endif %}", "go"),
        ("{{ {'b': 'é', 'a': 1} | tojson }}", '{"b": "é", "a": 1}'),
        ("{% for m in messages %}{% break %}{% endfor %}x", "x"),
        ("{{ tools }}{{ documents }}", "NoneNone"),
        ("{{ 'then' if strftime_now is defined else 'no clock' }}", "no clock"),
    ],
    ids=["trim", "tokens", "lstrip", "tojson", "break", "none", "clock"],
)
def test_templates_have_the_usual_tools(text: str, expected: str) -> None:
    """Trimmed blocks, special tokens, `tojson`, loop controls; and no clock."""
    assert render(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
        "{{ ('a' * 9999999) * (messages | length) * 500 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ range(10**9) | list }}",
    ],
    ids=["time", "output", "memory", "width", "range"],
)
def test_a_template_without_end_is_refused(text: str) -> None:
    """Time, memory and output are bounded."""
    assert refusal(text, deadline_s=0.7).code == "engine.template_limit"


@pytest.mark.parametrize(
    "text",
    [
        "{% if %}",
        "{% include 'x' %}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ 1 / 0 }}",
        "{{ nothing.more }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ '\\ud800' }}",
        "{{ raise_exception('\\ud800') }}",
    ],
    ids=[
        "syntax",
        "include",
        "raise",
        "change",
        "class",
        "globals",
        "zero",
        "undefined",
        "recursion",
        "surrogate",
        "surrogate told",
    ],
)
def test_a_template_that_refuses_or_breaks_is_refused(text: str) -> None:
    """Broken templates, forbidden reaches and refusals of the template itself have one code."""
    assert refusal(text).code == "engine.template"


def test_a_refusal_tells_why() -> None:
    """What the template says to `raise_exception` reaches the caller."""
    assert "roles must alternate" in refusal("{{ raise_exception('roles must alternate') }}").message


def test_a_broken_template_is_told_at_the_start() -> None:
    """Compiling comes before the first request."""

    async def run() -> None:
        template = ChatTemplate("{% if %}")
        try:
            await template.started()
        finally:
            await template.close()

    with pytest.raises(Rejected) as caught:
        asyncio.run(run())

    assert caught.value.code == "engine.template"


def test_after_a_limit_the_next_rendering_is_fine() -> None:
    """The process that was ended is replaced."""

    async def run() -> str:
        template = ChatTemplate(
            "{% if messages | length > 1 %}"
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
            "{% endif %}fine",
            deadline_s=0.5,
        )
        try:
            with pytest.raises(Rejected):
                await template.render(MESSAGES)
            return await template.render(MESSAGES[:1])
        finally:
            await template.close()

    assert asyncio.run(run()) == "fine"
