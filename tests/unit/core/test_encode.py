"""JSON: RFC 8785's own numbers and texts, one spelling a value, and every hostile document refused by name."""

import json
import math
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from enum import IntEnum
from time import process_time

import pytest

from paraph.core.encode import (
    Json,
    as_decimal,
    as_integer,
    as_list,
    as_object,
    as_text,
    canonical,
    decode,
    decode_exact,
    spelled,
    take,
)
from paraph.core.errors import Malformed
from paraph.core.limits import JSON_BYTES_MAX, JSON_DEPTH_MAX, JSON_INTEGER_MAX

RFC_8785_NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]
"""RFC 8785 appendix B: the IEEE 754 double and its JSON form."""

RFC_8785_TOO_LARGE = [
    "7fefffffffffffff",
    "ffefffffffffffff",
    "4340000000000000",
    "c340000000000000",
    "4430000000000000",
    "44b52d02c7e14af5",
    "44b52d02c7e14af6",
    "44b52d02c7e14af7",
    "444b1ae4d6e2ef4e",
    "444b1ae4d6e2ef4f",
    "444b1ae4d6e2ef50",
    "7fffffffffffffff",
    "7ff0000000000000",
]
"""The rest of appendix B: integers beyond 2^53 − 1, NaN and infinity, which have no form here."""


def double(bits: str) -> float:
    found: float = struct.unpack(">d", bytes.fromhex(bits))[0]
    return found


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Malformed) as caught:
        call()
    return caught.value.code


# --- writing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "expected"), RFC_8785_NUMBERS)
def test_numbers_of_the_rfc(bits: str, expected: str) -> None:
    """Each number of RFC 8785 appendix B within our range is spelled as there."""
    assert spelled(double(bits)) == expected
    assert canonical(double(bits)) == expected.encode()


@pytest.mark.parametrize("bits", RFC_8785_TOO_LARGE)
def test_numbers_beyond_are_refused(bits: str) -> None:
    """Each number of appendix B beyond ±(2^53 − 1) is refused: other languages may not carry it."""
    assert code_of(lambda: canonical(double(bits))) == "json.number"


def test_sample_of_the_rfc() -> None:
    """The sample of RFC 8785 section 3.2.2, less its 1E30, becomes what section 3.2.4 says."""
    source = rb"""{
      "numbers": [333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )

    assert canonical(decode(source)).decode() == expected
    assert code_of(lambda: decode(b"1E30")) == "json.number"


def test_names_are_sorted_by_utf_16() -> None:
    """Names stand in the order of RFC 8785 section 3.2.3: by UTF-16 code units, not by code points."""
    source = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    names = ["Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign"]
    names += ["Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh"]
    found = decode(canonical(source))

    assert isinstance(found, dict)
    assert list(found.values()) == names


def test_strings_are_escaped_in_one_way() -> None:
    r"""The seven short escapes, \u00xx for other controls, and all else as it is, DEL and U+2028 among them."""
    text = "".join(map(chr, range(0x20))) + '"\\/\x7f\u2028é🗼'
    expected = (
        r"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"
        r"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"
    )

    assert canonical(text).decode() == f'"{expected}\\"\\\\/\x7f\u2028é🗼"'


class Colour(IntEnum):
    RED = 7


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1.0, "1"),
        (-0.0, "0"),
        (Colour.RED, "7"),
        (JSON_INTEGER_MAX, "9007199254740991"),
        (-JSON_INTEGER_MAX, "-9007199254740991"),
        (float(JSON_INTEGER_MAX), "9007199254740991"),
        ((), "[]"),
        ({}, "{}"),
        (((1, [2]), {"b": 1, "a": (None,)}), '[[1,[2]],{"a":[null],"b":1}]'),
    ],
    ids=range(12),
)
def test_values_have_one_form(value: Json, expected: str) -> None:
    """Tuples are arrays, an enum is its number, a whole float is an integer."""
    assert canonical(value).decode() == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, "json.number"),
        (math.inf, "json.number"),
        (-math.inf, "json.number"),
        (2**53, "json.number"),
        (-(2**53), "json.number"),
        (float(2**53), "json.number"),
        ("\ud800", "json.text"),
        ({"\udfff": 1}, "json.text"),
        (b"bytes", "json.type"),
        ({1: 2}, "json.type"),
        ({"a": {None: 2}}, "json.type"),
        ({1, 2}, "json.type"),
        ([object()], "json.type"),
    ],
    ids=range(13),
)
def test_what_has_no_form_is_refused(value: Json, code: str) -> None:
    """NaN, infinities, large integers, lone surrogates and other types are refused, not approximated."""
    assert code_of(lambda: canonical(value)) == code


@pytest.mark.parametrize("around", ["[%s]", '{"a":%s}'])
@pytest.mark.parametrize("core", ["", "1"], ids=["empty", "filled"])
def test_depth_is_one_for_reading_and_writing(around: str, core: str) -> None:
    """What may be written may be read: both stop at the same depth, of arrays and objects, empty or not."""
    value: Json = [1] if core else []
    text = f"[{core}]"
    for _ in range(JSON_DEPTH_MAX - 1):
        value, text = ([value] if around[0] == "[" else {"a": value}), around % text

    assert canonical(value).decode() == text
    assert decode(text.encode()) == decode_exact(text.encode()) == value
    assert code_of(lambda: canonical([value])) == "json.depth"
    assert code_of(lambda: decode(f"[{text}]".encode())) == "json.depth"


def test_a_value_that_holds_itself_is_refused() -> None:
    """A list within itself ends in an error, not in a full stack."""
    value: list[Json] = []
    value.append(value)

    assert code_of(lambda: canonical(value)) == "json.depth"


# --- reading -----------------------------------------------------------------------------------------------------

HOSTILE = [
    (b"", "json.syntax"),
    (b" ", "json.syntax"),
    (b"{", "json.syntax"),
    (b'{"a"', "json.syntax"),
    (b'{"a":', "json.syntax"),
    (b'{"a":1', "json.syntax"),
    (b"[1,", "json.syntax"),
    (b"[1,]", "json.syntax"),
    (b"[1] 2", "json.syntax"),
    (b"[1]]", "json.syntax"),
    (b'"abc', "json.syntax"),
    (b'"\\', "json.syntax"),
    (b'"\\u00', "json.syntax"),
    (b'"\\x41"', "json.syntax"),
    (b'"\x00"', "json.syntax"),
    (b'"\n"', "json.syntax"),
    (b"'a'", "json.syntax"),
    (b"{a:1}", "json.syntax"),
    (b"// x\n1", "json.syntax"),
    (b"+1", "json.syntax"),
    (b"01", "json.syntax"),
    (b".5", "json.syntax"),
    (b"1.", "json.syntax"),
    (b"1e", "json.syntax"),
    (b"0x10", "json.syntax"),
    (b"True", "json.syntax"),
    ("\u0661".encode(), "json.syntax"),
    (b"\xa01", "json.utf8"),
    (b"\xef\xbb\xbf1", "json.syntax"),
    ("1".encode("utf-16"), "json.utf8"),
    (b'"\xff"', "json.utf8"),
    (b'"\xc0\x80"', "json.utf8"),
    (b'"\xed\xa0\x80"', "json.utf8"),
    (b'"\xf4\x90\x80\x80"', "json.utf8"),
    (b'"\xe2\x82', "json.utf8"),
    (b"NaN", "json.number"),
    (b"[Infinity]", "json.number"),
    (b'{"a":-Infinity}', "json.number"),
    (b"1e400", "json.number"),
    (b"-1e400", "json.number"),
    (b"9007199254740992", "json.number"),
    (b"-9007199254740992", "json.number"),
    (b"9007199254740992.0", "json.number"),
    (b"9" * 18, "json.number"),
    (b"1" + b"0" * 1_000_000, "json.number"),
    (b'{"a":1,"a":1}', "json.duplicate"),
    (b'[{"b":{"a":1,"\\u0061":2}}]', "json.duplicate"),
    (b'"\\ud800"', "json.text"),
    (b'"\\udc00\\ud800"', "json.text"),
    (b'{"\\uDFFF":1}', "json.text"),
    (b"[" * 100_000, "json.depth"),
    (b'{"a":' * 100_000, "json.depth"),
    (b"[" * 100_000 + b"]" * 100_000, "json.depth"),
    (b'["]]]]",' * 33, "json.depth"),
    (b'["\\"[[[",' * 33, "json.depth"),
]


@pytest.mark.parametrize(("data", "code"), HOSTILE, ids=[f"{n}-{data[:12]!r}" for n, (data, _) in enumerate(HOSTILE)])
def test_hostile_documents_are_refused(data: bytes, code: str) -> None:
    """Cut off, doubled, too deep, too large, not UTF-8, not JSON: each refused by its name, by both readers."""
    assert code_of(lambda: decode(data)) == code
    assert code_of(lambda: decode_exact(data)) == code


@pytest.mark.parametrize("sign", ["", "-"], ids=["above", "below"])
def test_integers_are_read_to_the_edge(sign: str) -> None:
    """Integers of any number of digits are read up to 2^53 − 1, and not one further."""
    for digits in [*("1" * size for size in range(1, 16)), "1000000000000000", str(JSON_INTEGER_MAX)]:
        assert decode((sign + digits).encode()) == decode_exact((sign + digits).encode()) == int(sign + digits)

    assert code_of(lambda: decode(f"{sign}{JSON_INTEGER_MAX + 1}".encode())) == "json.number"


def test_brackets_in_strings_are_text() -> None:
    """A string may hold any number of brackets and escaped quotes."""
    for text in ("[" * 100, '"[' * 100, "\\[" * 100, '\\"{'):
        assert decode(canonical([text])) == [text]


def test_size_is_bounded() -> None:
    """A document of the largest size is read; one byte more is refused before it is looked at."""
    assert decode(b"[1]", bytes_max=3) == [1]
    assert decode_exact(b"[1]", bytes_max=3) == [1]

    assert code_of(lambda: decode(b"[1] ", bytes_max=3)) == "json.size"
    assert code_of(lambda: decode(bytes(JSON_BYTES_MAX + 1))) == "json.size"


@pytest.mark.parametrize(
    "unit",
    [b'\\"', b'"', b"\\", b"a", b'""', b'"\\\\"', b"[]", b'",\\"'],
    ids=["escaped quotes", "quotes", "backslashes", "letters", "empty strings", "escapes", "arrays", "mixed"],
)
def test_refusing_takes_linear_time(unit: bytes) -> None:
    """A string that never ends is refused in time linear in its length: 300 kB of escaped quotes, in a blink."""
    data = b'"' + unit * (300_000 // len(unit)) + b"\\"

    start = process_time()
    assert code_of(lambda: decode(data)) in ("json.syntax", "json.text")
    assert process_time() - start < 2


def test_an_unknown_flood_is_not_repeated() -> None:
    """The error about unknown members does not repeat a megabyte of them."""
    with pytest.raises(Malformed) as caught:
        take({"x" * 1_000_000: 1}, "it", "a")

    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "1.0",
        "-0",
        "-0.0",
        "0.0",
        "1e0",
        "1E1",
        "1e+1",
        "1.50",
        "0.70",
        "1e-400",
        "1e-7000",
        "0.0000001",
        "12e-1",
        "3.0e-5",
    ],
)
def test_numbers_have_one_spelling(text: str) -> None:
    """The exact reader refuses a number that the canonical form spells in another way; the other reads it."""
    assert code_of(lambda: decode_exact(text.encode())) == "json.spelling"
    assert isinstance(decode(text.encode()), int | float)


@pytest.mark.parametrize(
    "text",
    [
        '"\\u0041"',
        '"\\/"',
        '"\\u000a"',
        '"\\u0022"',
        '"\\u000B"',
        '"\\u001F"',
        '"\\u007f"',
        '"\\u00e9"',
        '"\\ud83d\\ude00"',
        '{"\\u0061":1}',
    ],
)
def test_texts_have_one_spelling(text: str) -> None:
    """The exact reader refuses an escape that the canonical form does not have; the other reads it."""
    assert code_of(lambda: decode_exact(text.encode())) == "json.spelling"
    assert canonical(decode(text.encode())) != text.encode()


def test_exact_spellings_are_read() -> None:
    """Every canonical escape, and an escaped backslash before a letter that looks like one, is read exactly."""
    value = "".join(map(chr, range(0x100))) + "\\u0041\\/\\\\n"

    assert decode_exact(canonical(value)) == value
    assert decode_exact(b' { "b" : 1 ,\n"a":[ 0.7 , 5e-324 ] } ') == {"b": 1, "a": [0.7, 5e-324]}


# --- beside JavaScript -------------------------------------------------------------------------------------------


def some_doubles(count: int) -> list[float]:
    """Doubles of every size that has a form: any bits, short decimals, and neighbours of powers of ten and two."""
    rng = random.Random(8785)
    found: list[float] = []
    while len(found) < count:
        near = float(10 ** rng.randrange(16)) / float(10 ** rng.randrange(30))
        found += [
            math.ldexp(rng.random() - 0.5, rng.randrange(-1080, 54)),
            struct.unpack(">d", rng.randbytes(8))[0],
            rng.randrange(-(10**6), 10**6) / 10 ** rng.randrange(12),
            math.nextafter(near, rng.choice((0, math.inf))),
            near,
        ]
    limit = float(JSON_INTEGER_MAX)
    return [each for each in found if math.isfinite(each) and (not each.is_integer() or abs(each) <= limit)]


def test_numbers_are_spelled_as_javascript_spells_them() -> None:
    """Node.js and we spell thousands of doubles alike."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: RFC 8785's numbers and the round trip still judge the spelling")
    numbers = some_doubles(5_000)
    bits = json.dumps([struct.pack(">d", each).hex() for each in numbers])
    script = (
        'const bits = JSON.parse(require("fs").readFileSync(0, "utf8"));'
        'console.log(JSON.stringify(bits.map(each => JSON.stringify(Buffer.from(each, "hex").readDoubleBE(0)))))'
    )
    done = subprocess.run([node, "-e", script], input=bits, capture_output=True, text=True, check=True, timeout=60)

    assert len(numbers) > 4_000
    assert [spelled(each) for each in numbers] == json.loads(done.stdout)


# --- shapes ------------------------------------------------------------------------------------------------------


def test_members_are_taken_in_order() -> None:
    """The members asked for come in the order asked."""
    assert take({"a": 1, "b": 2}, "it", "b", "a") == (2, 1)
    assert as_object({"a": 1}, "it") == {"a": 1}
    assert as_list([1, 2], "it", items_max=2) == [1, 2]
    assert as_text("é", "it", bytes_max=2) == "é"
    assert as_integer(0, "it") == 0
    assert as_integer(JSON_INTEGER_MAX, "it") == JSON_INTEGER_MAX
    assert as_decimal("0", "it", 0) == 0
    assert as_decimal(str(2**256 - 1), "it", 2**256 - 1) == 2**256 - 1


@pytest.mark.parametrize(
    "read",
    [
        lambda: take([], "it"),
        lambda: take({}, "it", "a"),
        lambda: take({"a": 1, "b": 1}, "it", "a"),
        lambda: as_object([], "it"),
        lambda: as_object("{}", "it"),
        lambda: as_list({}, "it", items_max=9),
        lambda: as_list("ab", "it", items_max=9),
        lambda: as_list([1, 2], "it", items_max=1),
        lambda: as_text(1, "it"),
        lambda: as_text(None, "it"),
        lambda: as_text("éa", "it", bytes_max=2),
        lambda: as_text("\ud800", "it", bytes_max=2),
        lambda: as_integer(True, "it"),
        lambda: as_integer(1.0, "it"),
        lambda: as_integer("1", "it"),
        lambda: as_integer(None, "it"),
        lambda: as_integer(-1, "it"),
        lambda: as_integer(2**53, "it"),
        lambda: as_integer(5, "it", 6, 7),
        lambda: as_decimal(1, "it", 9),
        lambda: as_decimal("", "it", 9),
        lambda: as_decimal("01", "it", 9),
        lambda: as_decimal("00", "it", 9),
        lambda: as_decimal("-1", "it", 9),
        lambda: as_decimal("+1", "it", 9),
        lambda: as_decimal("1.0", "it", 9),
        lambda: as_decimal("²", "it", 9),
        lambda: as_decimal("\u0661", "it", 9),
        lambda: as_decimal("10", "it", 9),
        lambda: as_decimal("1" * 79, "it", 10**99),
        lambda: as_decimal(None, "it", 9),
    ],
    ids=range(31),
)
def test_other_shapes_are_refused(read: Callable[[], object]) -> None:
    """Another type, another range, another spelling: refused with one code."""
    assert code_of(read) == "json.shape"
