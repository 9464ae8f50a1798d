"""The reference page of the JSON-RPC lists what there is."""

import re
from pathlib import Path

from tests.unit.full_node.world import Desk

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "json-rpc.md"


def test_every_method_is_documented() -> None:
    """The page names every method of a devnet's node, and no other."""
    named = set(re.findall(r"`((?:eth|net|web3|paraph)_[A-Za-z0-9]+)`", PAGE.read_text()))

    by_websocket, by_index = {"eth_subscribe", "eth_unsubscribe"}, {"paraph_getTransactions"}
    assert named == set(Desk().methods) | by_websocket | by_index
