"""Which JSON schemas a grammar can hold the answer to: a subset, and everything outside it is refused.

llama.cpp passes over keywords that it does not know, and an answer would then only look as if it followed the schema.
"""

from collections.abc import Mapping
from typing import Final

from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Rejected

_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_PLAIN: Final = frozenset(
    {"$schema", "title", "description", "type", "enum", "const", "required", "minLength", "maxLength", "minItems"}
    | {"maxItems"}
)
_NESTED: Final = frozenset({"items", "additionalProperties"})
_REPETITIONS_MAX: Final = 1000
"""A grammar unrolls repetitions; more would take the server's memory."""

_REPEATED: Final = ("minLength", "maxLength", "minItems", "maxItems")


def asked_schema(form: JsonObject) -> JsonObject | None:
    """The JSON schema that OpenAI's `response_format` asks for, or None for plain text.

    Raises:
        Rejected: `engine.schema`: another form, or a keyword that cannot be held.
    """
    match form.get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            holder = form.get("json_schema")
            schema = holder.get("schema") if isinstance(holder, Mapping) else None
            if isinstance(schema, Mapping):
                _check(schema)
                return schema
        case _:
            pass
    raise Rejected("engine.schema", "response_format must be text, json_object, or json_schema with a schema")


def _check(schema: Json) -> None:
    if not isinstance(schema, Mapping):
        raise Rejected("engine.schema", "a schema must be an object here")
    unknown = sorted(schema.keys() - _PLAIN - _NESTED - {"properties", "anyOf"})
    if unknown:
        raise Rejected("engine.schema", f"this engine cannot hold an answer to {', '.join(unknown)[:200]} of a schema")
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list | tuple) else [] if kind is None else [kind]
    if any(not isinstance(each, str) or each not in _TYPES for each in kinds):
        raise Rejected("engine.schema", f"{str(kind)[:80]} is not a type of JSON schema")
    for name in _REPEATED:
        count = schema.get(name, 0)
        if not isinstance(count, int) or not 0 <= count <= _REPETITIONS_MAX:
            raise Rejected("engine.schema", f"{name} must be an integer up to {_REPETITIONS_MAX}")
    for name in _NESTED & schema.keys():
        if not isinstance(schema[name], bool):
            _check(schema[name])
    members = schema.get("properties", {})
    if not isinstance(members, Mapping):
        raise Rejected("engine.schema", "properties must be an object")
    choices = schema.get("anyOf", ())
    if not isinstance(choices, list | tuple):
        raise Rejected("engine.schema", "anyOf must be an array")
    for each in (*members.values(), *choices):
        _check(each)
