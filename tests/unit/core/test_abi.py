"""ABI: the published examples, declarations as Solidity has them, and every form but the canonical one refused."""

import pytest

from paraph.core.abi import Event, Field, Type, decode, encode, event, method, struct
from paraph.core.errors import BrokenTruth, Malformed


def words(*parts: str) -> bytes:
    """Words in hex: short ones are numbers, or text when they start with a quote."""
    padded = (
        part[1:].encode().hex().ljust(64, "0") if part[0] == "'" else part.rjust(64, "0") if len(part) < 64 else part
        for part in parts
    )
    return bytes.fromhex("".join(padded))


# --- the examples of the specification ---------------------------------------------------------------------------

EXAMPLES = [
    ("baz(uint32 x, bool y)", "cdcd77c0", (69, True), words("45", "1")),
    ("bar(bytes3[2] a)", "fce353f6", ((b"abc", b"def"),), words("'abc", "'def")),
    (
        "sam(bytes a, bool b, uint[] c)",
        "a5643bf2",
        (b"dave", True, (1, 2, 3)),
        words("60", "1", "a0", "4", "'dave", "3", "1", "2", "3"),
    ),
    (
        "f(uint256 a, uint32[] b, bytes10 c, bytes d)",
        "8be65246",
        (0x123, (0x456, 0x789), b"1234567890", b"Hello, world!"),
        words("123", "80", "'1234567890", "e0", "2", "456", "789", "d", "'Hello, world!"),
    ),
    (
        "g(uint256[][] a, string[] b)",
        "2289b18c",
        (((1, 2), (3,)), ("one", "two", "three")),
        words("40", "140", "2", "40", "a0", "2", "1", "2", "1", "3", "3", "60", "a0", "e0", "3", "'one", "3")
        + words("'two", "5", "'three"),
    ),
]
"""The examples of the Contract ABI Specification."""


@pytest.mark.parametrize(
    ("declared", "selector", "values", "expected"), EXAMPLES, ids=[each[0].split("(")[0] for each in EXAMPLES]
)
def test_examples(declared: str, selector: str, values: tuple[object, ...], expected: bytes) -> None:
    """The specification's examples are written, and read back."""
    found = method(declared)

    assert found.selector.hex() == selector
    assert found.call(*values) == found.selector + expected
    assert decode(found.inputs, expected) == values


def test_event_of_the_specification() -> None:
    """ERC-20's Transfer has the topic that every client knows; indexed values are topics, the rest is data."""
    transfer = event("Transfer(address indexed from, address indexed to, uint256 value)")
    topics, data = transfer.log(b"\x01" * 20, b"\x02" * 20, 7)

    assert topics[0].hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert topics[1:] == (bytes(12) + b"\x01" * 20, bytes(12) + b"\x02" * 20)
    assert data == words("7")


# --- declarations ------------------------------------------------------------------------------------------------

POINT = struct("Point(uint8 x, int64 y)")
LINE = struct("Line(Point[2] ends, string name)", {"Point": POINT})


def test_method_is_described() -> None:
    """A method gives its JSON ABI and its line in a Solidity interface."""
    found = method(
        "draw(Line[] lines, bytes32 key, bytes) view returns (bool ok, string[2], Point)",
        {"Line": LINE, "Point": POINT},
    )
    point = [
        {"name": "x", "type": "uint8", "internalType": "uint8"},
        {"name": "y", "type": "int64", "internalType": "int64"},
    ]
    ends = {"name": "ends", "type": "tuple[2]", "internalType": "struct Point[2]", "components": point}
    name = {"name": "name", "type": "string", "internalType": "string"}

    assert found.signature == "draw(((uint8,int64)[2],string)[],bytes32,bytes)"
    assert found.solidity() == (
        "function draw(Line[] memory lines, bytes32 key, bytes memory) external view"
        " returns (bool ok, string[2] memory, Point memory);"
    )
    assert found.as_json() == {
        "type": "function",
        "name": "draw",
        "stateMutability": "view",
        "inputs": [
            {"name": "lines", "type": "tuple[]", "internalType": "struct Line[]", "components": [ends, name]},
            {"name": "key", "type": "bytes32", "internalType": "bytes32"},
            {"name": "", "type": "bytes", "internalType": "bytes"},
        ],
        "outputs": [
            {"name": "ok", "type": "bool", "internalType": "bool"},
            {"name": "", "type": "string[2]", "internalType": "string[2]"},
            {"name": "", "type": "tuple", "internalType": "struct Point", "components": point},
        ],
    }


@pytest.mark.parametrize(
    ("declared", "mutability", "line"),
    [
        ("f()", "nonpayable", "function f() external;"),
        ("f() payable", "payable", "function f() external payable;"),
        ("f(uint a) returns (int)", "nonpayable", "function f(uint256 a) external returns (int256);"),
    ],
    ids=range(3),
)
def test_mutability_is_read(declared: str, mutability: str, line: str) -> None:
    """A method is nonpayable unless it says otherwise; `uint` is `uint256`."""
    assert method(declared).mutability == mutability
    assert method(declared).solidity() == line


def test_event_is_described() -> None:
    """An event gives its JSON ABI, `indexed` on every input, and its line in a Solidity interface."""
    found = event("Seen(address indexed who, string what, uint8[])")

    assert found.solidity() == "event Seen(address indexed who, string what, uint8[]);"
    assert found.as_json() == {
        "type": "event",
        "name": "Seen",
        "anonymous": False,
        "inputs": [
            {"name": "who", "type": "address", "internalType": "address", "indexed": True},
            {"name": "what", "type": "string", "internalType": "string", "indexed": False},
            {"name": "", "type": "uint8[]", "internalType": "uint8[]", "indexed": False},
        ],
    }
    assert isinstance(found, Event)


@pytest.mark.parametrize(
    "declared",
    [
        "f(uint7 a)",
        "f(uint0 a)",
        "f(uint264 a)",
        "f(bytes0 a)",
        "f(bytes33 a)",
        "f(float a)",
        "f(Unknown a)",
        "f(uint8 a uint8 b)",
        "f(uint8[2 a)",
        "f(uint8 a) pure",
        "f(uint8 a) view nonsense",
        "f(uint8 a; uint8 b)",
    ],
)
def test_other_declarations_are_our_fault(declared: str) -> None:
    """A type that Solidity has not, or a signature that does not parse, stops where it is declared."""
    with pytest.raises(BrokenTruth):
        method(declared)


def test_declarations_end_where_they_end() -> None:
    """Nothing follows a struct's members or an event's parameters."""
    with pytest.raises(BrokenTruth):
        struct("S(uint8 a) uint8")
    with pytest.raises(BrokenTruth):
        event("E(uint8 a) indexed")


# --- writing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint256", 2**256),
        ("int8", 128),
        ("int8", -129),
        ("int256", 2**255),
        ("address", b"\x01" * 21),
        ("bytes4", b"abc"),
        ("bytes4", b"abcde"),
        ("uint8[2]", (1,)),
        ("uint8[2]", (1, 2, 3)),
    ],
    ids=str,
)
def test_values_must_fit(kind: str, value: object) -> None:
    """A value that its type does not hold is never written: what is written can always be read."""
    with pytest.raises(BrokenTruth):
        encode(method(f"f({kind} a)").inputs, (value,))


def test_values_are_counted() -> None:
    """As many values as parameters."""
    with pytest.raises(BrokenTruth):
        encode(method("f(uint8 a)").inputs, (1, 2))


# --- reading -----------------------------------------------------------------------------------------------------

REFUSED = [
    ("f(uint8 a)", b"", "nothing"),
    ("f(uint8 a)", bytes(31), "cut inside a word"),
    ("f(uint8 a)", bytes(64), "trailing word"),
    ("f(uint8 a)", bytes(33), "trailing byte"),
    ("f()", bytes(32), "word for nothing"),
    ("f(uint8 a)", words("100"), "256 in uint8"),
    ("f(uint8 a)", words("01" + "00" * 31), "dirt above uint8"),
    ("f(bool a)", words("2"), "2 in bool"),
    ("f(address a)", words("01" + "00" * 20), "dirt above address"),
    ("f(bytes4 a)", words("61626364" + "00" * 27 + "01"), "dirt below bytes4"),
    ("f(int8 a)", words("80"), "128 in int8"),
    ("f(int8 a)", words("ff" * 31 + "7f"), "-129 in int8"),
    ("f(int8 a)", words("ff"), "-1 without its sign"),
    ("f(bytes a)", words("20", "1", "61" + "00" * 30 + "01"), "dirt behind bytes"),
    ("f(bytes a)", words("20", "1"), "bytes cut off"),
    ("f(bytes a)", words("20", "21", "'a"), "bytes cut in padding"),
    ("f(bytes a)", words("20", "ff" * 32), "bytes of 2^256 - 1"),
    ("f(bytes a)", words("20", "0", "0"), "padding of nothing"),
    ("f(bytes a)", words("40", "0", "0"), "gap before the tail"),
    ("f(bytes a)", words("0"), "offset to itself"),
    ("f(bytes a)", words("ff" * 32, "0"), "offset of 2^256 - 1"),
    ("f(bytes a, bytes b)", words("40", "40", "0"), "two heads to one tail"),
    ("f(bytes a, bytes b)", words("60", "40", "0", "0"), "tails out of order"),
    ("f(bytes a, bytes b)", words("40", "50", "0", "0"), "overlapping tails"),
    ("f(string a)", words("20", "1", "ff" + "00" * 31), "string that is not UTF-8"),
    ("f(string a)", words("20", "3", "eda080" + "00" * 29), "lone surrogate"),
    ("f(uint8[] a)", words("20", "2", "1"), "array cut off"),
    ("f(uint8[] a)", words("20", "ff" * 32), "array of 2^256 - 1"),
    ("f(uint8[] a)", words("20", "1", "100"), "256 in uint8[]"),
    ("f(bytes[] a)", words("20", "2", "20", "20", "0"), "two items share a tail"),
    ("f(bytes[][] a)", words("20", "3", "20", "20", "20", "0"), "amplification"),
    ("f(uint8[2] a)", words("1"), "fixed array cut off"),
    ("f(string[2] a)", words("20", "40", "40", "0"), "fixed array with a shared tail"),
]


@pytest.mark.parametrize(("declared", "data", "why"), REFUSED, ids=[each[2] for each in REFUSED])
def test_other_forms_are_refused(declared: str, data: bytes, why: str) -> None:
    """Cut off, followed by more, dirty, out of range, shared, overlapping or out of order: refused by name."""
    with pytest.raises(Malformed) as caught:
        decode(method(declared).inputs, data)

    assert caught.value.code == "abi.form"


def test_every_truncation_is_refused() -> None:
    """Cut at any byte, parameters are refused."""
    inputs = method("f(Line[] a, bytes b, uint8[2] c)", {"Line": LINE}).inputs
    data = encode(inputs, (((((1, -1), (2, -2)), "née"),) * 2, b"x" * 33, (7, 8)))

    assert decode(inputs, data)[1] == b"x" * 33
    for size in range(len(data)):
        with pytest.raises(Malformed):
            decode(inputs, data[:size])


@pytest.mark.parametrize("kind", ["uint8", "uint256", "int8", "int256", "bytes1", "bytes32", "address", "bool"])
def test_edges_round_trip(kind: str) -> None:
    """The least and the greatest value of a type are written and read."""
    (field,) = method(f"f({kind} a)").inputs
    size = field.type.size
    edges: dict[str, tuple[object, object]] = {
        "uint": (0, 2**size - 1),
        "int": (-(2 ** (size - 1 if size else 0)), 2 ** (size - 1 if size else 0) - 1),
        "fixed": (bytes(size), b"\xff" * size),
        "address": (bytes(20), b"\xff" * 20),
        "bool": (False, True),
    }

    for value in edges[field.type.kind]:
        (found,) = decode((field,), encode((field,), (value,)))
        assert found == value
        assert type(found) is type(value)


def test_types_know_their_size() -> None:
    """A static type takes its words in place, a dynamic one a word for its offset."""
    sizes = {
        "uint8": 32,
        "uint8[3]": 96,
        "bytes3[2][2]": 128,
        "bytes": 32,
        "uint8[]": 32,
        "string[2]": 32,
    }

    assert {kind: method(f"f({kind} a)").inputs[0].type.head_bytes for kind in sizes} == sizes
    assert (POINT.head_bytes, POINT.dynamic) == (64, False)
    assert (LINE.head_bytes, LINE.dynamic) == (32, True)
    assert Field("a", Type("bool")).as_json() == {"name": "a", "type": "bool", "internalType": "bool"}
