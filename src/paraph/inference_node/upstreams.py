"""Models that another server runs: vLLM, SGLang, llama-server, anything with an OpenAI-compatible API.

`upstreams.json` in the node's home names them by the model's manifest. The manifest still says which files the model
is; that the other server runs those files is the operator's word, and the engine profile says `openai-upstream`.
"""

from pathlib import Path
from typing import Final

from paraph.adapters.engines.openai_upstream import STANDARD, Upstream
from paraph.core.encode import Json, as_integer, as_list, as_object, as_text, decode, take
from paraph.core.errors import Malformed, Unavailable

FILE: Final = "upstreams.json"
KEY_BYTES_MAX: Final = 4096
CONTEXT_MAX: Final = 1 << 24
PARAMETERS_MAX: Final = 64


def read_upstreams(home: Path) -> dict[str, Upstream]:
    """The upstream servers by the name of the model they serve; none without the file.

    Raises:
        Malformed: an unknown or missing key, a value out of range; `node.password`: others can read the key file.
        Unavailable: `node.config`: a file cannot be read.
    """
    place = home / FILE
    if not place.exists():
        return {}
    found = as_object(decode(_read(place)), FILE)
    return {name: _upstream(home, name, value) for name, value in found.items()}


def _upstream(home: Path, name: str, value: Json) -> Upstream:
    base_url, model, context_tokens, parameters, key_file = take(
        value, f"{FILE}: {name}", "base_url", "model", "context_tokens", "parameters", "api_key_file"
    )
    listed = as_list(parameters, "parameters", items_max=PARAMETERS_MAX) if parameters is not None else sorted(STANDARD)
    return Upstream(
        as_text(base_url, "base_url", bytes_max=1024).rstrip("/"),
        as_text(model, "model", bytes_max=256),
        as_integer(context_tokens, "context_tokens", 1, CONTEXT_MAX),
        frozenset(as_text(each, "parameters", bytes_max=64) for each in listed),
        api_key="" if key_file is None else _key(home / as_text(key_file, "api_key_file", bytes_max=1024)),
    )


def _key(place: Path) -> str:
    key = _read(place)
    if place.stat().st_mode & 0o077:
        raise Malformed("node.password", f"{place} can be read by others: chmod 600 it")
    if len(key) > KEY_BYTES_MAX or not key.isascii():
        raise Malformed("node.key", f"{place} does not hold an API key")
    return key.decode().strip()


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as error:
        raise Unavailable("node.config", f"{place} cannot be read: {error.strerror}") from error
