"""The quiet floors stay quiet: below the line there is no clock, no chance, no disk, no wire, no float, no waiting.

import-linter holds the direction of imports; this holds what a line of code may do. Each rule is shown to catch a bad
snippet and to leave a good one alone, so that the guard itself is guarded.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[2] / "src" / "paraph"
QUIET: Final = ("core", "proofs", "ledger", "flows")
FILES: Final = sorted(path for floor in QUIET for path in (SOURCE / floor).rglob("*.py"))

# The one door for JSON: it reads numbers, so it alone may turn text into a float, and never computes with one.
ENCODE: Final = "core/encode.py"

IMPORTS_ALLOWED: Final = frozenset({
    "abc", "base64", "binascii", "bisect", "collections", "contextlib", "dataclasses", "enum", "functools", "hashlib",
    "heapq", "hmac", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing",
    "unicodedata", "coincurve", "cryptography", "pyhpke", "sha3", "paraph",
    "dcap_qvl",  # it can fetch what it needs, too; called with all that it needs, it has no clock and no wire
})  # fmt: skip
CALLS_REFUSED: Final = frozenset({"open", "print", "input", "hash", "id", "eval", "exec", "__import__", "breakpoint"})
# Sets have no order, but these do not care: their answer is the same in any order.
ORDERLESS: Final = frozenset({"sorted", "len", "sum", "min", "max", "any", "all", "set", "frozenset"})
ORDERED: Final = frozenset({"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "dict", "bytes", "reversed"})

Finding = tuple[int, str]
Rule = Callable[[ast.Module, str], Iterator[Finding]]


def floats(tree: ast.Module, file: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"the float {node.value}"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "true division; round with // and say in whose favour"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "float" and file != ENCODE:
            yield node.lineno, "float()"


def waiting(tree: ast.Module, _file: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield node.lineno, "async; a flow yields what it wants instead"
        if isinstance(node, ast.comprehension) and node.is_async:
            yield node.target.lineno, "async comprehension"


def shared_state(tree: ast.Module, _file: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno, "global"


def outside(tree: ast.Module, file: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS_REFUSED:
            yield node.lineno, f"{node.func.id}()"
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from _foreign(node.lineno, name.name, file)
        if isinstance(node, ast.ImportFrom):
            yield from _foreign(node.lineno, node.module or "a relative import", file)


def _foreign(line: int, module: str, file: str) -> Iterator[Finding]:
    top = module.partition(".")[0]
    if top not in IMPORTS_ALLOWED:
        yield line, f"import of {module}; if it has no I/O, clock or chance, add it to IMPORTS_ALLOWED"
    if top == "json" and file != ENCODE:
        yield line, "import of json; decode untrusted bytes with paraph.core.encode"


def unordered(tree: ast.Module, _file: str) -> Iterator[Finding]:
    """Iteration over what is visibly a set: a literal, set(), arithmetic of sets, or a name bound to one."""
    names = set(_set_names(tree))
    harmless = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ORDERLESS
        for argument in call.args
    }
    for node in ast.walk(tree):
        iterated: list[ast.expr] = []
        if isinstance(node, ast.For | ast.YieldFrom):
            iterated = [node.iter if isinstance(node, ast.For) else node.value]
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and id(node) not in harmless:
            iterated = [generator.iter for generator in node.generators]
        elif isinstance(node, ast.Starred):
            iterated = [node.value]
        elif isinstance(node, ast.Call):
            named = node.func.id if isinstance(node.func, ast.Name) else ""
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if named in ORDERED or method in {"join", "fromkeys", "extend"}:
                iterated = node.args
            elif method == "pop" and not node.args and isinstance(node.func, ast.Attribute):
                iterated = [node.func.value]
        for expression in iterated:
            if _is_set(expression, names):
                yield expression.lineno, f"iteration over a set, `{ast.unparse(expression)}`; sort it"


def _set_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_set(node.value, set()):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if _names_set(node.annotation) or (node.value and _is_set(node.value, set())):
                yield node.target.id
        elif isinstance(node, ast.arg) and node.annotation and _names_set(node.annotation):
            yield node.arg


def _names_set(annotation: ast.expr) -> bool:
    head = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(head, ast.Name) and head.id in {"set", "frozenset", "Set", "AbstractSet", "MutableSet"}


def _is_set(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Name(id=name):
            return name in names
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(value=value, attr="union" | "difference" | "intersection" | "copy")):
            return _is_set(value, names)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return any(_is_set(side, names) or _is_keys(side) for side in (left, right))
        case _:
            return False


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"keys", "items"}


RULES: Final[tuple[Rule, ...]] = (floats, waiting, shared_state, outside, unordered)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_file_is_quiet(path: Path) -> None:
    """A file of the quiet floors breaks no rule."""
    file = path.relative_to(SOURCE).as_posix()
    tree = ast.parse(path.read_bytes(), file)

    assert [f"{file}:{line}: {what}" for rule in RULES for line, what in rule(tree, file)] == []


BAD: Final[tuple[tuple[Rule, str], ...]] = (
    (floats, "x = 0.5"),
    (floats, "x = 1e3"),
    (floats, "x = 2j"),
    (floats, "x = a / b"),
    (floats, "x /= 2"),
    (floats, "x = float(text)"),
    (waiting, "async def f(): pass"),
    (waiting, "async def f(): await g()"),
    (waiting, "async def f(): return [x async for x in y]"),
    (shared_state, "def f():\n    global x"),
    (outside, "open('x')"),
    (outside, "print(1)"),
    (outside, "input()"),
    (outside, "hash(x)"),
    (outside, "id(x)"),
    (outside, "eval('1')"),
    (outside, "__import__('time')"),
    (outside, "import time"),
    (outside, "from datetime import datetime"),
    (outside, "import random"),
    (outside, "import secrets"),
    (outside, "import os.path"),
    (outside, "from . import neighbour"),
    (outside, "import json"),
    (outside, "from json import loads"),
    (unordered, "for x in {1, 2}: pass"),
    (unordered, "for x in set(y): pass"),
    (unordered, "x = [y for y in frozenset(z)]"),
    (unordered, "x = {y: 1 for y in {1, 2}}"),
    (unordered, "x = [*{1, 2}]"),
    (unordered, "x = tuple({y for y in z})"),
    (unordered, "x = ','.join(set(y))"),
    (unordered, "x = next(iter({1, 2}))"),
    (unordered, "x = dict.fromkeys({1, 2})"),
    (unordered, "for x in set(a) - set(b): pass"),
    (unordered, "for x in a.keys() - {1}: pass"),
    (unordered, "s = {1, 2}\nfor x in s: pass"),
    (unordered, "s = {1, 2}\nx = s.pop()"),
    (unordered, "def f(s: frozenset[int]):\n    return list(s)"),
    (unordered, "def f():\n    yield from {1, 2}"),
)


@pytest.mark.parametrize(("rule", "snippet"), BAD, ids=[snippet for _, snippet in BAD])
def test_rule_catches(rule: Rule, snippet: str) -> None:
    """A rule finds its own breach."""
    assert list(rule(ast.parse(snippet), "ledger/any.py"))


GOOD: Final = (
    "x = a // b",
    "x = 1_000",
    "def f(x: float) -> tuple[float, ...]: ...",
    "from collections.abc import AsyncIterator",
    "for x in sorted({1, 2}): pass",
    "for x in sorted(set(a) - b.keys()): pass",
    "x = any(y > 1 for y in {1, 2})",
    "x = len({1, 2})",
    "x = {y + 1 for y in {1, 2}}",
    "x = y in {1, 2}",
    "for x in a.keys(): pass",
    "for x in a - b: pass",
    "x = [1, 2].pop()",
)


@pytest.mark.parametrize("snippet", GOOD)
def test_rules_leave_alone(snippet: str) -> None:
    """What is quiet is not complained about."""
    assert [finding for rule in RULES for finding in rule(ast.parse(snippet), "ledger/any.py")] == []


@pytest.mark.parametrize("snippet", ["import json", "x = float(text)"])
def test_encode_is_the_door_for_json(snippet: str) -> None:
    """The one file that decodes JSON may read it, and may read a number."""
    assert [finding for rule in RULES for finding in rule(ast.parse(snippet), ENCODE)] == []


def test_there_are_files_to_look_at() -> None:
    """The guard does not pass by looking at nothing: each quiet floor has files."""
    assert all(any((SOURCE / floor).glob("*.py")) for floor in QUIET)
