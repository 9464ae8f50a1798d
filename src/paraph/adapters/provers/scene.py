"""One operator of an ONNX file, with what it reads: what its reader is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.network import Floats
from paraph.adapters.provers.onnx_file import Operator
from paraph.adapters.provers.signals import Building, Signal, Value
from paraph.core.errors import Malformed


def refuse(operator: Operator, why: str) -> Malformed:
    """The error of an operator that cannot be made exact."""
    return Malformed("exact.op", f"{operator}: {why}", operator=operator.name)


@dataclass(slots=True)
class Scene:
    """What an operator is read with.

    Args:
        building: the network so far.
        operator: the one that is read.
        values: what its inputs are; None where one is left out.
    """

    building: Building
    operator: Operator
    values: tuple[Value | None, ...]

    def signal(self, number: int = 0) -> Signal:
        """An input that must be a tensor of the network. Raises `Malformed` (`exact.op`)."""
        found = self.values[number] if number < len(self.values) else None
        if not isinstance(found, Signal):
            raise refuse(self.operator, f"its input {number} must come from the model's input, and is a constant")
        return found

    def constant(self, number: int) -> NDArray[Any] | None:
        """An input that must be a constant, or left out. Raises `Malformed` (`exact.op`)."""
        found = self.values[number] if number < len(self.values) else None
        if found is not None and not isinstance(found, np.ndarray):
            raise refuse(self.operator, f"its input {number} must be a constant of the file")
        return found

    def floats(self, number: int) -> Floats:
        """A constant of numbers that must be there. Raises `Malformed` (`exact.op`)."""
        found = self.constant(number)
        if found is None or found.dtype.kind not in "fiub":
            raise refuse(self.operator, f"its input {number} must be numbers")
        return finite(self.operator, found)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.operator.attributes.get(name, default)

    def whole(self, number: int, name: str) -> list[int] | None:
        """Whole numbers that are an input in newer files and an attribute in older ones."""
        found = self.constant(number)
        if found is not None:
            return [int(each) for each in found.ravel()[:16]]
        old = self.get(name)
        return None if old is None else [int(each) for each in np.atleast_1d(old)[:16]]


Reader: TypeAlias = Callable[[Scene], Value]


def finite(operator: Operator, values: Any) -> Floats:
    """Numbers of the file. Raises `Malformed` (`exact.op`) for an infinity or none at all."""
    found = np.asarray(values, np.float64)
    if not np.isfinite(found).all():
        raise refuse(operator, "it holds an infinity, or what is not a number")
    return found
