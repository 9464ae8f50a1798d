"""Small changes to JSON files: every leaf, every member and every hash, one at a time.

Changes are made to the text of the file, not to values, so that spellings of one value are tried too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from paraph.core.encode import Json, canonical

Path: TypeAlias = tuple[str | int, ...]

_HEX: Final = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value that is no array and no object, and where its spelling stands in the file."""

    path: Path
    value: None | bool | int | float | str
    start: int
    stop: int


def leaves(value: Json) -> tuple[str, list[Leaf]]:
    """The canonical text of `value`, and all its leaves."""
    parts: list[str] = []
    found: list[Leaf] = []
    _write(value, (), parts, found)
    text = "".join(parts)
    assert text.encode() == canonical(value)
    return text, found


def _write(value: Json, path: Path, parts: list[str], found: list[Leaf]) -> None:
    if isinstance(value, Mapping):
        parts.append("{")
        for index, name in enumerate(sorted(value)):  # ASCII names only, so code points sort as UTF-16 does
            parts.append(("," if index else "") + f'"{name}":')
            _write(value[name], (*path, name), parts, found)
        parts.append("}")
    elif isinstance(value, list | tuple):
        parts.append("[")
        for index, item in enumerate(value):
            parts.append("," if index else "")
            _write(item, (*path, index), parts, found)
        parts.append("]")
    else:
        start = sum(map(len, parts))
        parts.append(canonical(value).decode())
        assert value is None or isinstance(value, bool | int | float | str)
        found.append(Leaf(path, value, start, start + len(parts[-1])))


def respellings(leaf: Leaf) -> list[str]:
    """Other JSON texts for a leaf: one character changed in every way that differs, and other types."""
    spelled = canonical(leaf.value).decode()
    if isinstance(leaf.value, str):
        made = [canonical(text).decode() for text in _texts(leaf.value)] + list(_escapes(spelled))
        made += ["null", "true", "0", "[]", "{}", f"[{spelled}]"]
    elif isinstance(leaf.value, bool) or leaf.value is None:
        made = ["null", "true", "false", "0", "1", '""', f'"{spelled}"', "[]", "{}", f"[{spelled}]"]
    else:
        made = [*_numbers(spelled), f'"{spelled}"', "null", "true", "[]", f"[{spelled}]"]
    return [text for text in dict.fromkeys(made) if text != spelled]


def _places(text: str) -> list[int]:
    return sorted({0, 2, len(text) // 2, len(text) - 2, len(text) - 1} & set(range(len(text))))


def _texts(text: str) -> Iterator[str]:
    yield text + "0"
    yield text + " "
    yield "0" + text
    for at in _places(text):
        letter, before, after = text[at], text[:at], text[at + 1 :]
        yield before + after
        yield before + letter + letter + after
        yield before + letter.swapcase() + after
        yield before + chr(ord(letter) + 1) + after
        if ord(letter) > 0x20:
            yield before + chr(ord(letter) - 1) + after
        if letter in _HEX:
            yield before + _HEX[_HEX.index(letter) ^ 1] + after
            yield before + _HEX[_HEX.index(letter) ^ 8] + after


def _escapes(spelled: str) -> Iterator[str]:
    """The same text in other JSON spellings: escaped where it need not be, or in capitals."""
    inner = spelled[1:-1]
    if inner and inner[0] != "\\" and ord(inner[0]) < 0x10000:
        yield f'"\\u{ord(inner[0]):04x}{inner[1:]}"'
    yield spelled.replace("\\n", "\\u000a")
    yield spelled.replace("\\u000b", "\\u000B")
    yield spelled.replace("/", "\\/")


def _numbers(spelled: str) -> Iterator[str]:
    yield from (spelled + "0", "1" + spelled, "0" + spelled, "-" + spelled, spelled + ".0", spelled + "e0", "9" * 400)
    for at in _places(spelled):
        if spelled[at].isdigit():
            for step in (1, 9):
                yield spelled[:at] + str((int(spelled[at]) + step) % 10) + spelled[at + 1 :]
            yield spelled[:at] + spelled[at] * 2 + spelled[at + 1 :]
            yield spelled[:at] + spelled[at + 1 :]
    if spelled.lstrip("-").isdigit():
        yield from (str(int(spelled) + 1), str(int(spelled) - 1), str(int(spelled) + 2**32), str(int(spelled) + 2**64))


def reshaped(value: Json) -> Iterator[tuple[Path, Json]]:
    """`value` with one member or item removed, an unknown member added, an item repeated, or two neighbours swapped."""
    if isinstance(value, Mapping):
        yield ("+unknown",), {**value, "unknown": None}
        for name in value:
            yield (f"-{name}",), {other: member for other, member in value.items() if other != name}
            for path, member in reshaped(value[name]):
                yield (name, *path), {**value, name: member}
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield (f"-{index}",), [*value[:index], *value[index + 1 :]]
            yield (f"+{index}",), [*value[: index + 1], *value[index:]]
            if value[:index] and item != value[index - 1]:
                yield (f"~{index}",), [*value[: index - 1], item, value[index - 1], *value[index + 1 :]]
            for path, member in reshaped(item):
                yield (index, *path), [*value[:index], member, *value[index + 1 :]]


def swapped(text: str, found: Sequence[Leaf], size: int) -> Iterator[tuple[Path, Path, str]]:
    """The file with two different texts of `size` characters (66: two 32-byte hashes) in each other's place."""
    hashes = [leaf for leaf in found if isinstance(leaf.value, str) and len(leaf.value) == size]
    for index, first in enumerate(hashes):
        for second in hashes[index + 1 :]:
            one, two = text[first.start : first.stop], text[second.start : second.stop]
            if one != two:
                between = text[first.stop : second.start]
                yield first.path, second.path, text[: first.start] + two + between + one + text[second.stop :]
