"""The class of a processor, from the flags it lists."""

import platform
from pathlib import Path

import pytest

from paraph.adapters.engines.machine import isa_class, x86_class


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse2 avx2 avx512f avx512_vnni", "x86_64-avx512_vnni"),
        ("fpu avx2 avx512f", "x86_64-avx512"),
        ("fpu avx2", "x86_64-avx2"),
        ("fpu sse2 avx", "x86_64-sse"),
        ("", "x86_64-sse"),
    ],
)
def test_the_best_listed_class_is_taken(flags: str, expected: str) -> None:
    """Classes are tried best first, and only whole flag names count."""
    assert x86_class(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: avx512_vnni\n") == expected


@pytest.mark.parametrize(
    ("machine", "expected"), [("aarch64", "aarch64-neon"), ("arm64", "aarch64-neon"), ("riscv64", "riscv64")]
)
def test_other_machines_have_their_own_class(monkeypatch: pytest.MonkeyPatch, machine: str, expected: str) -> None:
    """The class begins with the machine's name."""
    monkeypatch.setattr(platform, "machine", lambda: machine)

    assert isa_class() == expected


def test_without_a_list_the_least_is_assumed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the kernel tells nothing, the class promises nothing."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    assert isa_class(tmp_path / "none") == "x86_64-sse"
