"""Another value of the same type, for tests that show that a field matters."""

from collections.abc import Iterator
from dataclasses import fields, replace
from enum import IntEnum
from typing import Any, TypeVar

R = TypeVar("R")


def others(value: Any) -> Iterator[Any]:
    """Values that differ from `value` in one bit, letter or item, at its beginning and at its end."""
    match value:
        case bool():
            yield not value
        case IntEnum():
            yield from (each for each in type(value) if each is not value)
        case int():
            yield value + 1
            yield value ^ 2
            yield value + 2**20
        case bytes():
            yield bytes((value[0] ^ 0x80,)) + value[1:]
            yield value[:-1] + bytes((value[-1] ^ 1,))
        case str():
            yield from dict.fromkeys((value + "x", "x" + value, value.swapcase() + "."))
        case tuple():
            yield value[1:]
            yield (*value, value[-1])
            yield value[::-1] if value[::-1] != value else (*value, *value)
            for other in others(value[0]):
                yield (other, *value[1:])
        case _:
            yield from (other for _, other in varied(value))


def varied(record: R) -> Iterator[tuple[str, R]]:
    """The frozen dataclass with each field changed in turn, and the field's name."""
    for each in fields(record):  # type: ignore[arg-type]
        for other in others(getattr(record, each.name)):
            yield each.name, replace(record, **{each.name: other})  # type: ignore[type-var]
