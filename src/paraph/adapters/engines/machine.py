"""Which class of processor this is, in one word: the kernels an engine chooses, and so the bits, depend on it."""

import platform
from pathlib import Path

_X86_CLASSES = (
    ("avx512_vnni", "x86_64-avx512_vnni"),
    ("avx512f", "x86_64-avx512"),
    ("avx2", "x86_64-avx2"),
)
"""The steps at which ONNX Runtime's kernels change, best first."""


def isa_class(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The instruction-set class of this machine, e.g. `x86_64-avx2` or `aarch64-neon`."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return "aarch64-neon"
    if machine not in ("x86_64", "amd64"):
        return machine
    return x86_class(cpuinfo.read_text() if cpuinfo.exists() else "")


def x86_class(cpuinfo: str) -> str:
    """The class from the text of `/proc/cpuinfo`; `x86_64-sse` when nothing better is listed."""
    flags: set[str] = set()
    for line in cpuinfo.splitlines():
        name, _, listed = line.partition(":")
        if name.strip() == "flags":
            flags = set(listed.split())
            break
    return next((found for flag, found in _X86_CLASSES if flag in flags), "x86_64-sse")
