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

START_DEADLINE_S: Final = 20.0
"""Starting the process and compiling: 0.15 s when idle; compiling computes constants, so it needs an end too."""


class ChatTemplate:
    """A chat template, ready to render.

    Args:
        text: the Jinja text, as the model ships it.
        bos: text of the token that begins a sequence, `eos` of the one that ends it, as templates may print them.
    """

    def __init__(self, text: str, *, bos: str = "", eos: str = "", deadline_s: float = DEADLINE_S) -> None:
        self._sandbox = Sandbox(
            "paraph.adapters.engines.template_worker",
            memory_bytes=MEMORY_BYTES,
            hello={"template": text},
            start_deadline_s=START_DEADLINE_S,
        )
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._deadline_s = deadline_s

    async def started(self) -> None:
        """Compile the template. Raises `Rejected`: `engine.template` when it is broken, `engine.template_limit`."""
        try:
            await self._sandbox.started()
        except Rejected as error:
            raise self._refused(error) from error

    async def render(self, messages: tuple[JsonObject, ...]) -> str:
        """The text before the model, ending where the assistant's answer begins.

        Raises:
            Rejected: `engine.template` when the template refuses these messages; `engine.template_limit` when it runs
                too long, writes too much or takes too much memory.
            Unavailable: `engine.died`.
        """
        values = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True, **self._tokens}
        try:
            told, _ = await self._sandbox.call(values, deadline_s=self._deadline_s)
        except Rejected as error:
            raise self._refused(error) from error
        return as_text(told.get("text"), "rendered text")

    def _refused(self, error: Rejected) -> Rejected:
        if error.code not in ("engine.time_limit", "engine.memory_limit"):
            return error
        return Rejected(
            "engine.template_limit",
            f"the chat template takes more than {self._deadline_s:g} s or {MEMORY_BYTES} bytes",
            **error.facts,
        )

    async def close(self) -> None:
        """End the process."""
        await self._sandbox.close()
