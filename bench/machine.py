"""The machine a result was measured on, in words that name no place: processor, cores, system, versions."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "paraph",
    "coincurve",
    "cryptography",
    "dcap-qvl",
    "safe-pysha3",
    "lmdb",
    "uvicorn",
    "starlette",
    "onnxruntime",
    "xllamacpp",
    "numpy",
    "numba",
    "ezkl",
)


def machine() -> dict[str, str | int]:
    """Processor model, cores that this process may use, and the operating system."""
    return {"cpu": _processor(), "cores": _cores(), "system": _system()}


def versions() -> dict[str, str]:
    """The interpreter and the packages that the figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
