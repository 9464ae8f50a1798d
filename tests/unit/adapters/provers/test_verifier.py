"""The fastest verifier there is: the compiled one, or the reference where there is no compiler; the same verdicts."""

import subprocess
import sys

import pytest
from tests.support.exact import Told, proof

from paraph.adapters.provers import verifier
from paraph.core.errors import Unverified


@pytest.mark.parametrize("kind", ["fast", "reference"])
def test_both_take_and_refuse_alike(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A true proof is taken and a cut one refused, with or without the compiler."""
    if kind == "reference":
        monkeypatch.setattr(verifier, "COMPILER", "no_such_compiler")
    assert verifier.kind() == kind
    statement, data = Told().statement, proof().data

    assert verifier.verify(statement, data).statement == statement
    with pytest.raises(Unverified) as caught:
        verifier.verify(statement, data[:-1])
    assert caught.value.reasons[0][0] == "zk.length"


def test_nothing_loads_before_it_is_needed() -> None:
    """To have the verifier costs no compiler; only a proof does."""
    code = "import sys; import paraph.sdk.orders, paraph.full_node.node; print('numba' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"
