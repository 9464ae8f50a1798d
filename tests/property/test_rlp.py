"""RLP, for any item and any bytes: read back, the same as another library, and only one form."""

import rlp as reference  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import damaged, outcome

from paraph.core import rlp

items: st.SearchStrategy[rlp.Rlp] = st.recursive(
    st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=20
)


@given(items)
def test_items_survive(item: rlp.Rlp) -> None:
    """What is written is read, and pyrlp writes and reads the same."""
    data = rlp.encode(item)

    assert data == reference.encode(item)
    assert rlp.decode(data) == item == reference.decode(data)


@given(items, st.data())
def test_one_item_has_one_form(item: rlp.Rlp, data: st.DataObject) -> None:
    """Damaged bytes are refused by name, or are the one form of the item that they hold."""
    hostile = data.draw(damaged(rlp.encode(item)) | st.binary(max_size=100))

    found, code = outcome(lambda: rlp.decode(hostile))

    assert code in ("", "rlp.form")
    assert found is None or rlp.encode(found) == hostile == reference.encode(found)


@given(st.integers(0, 2**256 - 1))
def test_integers_survive(value: int) -> None:
    """Any amount is written without a leading zero and read back."""
    assert rlp.to_uint(rlp.from_uint(value), "it") == value
    assert rlp.from_uint(value)[:1] != b"\0"
