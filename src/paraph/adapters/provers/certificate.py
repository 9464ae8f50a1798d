"""How well an exact model says what its original says: counted on inputs that it was not made with.

A certificate is no proof: whoever holds the original file and the inputs computes it again, and compares. What the
exact model gives must then be equal to the last bit; what ONNX Runtime gives may differ in the last digits between
machines and releases, and so may the errors against it.

Whoever owns the folder of a model can write any certificate into it. Only a recheck says that it is true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import isclose
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.decimals import number_from, text_of
from paraph.adapters.provers.onnx_file import scores_model
from paraph.core.digest import sha256
from paraph.core.encode import Json, as_integer, as_object, as_text, take
from paraph.core.errors import Malformed, Rejected, Unverified
from paraph.core.ident import to_hex

ERROR_TOLERANCE: Final = 1e-3
"""Relative: ONNX Runtime's sums of single-precision numbers differ by about 1e-6 of a score, errors are 1e-2 of it."""
ROWS_MAX: Final = 2**31 - 1
LIBRARIES: Final = ("numpy", "onnx", "onnxruntime")
DIGEST_CHARACTERS: Final = 66


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was compared, and how it came out.

    Args:
        onnx: SHA-256 of the original file, 0x and hex; so are all digests.
        graph: of the exact model's graph.
        weights: of its file of weights.
        first: which row of the data the first input was.
        inputs: how many.
        inputs_digest: of their numbers in single precision, little-endian.
        outputs_digest: of the exact model's outputs, int32 little-endian.
        agreed: on how many inputs both had the same largest score, or the only score on the same side of zero.
        mean_error: of all scores, absolute.
        max_error: of any score, absolute.
        max_score: the largest score of the original, absolute.
        versions: of the libraries that compared.
    """

    onnx: str
    graph: str
    weights: str
    first: int
    inputs: int
    inputs_digest: str
    outputs_digest: str
    agreed: int
    mean_error: float
    max_error: float
    max_score: float
    versions: Mapping[str, str]

    def as_json(self) -> dict[str, Json]:
        """As JSON; numbers that are not whole are decimal text."""
        return {
            "onnx": self.onnx,
            "graph": self.graph,
            "weights": self.weights,
            "first": self.first,
            "inputs": self.inputs,
            "inputs_digest": self.inputs_digest,
            "outputs_digest": self.outputs_digest,
            "agreed": self.agreed,
            "mean_error": text_of(self.mean_error),
            "max_error": text_of(self.max_error),
            "max_score": text_of(self.max_score),
            "versions": dict(self.versions),
        }


def certificate_from_json(value: Json) -> Certificate:
    """Read a certificate. Raises `Malformed` (`json.shape`, `exact.number`)."""
    names = (
        "onnx graph weights first inputs inputs_digest outputs_digest agreed mean_error max_error max_score versions"
    )
    onnx, graph, weights, first, inputs, inputs_digest, outputs_digest, agreed, mean, most, score, versions = take(
        value, "certificate", *names.split()
    )
    libraries = as_object(versions, "certificate.versions")
    if not libraries.keys() <= set(LIBRARIES):
        raise Malformed("json.shape", f"certificate.versions names {', '.join(LIBRARIES)}")
    count = as_integer(inputs, "certificate.inputs", 1, ROWS_MAX)
    return Certificate(
        _digest(onnx),
        _digest(graph),
        _digest(weights),
        as_integer(first, "certificate.first", 0, ROWS_MAX),
        count,
        _digest(inputs_digest),
        _digest(outputs_digest),
        as_integer(agreed, "certificate.agreed", 0, count),
        number_from(mean, "certificate.mean_error"),
        number_from(most, "certificate.max_error"),
        number_from(score, "certificate.max_score"),
        {name: as_text(each, "certificate.versions", bytes_max=64) for name, each in libraries.items()},
    )


def original_scores(onnx: bytes, tensor: str, input_name: str, rows: NDArray[Any]) -> NDArray[np.float64]:
    """The scores of the original file, by ONNX Runtime, one row of numbers for each input.

    Args:
        onnx: the file.
        tensor: the name of the scores in it.
        input_name: the name of its input.
        rows: the batch first.

    Raises:
        Malformed: `exact.onnx`: the file, or its use on these rows, is refused by the runtime.
    """
    import onnxruntime  # noqa: PLC0415  (a base install has none, and reads certificates)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # The runtime's errors have no common root but Exception.
    try:
        cut = scores_model(onnx, tensor)
        session = onnxruntime.InferenceSession(cut, options, providers=["CPUExecutionProvider"])
        kind = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32
        side = session.get_inputs()[0].shape[0]
        step = side if isinstance(side, int) and side > 0 else len(rows)
        sides = session.get_inputs()[0].shape[1:]
        if all(isinstance(each, int) for each in sides):
            rows = rows.reshape(len(rows), *sides)
        pieces = [rows[at : at + step] for at in range(0, len(rows), step)]
        found = [session.run(None, {input_name: _filled(each, step).astype(kind)})[0] for each in pieces]
    except Malformed:
        raise
    except Exception as error:
        raise Malformed("exact.onnx", f"ONNX Runtime refuses the file or the inputs: {str(error)[:300]}") from error
    scores = np.concatenate([np.asarray(each, np.float64).reshape(step, -1) for each in found])
    return scores[: len(rows)]


def _filled(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """So many rows, the last repeated: a file may have a fixed batch."""
    return rows if len(rows) == count else np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What goes into a certificate.

    Args:
        onnx: the original file.
        graph: the exact model's canonical graph.
        weights: its file of weights.
        first: which row of the data the first input was.
        rows: the inputs.
        outputs: what the exact model gave, int32.
        scores: the same in the original's units.
        original: what the original gave.
    """

    onnx: bytes
    graph: bytes
    weights: bytes
    first: int
    rows: NDArray[Any]
    outputs: NDArray[np.int32]
    scores: NDArray[np.float64]
    original: NDArray[np.float64]


def certify(compared: Compared) -> Certificate:
    """Count and measure.

    Raises:
        Rejected: `exact.holdout`: there is nothing to compare, or the original's scores are not numbers.
    """
    ours, theirs = compared.scores, compared.original
    if not len(ours) or ours.shape != theirs.shape or not np.isfinite(theirs).all():
        raise Rejected("exact.holdout", f"scores of {ours.shape} and {theirs.shape} cannot be compared")
    errors = np.abs(ours - theirs)
    return Certificate(
        onnx=_hashed(compared.onnx),
        graph=_hashed(compared.graph),
        weights=_hashed(compared.weights),
        first=compared.first,
        inputs=len(ours),
        inputs_digest=_hashed(compared.rows.astype("<f4").tobytes()),
        outputs_digest=_hashed(compared.outputs.astype("<i4").tobytes()),
        agreed=int((answers(ours) == answers(theirs)).sum()),
        mean_error=float(errors.mean()),
        max_error=float(errors.max()),
        max_score=float(np.abs(theirs).max()),
        versions={name: version(name) for name in LIBRARIES},
    )


def answers(scores: NDArray[Any]) -> NDArray[np.int64]:
    """For each row: which score is the largest, the first of equals; of a single score, whether it is above zero."""
    if scores.shape[1] == 1:
        return (scores[:, 0] > 0).astype(np.int64)
    found: NDArray[np.int64] = scores.argmax(axis=1)
    return found


def need_same(claimed: Certificate, found: Certificate) -> None:
    """That what was computed again is what a certificate says; versions may differ.

    Raises:
        Unverified: `certificate.…`: every part that differs.
    """
    reasons: list[tuple[str, str]] = []
    exact = ("onnx", "graph", "weights", "first", "inputs", "inputs_digest", "outputs_digest", "agreed")
    for name in exact:
        said, is_ = getattr(claimed, name), getattr(found, name)
        if said != is_:
            reasons.append((f"certificate.{name}", f"the certificate says {said} of its {name}; it is {is_}"))
    for name in ("mean_error", "max_error", "max_score"):
        said, is_ = getattr(claimed, name), getattr(found, name)
        if not isclose(said, is_, rel_tol=ERROR_TOLERANCE, abs_tol=ERROR_TOLERANCE * ERROR_TOLERANCE):
            reasons.append((f"certificate.{name}", f"the certificate says {said:g} of its {name}; it is {is_:g}"))
    if reasons:
        raise Unverified(tuple(reasons))


def _hashed(data: bytes) -> str:
    return to_hex(sha256(data))


def _digest(value: Json) -> str:
    text = as_text(value, "certificate's digest", bytes_max=DIGEST_CHARACTERS)
    if len(text) != DIGEST_CHARACTERS or text[:2] != "0x" or set(text[2:]) - set("0123456789abcdef"):
        raise Malformed("json.shape", "a digest is 0x and 64 hexadecimal digits")
    return text
