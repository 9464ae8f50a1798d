"""What is written to a terminal cannot act on it, and what is written to a pipe is what it is."""

import io
import sys
import time

import pytest

from paraph.cli import terminal
from paraph.cli.terminal import coloured, emit, marked, paint, printable, shown, table, waiting


class Screen(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain – text\twith\nlines", "plain – text\twith\nlines"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\x0db"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eabc\u2066", "\\x202eabc\\x2066"),
    ],
)
def test_printable(text: str, safe: str) -> None:
    """Whatever moves a cursor, colours or reverses becomes an escape; text stays."""
    assert printable(text) == safe


def test_shown_is_exact_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets the bytes as they are, a terminal the printable ones."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    piped = shown("\x1b[2J")
    monkeypatch.setattr(sys, "stdout", Screen())

    assert (piped, shown("\x1b[2J")) == ("\x1b[2J", "\\x1b[2J")


@pytest.mark.parametrize(
    ("stream", "settings", "expected"),
    [
        (Screen(), {}, True),
        (Screen(), {"NO_COLOR": "1"}, False),
        (Screen(), {"NO_COLOR": ""}, True),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_coloured(
    stream: io.StringIO, settings: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colour for a person who has not refused it."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert coloured(stream) is expected


def test_marks_are_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the mark of a line is painted, and only a mark."""
    monkeypatch.setattr(terminal, "coloured", lambda stream: True)

    assert marked("  ✓ yes") == "  " + paint("✓", "green", bold=True) + " yes"
    assert marked("no mark") == "no mark"
    assert marked("") == ""


def test_table() -> None:
    """Columns stand under their heads, and a cell cannot break its line."""
    assert list(table([("a", "bb"), ("ccc\x1b", "d")], ("x", "y"))) == ["x        y", "a        bb", "ccc\\x1b  d"]


@pytest.mark.parametrize(("encoding", "written"), [("utf-8", '"é"\n'), ("ascii", '"\\u00e9"\n')])
def test_json_is_json_everywhere(encoding: str, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has the letters where the terminal has them, else their escapes."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)

    emit("é")

    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == written


def test_waiting_shows_life_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while a sign, and at the end a clean line."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal, "PATIENCE_S", 0.01)

    with waiting("thinking"):
        time.sleep(0.3)

    assert "thinking" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[2K")


def test_waiting_is_silent_when_it_is_short_or_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in a pipe, and nothing for what takes no time."""
    pipe, screen = io.StringIO(), Screen()
    for stream in (pipe, screen):
        monkeypatch.setattr(sys, "stderr", stream)
        with waiting("thinking"):
            pass

    assert pipe.getvalue() == screen.getvalue() == ""
