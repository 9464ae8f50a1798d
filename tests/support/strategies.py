"""What properties are searched over: JSON values, ABI types with values, and hostile bytes near valid ones."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from paraph.core.abi import Field, Type
from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.limits import JSON_INTEGER_MAX

T = TypeVar("T")


def outcome(read: Callable[[], T]) -> tuple[T | None, str]:
    """What was read and no code, or nothing and the code of `Malformed`. Any other error fails the test."""
    try:
        return read(), ""
    except Malformed as error:
        return None, error.code


# No surrogates: UTF-8 has none.
texts: Final[st.SearchStrategy[str]] = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _writable(number: float) -> bool:
    return not number.is_integer() or abs(number) <= JSON_INTEGER_MAX


doubles: Final[st.SearchStrategy[float]] = (
    st.floats(allow_nan=False, allow_infinity=False).filter(_writable)
    | st.floats(-1e6, 1e6)
    | st.decimals(-1000, 1000, places=4).map(float)
)
"""Every finite double that has a form."""

json_values: Final[st.SearchStrategy[Json]] = st.recursive(
    st.none() | st.booleans() | st.integers(-JSON_INTEGER_MAX, JSON_INTEGER_MAX) | doubles | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def _field(kind: Type) -> Field:
    return Field("", kind)


abi_types: Final[st.SearchStrategy[Type]] = st.recursive(
    st.sampled_from([Type(kind) for kind in ("address", "bool", "bytes", "string")])
    | st.builds(Type, st.sampled_from(("uint", "int")), st.sampled_from(range(8, 257, 8)))
    | st.builds(Type, st.just("fixed"), st.integers(1, 32)),
    lambda inner: (
        st.builds(lambda item, size: Type("array", size, (_field(item),)), inner, st.sampled_from((-1, 1, 2, 3)))
        | st.lists(inner, min_size=1, max_size=3).map(lambda kinds: Type("tuple", 0, tuple(map(_field, kinds))))
    ),
    max_leaves=6,
)


def abi_values(kind: Type) -> st.SearchStrategy[Any]:
    """Values that the type holds, edges among them."""
    match kind.kind:
        case "uint":
            return st.integers(0, 2**kind.size - 1)
        case "int":
            return st.integers(-(2 ** (kind.size - 1)), 2 ** (kind.size - 1) - 1)
        case "address":
            return st.binary(min_size=20, max_size=20)
        case "bool":
            return st.booleans()
        case "fixed":
            return st.binary(min_size=kind.size, max_size=kind.size)
        case "bytes":
            return st.binary(max_size=70)
        case "string":
            return texts
        case "tuple":
            return st.tuples(*(abi_values(each.type) for each in kind.items))
        case _:
            low, high = (0, 3) if kind.size < 0 else (kind.size, kind.size)
            return st.lists(abi_values(kind.items[0].type), min_size=low, max_size=high).map(tuple)


@st.composite
def parameters(draw: st.DrawFn) -> tuple[tuple[Field, ...], tuple[Any, ...]]:
    """A parameter list and values for it."""
    kinds = draw(st.lists(abi_types, max_size=4))
    return tuple(map(_field, kinds)), tuple(draw(abi_values(kind)) for kind in kinds)


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """`valid` with a few bytes changed, cut out, doubled or put in, or cut off at its end."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 8))
        match draw(st.sampled_from(("change", "cut", "double", "insert", "end", "swap"))):
            case "change" if at < len(data):
                data[at] ^= draw(st.integers(1, 255))
            case "cut":
                del data[at : at + size]
            case "double":
                data[at:at] = data[at : at + size]
            case "insert":
                data[at:at] = draw(st.binary(max_size=8) | st.sampled_from(_TOKENS))
            case "swap":
                other = draw(st.integers(0, len(data)))
                data[at : at + size], data[other : other + size] = data[other : other + size], data[at : at + size]
            case _:
                del data[at:]
    return bytes(data)


_TOKENS: Final = tuple(
    token.encode("utf-8", "surrogatepass")
    for token in (
        *'{}[],:"\\-0',
        "null",
        "true",
        "NaN",
        "-Infinity",
        "1e999",
        "9007199254740993",
        "0.10",
        '"\\ud800"',
        "\ud800",
        "\ufeff",
        "[" * 40,
        '{"":' * 40,
        "\\u0041",
        "é",
    )
)
