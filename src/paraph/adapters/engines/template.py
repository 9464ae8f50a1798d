"""Chat templates: from messages to the exact text before the model, rendered in confinement.

A template is a program that a stranger ships with a model. It runs in its own process with two seconds and little
memory; what it can do to us is to take that long.
"""

from typing import Final

from paraph.adapters.engines.sandbox import Sandbox
from paraph.core.encode import JsonObject, as_text
from paraph.core.errors import Rejected

DEADLINE_S: Final = 2.0
"""One rendering: the longest templates in use take about 10 ms for 100 messages."""

MEMORY_BYTES: Final = 256 * 1024 * 1024
"""Address space: the interpreter with Jinja takes about 40 MB."""


class ChatTemplate:
    """A chat template, ready to render.

    Args:
        text: the Jinja text, as the model ships it.
        bos: text of the token that begins a sequence, `eos` of the one that ends it, as templates may print them.
    """

    def __init__(self, text: str, *, bos: str = "", eos: str = "", deadline_s: float = DEADLINE_S) -> None:
        self._sandbox = Sandbox(
            "paraph.adapters.engines.template_worker", memory_bytes=MEMORY_BYTES, hello={"template": text}
        )
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._deadline_s = deadline_s

    async def started(self) -> None:
        """Compile the template. Raises `Rejected` (`engine.template`) when it is broken."""
        await self._sandbox.started()

    async def render(self, messages: JsonObject | tuple[JsonObject, ...], tools: JsonObject | None = None) -> str:
        """The text before the model, ending where the assistant's answer begins.

        Raises:
            Rejected: `engine.template` when the template refuses these messages; `engine.template_limit` when it runs
                too long, writes too much or takes too much memory.
            Unavailable: `engine.died`.
        """
        values = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": True, **self._tokens}
        try:
            told, _ = await self._sandbox.call(values, deadline_s=self._deadline_s)
        except Rejected as error:
            if error.code not in ("engine.time_limit", "engine.memory_limit"):
                raise
            raise Rejected(
                "engine.template_limit",
                f"the chat template takes more than {self._deadline_s:g} s or {MEMORY_BYTES} bytes",
                **error.facts,
            ) from error
        return as_text(told.get("text"), "rendered text")

    async def close(self) -> None:
        """End the process."""
        await self._sandbox.close()


def has_tools(text: str) -> bool:
    """Whether a template looks at `tools` at all: one that does not would drop them silently."""
    return "tools" in text
