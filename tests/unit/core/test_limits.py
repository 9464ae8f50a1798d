"""Limits: each is a positive integer with a reason beside it."""

import ast
from pathlib import Path

import paraph.core.limits

SOURCE = Path(paraph.core.limits.__file__)


def test_every_limit_has_a_reason() -> None:
    """Each constant of the table is followed by a sentence of its own."""
    body = ast.parse(SOURCE.read_text()).body[2:]
    pairs = list(zip(body[::2], body[1::2], strict=True))

    assert all(isinstance(limit, ast.AnnAssign) for limit, _ in pairs)
    assert all(isinstance(reason, ast.Expr) and isinstance(reason.value, ast.Constant) for _, reason in pairs)


def test_every_limit_is_positive() -> None:
    """No limit is zero or of another type."""
    values = {name: value for name, value in vars(paraph.core.limits).items() if name.isupper()}

    assert all(type(value) is int and value > 0 for value in values.values())
