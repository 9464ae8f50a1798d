"""Schemas that cannot be held are refused, not passed over."""

import pytest

from paraph.adapters.engines.schema import asked_schema
from paraph.core.encode import Json
from paraph.core.errors import Rejected

SCHEMA: Json = {
    "type": "object",
    "properties": {"a": {"type": ["integer", "null"]}, "b": {"anyOf": [{"const": 1}, {"enum": ["x"]}]}},
    "required": ["a"],
    "additionalProperties": False,
}


def form(schema: Json) -> dict[str, Json]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


def test_forms_of_openai_are_read() -> None:
    """Text, any object, and a schema."""
    assert asked_schema({"type": "text"}) is None
    assert asked_schema({"type": "json_object"}) == {"type": "object"}
    assert asked_schema(form(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "date"},
        {"type": [1]},
        {"pattern": "a"},
        {"$ref": "#"},
        {"properties": 1},
        {"properties": {"a": {"not": {}}}},
        {"items": {"oneOf": []}},
        {"anyOf": 1},
        {"anyOf": [1]},
        {"maxLength": 10**9},
        {"minItems": "1"},
        {"properties": {"a": True}},
    ],
    ids=str,
)
def test_a_schema_outside_the_subset_is_refused(schema: Json) -> None:
    """Unknown keywords and types are refused at any depth."""
    with pytest.raises(Rejected) as caught:
        asked_schema(form(schema))

    assert caught.value.code == "engine.schema"


@pytest.mark.parametrize(
    "wrong", [{}, {"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}], ids=str
)
def test_another_form_is_refused(wrong: dict[str, Json]) -> None:
    """Only OpenAI's three forms are known."""
    with pytest.raises(Rejected) as caught:
        asked_schema(wrong)

    assert caught.value.code == "engine.schema"
