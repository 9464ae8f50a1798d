"""The confined process that renders chat templates, which are programs that came with a model.

The environment is the one that Hugging Face's tokenizers give templates (blocks trimmed, `raise_exception`, `tojson`
without escapes, loop controls), in Jinja's immutable sandbox, and without a clock: a template that asks for today's
date finds none, because an answer must not depend on it.
"""

import json
from typing import Any, Final, NoReturn

from paraph.adapters.engines.worker import Answer, confine, serve
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected

OUTPUT_CHARACTERS_MAX: Final = 4 * 1024 * 1024 // 4
"""A prompt: a quarter of a message's header, for a character takes up to four bytes."""


class _Refused(Exception):
    """What `raise_exception` raises inside a template."""


def load(text: str) -> Any:
    """Compile a template. Raises `Rejected` (`engine.template`)."""
    from jinja2 import TemplateError, ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[ext.loopcontrols], autoescape=False
    )
    environment.globals["raise_exception"] = _raise
    environment.filters["tojson"] = _to_json
    try:
        return environment.from_string(text)
    except (TemplateError, RecursionError) as error:
        raise Rejected("engine.template", f"the chat template is broken: {_spelled(str(error))[:300]}") from error


def render(template: Any, values: JsonObject) -> str:
    """Render a loaded template.

    Raises:
        Rejected: `engine.template` when the template refuses or fails; `engine.template_limit` when it writes too much.
    """
    parts: list[str] = []
    size = 0
    try:
        for part in template.generate(**values):
            size += len(part)
            if size > OUTPUT_CHARACTERS_MAX:
                raise Rejected(
                    "engine.template_limit",
                    f"the chat template writes more than {OUTPUT_CHARACTERS_MAX} characters",
                    limit=OUTPUT_CHARACTERS_MAX,
                )
            parts.append(part)
    except (Rejected, MemoryError):
        raise
    except OverflowError as error:  # Jinja's sandbox bounds range()
        raise Rejected("engine.template_limit", f"the chat template asks for too much: {str(error)[:300]}") from error
    except Exception as error:
        raise Rejected("engine.template", f"the chat template refuses: {_spelled(str(error))[:300]}") from error
    text = "".join(parts)
    if _spelled(text) != text:
        raise Rejected("engine.template", "the chat template writes a lone surrogate, which UTF-8 cannot carry")
    return text


def _spelled(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _raise(message: object) -> NoReturn:
    raise _Refused(str(message))


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def main() -> None:
    """Serve one template until the parent hangs up."""
    channel = confine()
    template: Any = None

    def answer(header: JsonObject, _: tuple[bytes, ...]) -> Answer:
        nonlocal template
        if template is None:
            template = load(str(header["template"]))
            return {}, ()
        return {"text": render(template, header)}, ()

    serve(channel, answer)


if __name__ == "__main__":
    main()
