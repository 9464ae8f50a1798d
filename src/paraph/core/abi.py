"""Ethereum contract ABI: types, strict coding, and methods and events declared by their Solidity signatures.

Source: the Solidity documentation, "Contract ABI Specification". Decoding accepts only the canonical form that
every encoder writes (tails in order, without gaps or overlap, padding zero), so a few bytes can never unfold into
many and one value has one encoding.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from paraph.core.abi_word import KINDS, WORD, Word, word_of
from paraph.core.digest import keccak256
from paraph.core.errors import Malformed, must

Value: TypeAlias = Any
"""int, bool, bytes, str, or a tuple of values: what an ABI type holds."""

Kind: TypeAlias = Literal["uint", "int", "address", "bool", "fixed", "bytes", "string", "array", "tuple"]


@dataclass(frozen=True)
class Type:
    """One ABI type. `size` is bits for integers, bytes for bytesN, items for a fixed array, -1 for `T[]`."""

    kind: Kind
    size: int = 0
    items: "tuple[Field, ...]" = ()
    struct: str = ""

    @cached_property
    def name(self) -> str:
        """The canonical name that selectors hash."""
        if self.kind == "tuple":
            return "(" + ",".join(field.type.name for field in self.items) + ")"
        if self.kind == "array":
            return self.items[0].type.name + self._brackets
        sized = {"uint": f"uint{self.size}", "int": f"int{self.size}", "fixed": f"bytes{self.size}"}
        return str(sized.get(self.kind, self.kind))

    @cached_property
    def dynamic(self) -> bool:
        """True when the value's encoding has no fixed length."""
        if self.kind == "array":
            return self.size < 0 or self.items[0].type.dynamic
        return self.kind in ("bytes", "string") or any(field.type.dynamic for field in self.items)

    @cached_property
    def head_bytes(self) -> int:
        """Bytes the value takes in its place: 32 for a dynamic one, whose place holds an offset."""
        if self.dynamic:
            return WORD
        if self.kind == "array":
            return self.size * self.items[0].type.head_bytes
        return sum(field.type.head_bytes for field in self.items) if self.kind == "tuple" else WORD

    @cached_property
    def solidity(self) -> str:
        """The type as Solidity source writes it in a parameter list."""
        if self.kind == "array":
            return self.items[0].type.solidity.replace(" memory", "") + self._brackets + " memory"
        if self.kind == "tuple":
            return self.struct + " memory"
        return self.name + (" memory" if self.kind in ("bytes", "string") else "")

    @cached_property
    def word(self) -> Word | None:
        """The coder of a type that takes one word; None for any other."""
        return word_of(self.kind, self.size) if self.kind in KINDS else None

    @cached_property
    def flat(self) -> tuple[Word, ...] | None:
        """The coders of a tuple whose members take one word each; None for any other type."""
        words = tuple(field.type.word for field in self.items if field.type.word is not None)
        return words if self.kind == "tuple" and len(words) == len(self.items) else None

    @property
    def _brackets(self) -> str:
        return "[]" if self.size < 0 else f"[{self.size}]"


@dataclass(frozen=True)
class Field:
    """A named parameter or member; `indexed` only in events."""

    name: str
    type: Type
    indexed: bool = False

    def as_json(self) -> dict[str, object]:
        """The field as the JSON ABI describes it."""
        return _json_of(self.name, self.type) | ({"indexed": self.indexed} if self.indexed else {})


def _json_of(name: str, kind: Type) -> dict[str, object]:
    base, brackets = kind, ""
    while base.kind == "array":
        base, brackets = base.items[0].type, base._brackets + brackets  # noqa: SLF001
    described: dict[str, object] = {"name": name}
    if base.kind != "tuple":
        return described | {"type": base.name + brackets, "internalType": base.name + brackets}
    members = [field.as_json() for field in base.items]
    return described | {
        "type": "tuple" + brackets,
        "internalType": f"struct {base.struct}{brackets}",
        "components": members,
    }


# --- reading Solidity signatures ---------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|\d+|[()\[\],])")
_SIMPLE = re.compile(r"(uint|int|bytes)(\d*)")


class _Reader:
    def __init__(self, text: str, structs: Mapping[str, Type]) -> None:
        self.tokens: list[str] = _TOKEN.findall(text)
        must("".join(self.tokens) == re.sub(r"\s", "", text), f"a Solidity signature: {text}")
        self.structs = structs
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def fields(self) -> tuple[Field, ...]:
        must(self.next() == "(", "a parameter list opens with (")
        found: list[Field] = []
        while self.peek() != ")":
            if found:
                must(self.next() == ",", "parameters are separated by commas")
            found.append(self.field())
        self.next()
        return tuple(found)

    def field(self) -> Field:
        kind = self.type()
        indexed = self.peek() == "indexed"
        if indexed:
            self.next()
        name = self.next() if re.match(r"[A-Za-z_]", self.peek()) else ""
        return Field(name, kind, indexed)

    def type(self) -> Type:
        kind = _simple(self.next(), self.structs)
        while self.peek() == "[":
            self.next()
            size = -1 if self.peek() == "]" else int(self.next())
            must(self.next() == "]", "an array type closes with ]")
            kind = Type("array", size, (Field("", kind),))
        return kind


def _simple(word: str, structs: Mapping[str, Type]) -> Type:
    if word in structs:
        return structs[word]
    if word in ("address", "bool", "string", "bytes"):
        return Type(word)  # type: ignore[arg-type]
    match = _SIMPLE.fullmatch(word)
    must(match is not None, f"an ABI type: {word}")
    family, digits = match.groups()  # type: ignore[union-attr]
    size = int(digits or 256)
    if family == "bytes":
        must(0 < size <= WORD, f"an ABI type: {word}")
        return Type("fixed", size)
    must(0 < size <= 256 and size % 8 == 0, f"an ABI type: {word}")
    return Type("uint" if family == "uint" else "int", size)


def struct(declaration: str, structs: Mapping[str, Type] = {}) -> Type:
    """A struct from `Name(type member, …)`; earlier structs may be used by name."""
    name, _, rest = declaration.partition("(")
    reader = _Reader("(" + rest, structs)
    members = reader.fields()
    must(reader.peek() == "", f"nothing follows the members of {name}")
    return Type("tuple", 0, members, name.strip())


@dataclass(frozen=True)
class Method:
    """One callable of a contract: `name(params) [view|payable] [returns (results)]`."""

    name: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    mutability: Literal["view", "nonpayable", "payable"]

    @cached_property
    def signature(self) -> str:
        """The canonical signature, `transfer(address,uint256)`."""
        return self.name + Type("tuple", 0, self.inputs).name

    @cached_property
    def selector(self) -> bytes:
        """The first 4 bytes of the signature's Keccak-256."""
        return keccak256(self.signature.encode())[:4]

    def call(self, *arguments: Value) -> bytes:
        """Calldata: selector and encoded arguments."""
        return self.selector + encode(self.inputs, arguments)

    def as_json(self) -> dict[str, object]:
        """The method's entry in the JSON ABI."""
        return {
            "type": "function",
            "name": self.name,
            "stateMutability": self.mutability,
            "inputs": [field.as_json() for field in self.inputs],
            "outputs": [field.as_json() for field in self.outputs],
        }

    def solidity(self) -> str:
        """The method's line in a Solidity interface."""
        inputs = ", ".join(f"{field.type.solidity} {field.name}".strip() for field in self.inputs)
        outputs = ", ".join(f"{field.type.solidity} {field.name}".strip() for field in self.outputs)
        mutability = "" if self.mutability == "nonpayable" else f" {self.mutability}"
        returns = f" returns ({outputs})" if outputs else ""
        return f"function {self.name}({inputs}) external{mutability}{returns};"


@dataclass(frozen=True)
class Event:
    """One kind of log: `Name(type indexed a, type b)`."""

    name: str
    inputs: tuple[Field, ...]

    @cached_property
    def topic(self) -> bytes:
        """Keccak-256 of the canonical signature: the first topic."""
        return keccak256((self.name + Type("tuple", 0, self.inputs).name).encode())

    def log(self, *arguments: Value) -> tuple[tuple[bytes, ...], bytes]:
        """Topics and data. Indexed parameters must be of static, single-word types."""
        pairs = tuple(zip(self.inputs, arguments, strict=True))
        topics = [_encoded(field.type, argument) for field, argument in pairs if field.indexed]
        return (self.topic, *topics), encode_tuple(self._plain, [value for field, value in pairs if not field.indexed])

    @cached_property
    def _plain(self) -> Type:
        return Type("tuple", 0, tuple(field for field in self.inputs if not field.indexed))

    def as_json(self) -> dict[str, object]:
        """The event's entry in the JSON ABI."""
        inputs = [field.as_json() | {"indexed": field.indexed} for field in self.inputs]
        return {"type": "event", "name": self.name, "anonymous": False, "inputs": inputs}

    def solidity(self) -> str:
        """The event's line in a Solidity interface."""
        inputs = ", ".join(
            " ".join(filter(None, (field.type.solidity.removesuffix(" memory"), "indexed" * field.indexed, field.name)))
            for field in self.inputs
        )
        return f"event {self.name}({inputs});"


def method(declaration: str, structs: Mapping[str, Type] = {}) -> Method:
    """A method from its Solidity form, without `function` and `external`."""
    name, _, rest = declaration.partition("(")
    reader = _Reader("(" + rest, structs)
    inputs = reader.fields()
    mutability = reader.next() if reader.peek() in ("view", "payable") else "nonpayable"
    outputs: tuple[Field, ...] = ()
    if reader.peek() == "returns":
        reader.next()
        outputs = reader.fields()
    must(reader.peek() == "", f"nothing follows the signature of {name}")
    return Method(name.strip(), inputs, outputs, mutability)  # type: ignore[arg-type]


def event(declaration: str) -> Event:
    """An event from its Solidity form, without `event`."""
    name, _, rest = declaration.partition("(")
    reader = _Reader("(" + rest, {})
    inputs = reader.fields()
    must(reader.peek() == "", f"nothing follows the parameters of {name}")
    return Event(name.strip(), inputs)


# --- coding ------------------------------------------------------------------------------------------------------


def encode(fields: Sequence[Field], values: Sequence[Value]) -> bytes:
    """The ABI form of `values` as the parameters `fields`."""
    must(len(fields) == len(values), f"{len(fields)} parameters take as many values, not {len(values)}")
    head_bytes = sum(field.type.head_bytes for field in fields)
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = head_bytes
    for field, value in zip(fields, values, strict=True):
        encoded: bytes = _encoded(field.type, value)
        if field.type.dynamic:
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(encoded)
            offset += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def encode_tuple(kind: Type, values: Sequence[Value]) -> bytes:
    """The ABI form of a tuple's members."""
    flat = kind.flat
    if flat is None:
        return encode(kind.items, values)
    must(len(flat) == len(values), f"{len(flat)} members take as many values, not {len(values)}")
    return b"".join([word.encode(value) for word, value in zip(flat, values, strict=True)])


def decode(fields: Sequence[Field], data: bytes) -> tuple[Value, ...]:
    """Read parameters that fill `data` exactly.

    Raises:
        Malformed: `abi.form`: truncated, trailing bytes, dirty padding, out-of-order tails, or not UTF-8.
    """
    values, end = _decode_fields([field.type for field in fields], data, 0)
    if end != len(data):
        raise Malformed("abi.form", f"{len(data) - end} bytes follow the ABI-encoded parameters")
    return values


def _encoded(kind: Type, value: Value) -> Value:
    if kind.word is not None:
        return kind.word.encode(value)
    match kind.kind:
        case "bytes":
            return len(value).to_bytes(WORD, "big") + value + bytes(-len(value) % WORD)
        case "string":
            text = value.encode()
            return len(text).to_bytes(WORD, "big") + text + bytes(-len(text) % WORD)
        case "tuple":
            return encode_tuple(kind, value)
        case _:
            must(kind.size < 0 or kind.size == len(value), "a fixed array holds its number of items")
            body = encode(kind.items * len(value), value)
            return body if kind.size >= 0 else len(value).to_bytes(WORD, "big") + body


def _word(data: bytes, at: int) -> int:
    if at + WORD > len(data):
        raise Malformed("abi.form", f"the ABI-encoded parameters end inside a word, at byte {len(data)}")
    return int.from_bytes(data[at : at + WORD], "big")


def _decode_fields(kinds: Sequence[Type], data: bytes, base: int) -> tuple[tuple[Value, ...], int]:
    at = base
    tail = base + sum(kind.head_bytes for kind in kinds)
    values: list[Value] = []
    for kind in kinds:
        if kind.dynamic:
            if base + _word(data, at) != tail:
                raise Malformed("abi.form", f"the offset at byte {at} is not the canonical one, {tail - base}")
            value, tail = _decode_one(kind, data, tail)
            at += WORD
        else:
            value, at = _decode_one(kind, data, at)
        values.append(value)
    return tuple(values), tail


def _decode_one(kind: Type, data: bytes, at: int) -> tuple[Value, int]:
    match kind.kind:
        case "tuple":
            return _decode_tuple(kind, data, at)
        case "array":
            return _decode_array(kind, data, at)
        case "bytes" | "string":
            size = _word(data, at)
            start, padded = at + WORD, size + -size % WORD
            if start + padded > len(data) or any(data[start + size : start + padded]):
                raise Malformed("abi.form", f"the {kind.kind} at byte {at} is truncated or its padding is not zero")
            return _text(kind, data[start : start + size]), start + padded
        case _:
            word = _word(data, at).to_bytes(WORD, "big")
            try:
                return kind.word.decode(word), at + WORD  # type: ignore[union-attr]
            except ValueError as error:
                raise Malformed("abi.form", f"the word at byte {at} is no {kind.name}") from error


def _decode_tuple(kind: Type, data: bytes, at: int) -> tuple[Value, int]:
    flat = kind.flat
    end = at + kind.head_bytes
    if flat is not None and end <= len(data):
        try:
            words = zip(flat, range(at, end, WORD), strict=True)
            return tuple([word.decode(data[start : start + WORD]) for word, start in words]), end
        except ValueError:
            pass  # read it again word by word, to say which
    return _decode_fields([field.type for field in kind.items], data, at)


def _decode_array(kind: Type, data: bytes, at: int) -> tuple[Value, int]:
    item = kind.items[0].type
    count = kind.size
    if count < 0:
        count = _word(data, at)
        at += WORD
        # An item takes at least one word (an empty tuple or array does not occur), so the data bounds the count.
        if count * max(item.head_bytes, WORD) > len(data) - at:
            raise Malformed("abi.form", f"an array of {count} items does not fit the remaining bytes")
    return _decode_fields([item] * count, data, at)


def _text(kind: Type, data: bytes) -> Value:
    if kind.kind == "bytes":
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("abi.form", "a string is not UTF-8") from error
