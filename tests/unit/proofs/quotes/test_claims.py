"""The words of trust classes."""

import pytest

from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import TrustClass, trust_class


def test_words() -> None:
    """Each class is found by its word, and by no other."""
    for each in TrustClass:
        assert trust_class(each.word) is each

    for word in ("", "Hardware", "hardware_strict", "x" * 10_000):
        with pytest.raises(Malformed) as caught:
            trust_class(word)
        assert caught.value.code == "trust.class"
        assert len(caught.value.message) < 200
