"""What `make demo` leaves behind verifies with the network stopped, and no character of it can change unnoticed."""

from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from tests.support.mutate import Leaf, leaves

from paraph.cli.program import paraph
from paraph.core.encode import decode
from paraph.devnet import demo

pytestmark = [pytest.mark.e2e, pytest.mark.models]


def verify(file: Path, trust: Path) -> int:
    """The exit code of `paraph verify`, in this process."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        words = ["verify", str(file), "--trust", str(trust), "--min-trust", "simulated"]
        code: int = paraph.main(words, standalone_mode=False)
    return code


def with_one_character_changed(spelled: str) -> Iterator[str]:
    """The JSON text of a leaf with one character changed: its first, its last, and some between."""
    quote = '"' if spelled.startswith('"') else ""
    inside = spelled.removeprefix(quote).removesuffix(quote)
    if not inside:
        yield '"x"'
        return
    last = len(inside) - 1
    for at in sorted({0, min(1, last), min(2, last), last // 3, last // 2, max(last - 1, 0), last}):
        letter = inside[at]
        other = chr(ord(letter) ^ 1) if letter.isalnum() else "x"
        yield quote + inside[:at] + other + inside[at + 1 :] + quote


def unnoticed(file: Path, trust: Path, work: Path) -> tuple[int, list[tuple[Leaf, str, int]]]:
    """How many changes were tried, and those that were answered with another code than 1 or 2."""
    text, found = leaves(decode(file.read_bytes()))
    changed = work / "changed.json"
    tried, missed = 0, []
    for leaf in found:
        spelled = text[leaf.start : leaf.stop]
        for other in with_one_character_changed(spelled):
            assert other != spelled
            changed.write_text(text[: leaf.start] + other + text[leaf.stop :])
            tried += 1
            code = verify(changed, trust)
            if code not in (1, 2):
                missed.append((leaf, other, code))
    return tried, missed


# One test, because the demo takes a while and parallel workers would each run it.
def test_demo_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo ends well; its files verify from then on; changed in any leaf they never do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path / "home"))

    assert demo.main() == 0

    trust = tmp_path / demo.OUT / "trust.json"
    for name in demo.ANSWERS:
        file = tmp_path / demo.OUT / name
        assert verify(file, trust) == 0
        tried, missed = unnoticed(file, trust, tmp_path)
        assert tried > 300
        assert missed == []
