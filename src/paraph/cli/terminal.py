"""What the command line writes: lines, JSON, colour where a person looks, and signs of life while they wait."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TextIO

import click

COLOURS: Final = {"✓": "green", "✗": "red", "–": "yellow"}
PATIENCE_S: Final = 1.0
"""A wait shorter than this passes without a word."""
FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without the characters that move a cursor, change colours or reverse the reading: they become escapes.

    What models, nodes and files say may hold such characters, and a terminal would obey them.
    """
    return _CONTROLS.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def shown(text: str) -> str:
    """`text` as it is for a file or a pipe, `printable` for a terminal."""
    return printable(text) if sys.stdout.isatty() else text


def say(line: str = "") -> None:
    """One line of the result, on standard output."""
    click.echo(line)


def note(line: str) -> None:
    """One line beside the result, on standard error."""
    click.echo(printable(line), err=True)


def emit(value: Any) -> None:
    """The result as JSON."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(value, indent=2, ensure_ascii=not readable))


def coloured(stream: TextIO) -> bool:
    """True when a person looks, and has not asked for no colour (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, *, bold: bool = False) -> str:
    """`text` in a colour, where standard output shows any."""
    return click.style(text, fg=colour, bold=bold) if coloured(sys.stdout) else text


def marked(line: str) -> str:
    """A line whose mark (✓ ✗ –) is shown in its colour."""
    rest = line.lstrip()
    if rest[:1] not in COLOURS:
        return line
    return line[: len(line) - len(rest)] + paint(rest[0], COLOURS[rest[0]], bold=True) + rest[1:]


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> Iterable[str]:
    """Rows as lines with columns under their heads."""
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """A sign of life on a terminal while something takes more than a second; silence anywhere else.

    Yields what changes the words that are shown.
    """
    words = [what]
    if not sys.stderr.isatty():
        yield words.append
        return
    over = threading.Event()
    sign = threading.Thread(target=_sign, args=(words, over), daemon=True)
    sign.start()
    try:
        yield words.append
    finally:
        over.set()
        sign.join()


def _sign(words: list[str], over: threading.Event) -> None:
    began = time.monotonic()
    if over.wait(PATIENCE_S):
        return
    frame = 0
    while not over.wait(0.1):
        frame += 1
        passed = time.monotonic() - began
        sys.stderr.write(f"\r\x1b[2K{FRAMES[frame % len(FRAMES)]} {printable(words[-1])} {passed:.0f} s")
        sys.stderr.flush()
    sys.stderr.write("\r\x1b[2K")
    sys.stderr.flush()
