"""The devnet's exact models: two classifiers trained here from public data, whose answers can be proven.

Each is made once, by the same steps as `paraph model quantize` takes, and kept.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    pass

HIDDEN: Final = {"digits": 32, "breast-cancer": 16}
"""Neurons of the one hidden layer: enough for nine of ten answers about digits that others wrote to be right."""


def digits(folder: Path) -> Path:
    """A classifier of handwritten digits (1797 images of 8 × 8), in that folder."""
    return _once(folder, _make_digits)


def breast_cancer_exact(folder: Path) -> Path:
    """A classifier of the breast-cancer data (569 patients, 30 measurements), in that folder."""
    return _once(folder, _make_breast_cancer)


def digit(index: int) -> tuple[list[float], int]:
    """One image, as 64 shades of grey from 0 to 16, and the digit that it shows."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return [float(value) for value in data.data[index]], int(data.target[index])


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        make(part)
        part.replace(folder)
    return folder


def _make_digits(folder: Path) -> None:
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    data, target = load_digits(return_X_y=True)
    trained = MLPClassifier((HIDDEN["digits"],), max_iter=400, random_state=1, tol=1e-3)
    _make(folder, trained, data, target)


def _make_breast_cancer(folder: Path) -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data, target = load_breast_cancer(return_X_y=True)
    trained = MLPClassifier((HIDDEN["breast-cancer"],), max_iter=400, random_state=1, tol=1e-3)
    _make(folder, make_pipeline(StandardScaler(), trained), data, target)


def _make(folder: Path, model: Any, data: Any, target: Any) -> None:
    """Train on the first four fifths, make it exact, certify it on the rest, and write the folder."""
    import numpy as np
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    from paraph.adapters.provers.model import certified, make, save

    data = data.astype(np.float32)
    first = len(data) * 4 // 5
    model.fit(data[:first], target[:first])
    kinds = [("input", FloatTensorType([None, data.shape[1]]))]
    converted = convert_sklearn(
        model, initial_types=kinds, options={id(model): {"zipmap": False}}, target_opset={"": 17, "ai.onnx.ml": 3}
    )
    onnx = converted.SerializeToString(deterministic=True)
    save(certified(make(onnx, data[:first]), onnx, data, first), folder)
