"""The figures of a node: what is said is shown, what fails is NaN, and names stay few."""

import asyncio
import json
import math
import re
from pathlib import Path

import httpx
import pytest
from tests.unit.full_node.world import Desk, calling, transfer

from paraph.full_node import metrics as metrics_module
from paraph.full_node.metrics import Metrics

DASHBOARD = Path(__file__).parents[3] / "docs" / "dashboards" / "paraph-full-node.json"
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "index-and-metrics.md"


def whole() -> Metrics:
    """A node's figures with everything followed."""
    found = Metrics()
    found.follow_peers(lambda: 3)
    found.follow_mempool(Desk().engine.mempool)
    found.follow_verify_queue(lambda: 2)
    found.follow_sockets(lambda: 1, lambda: 5)
    found.follow_index(lambda: 7, lambda: 0, lambda: False)
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"paraph_{name}", labels)


def test_blocks() -> None:
    """Blocks are counted with their transactions, their time, and the time between them."""
    metrics = Metrics()
    metrics.block(7, 1_000, 3, 0.02)
    metrics.block(8, 1_004, 2, 0.01)

    assert (value(metrics, "block_height"), value(metrics, "block_time_seconds")) == (8, 1_004)
    assert value(metrics, "transactions_total") == 5
    assert value(metrics, "block_apply_seconds_count") == 2
    assert value(metrics, "block_apply_seconds_sum") == pytest.approx(0.03)
    assert (value(metrics, "block_interval_seconds_count"), value(metrics, "block_interval_seconds_sum")) == (1, 4)


def test_mempool_is_looked_at() -> None:
    """What waits is counted when asked, settlements by themselves."""
    desk, metrics = Desk(), Metrics()
    metrics.follow_mempool(desk.engine.mempool)
    desk.send(transfer(0))
    desk.send(calling(1, "Settlement", "settle", []))

    assert value(metrics, "mempool_transactions") == 2
    assert value(metrics, "mempool_bytes") == desk.engine.mempool.size_bytes > 0
    assert value(metrics, "settlement_backlog") == 1


def test_failing_figure_hides_no_other() -> None:
    """A figure that cannot be had is NaN, and the others are there."""

    def fail() -> float:
        raise OSError

    metrics = Metrics()
    metrics.follow_peers(fail)
    metrics.follow_index(lambda: None, lambda: 4, lambda: True)

    assert math.isnan(value(metrics, "peers") or 0)
    assert math.isnan(value(metrics, "index_height") or 0)
    assert (value(metrics, "index_behind_blocks"), value(metrics, "index_failed")) == (4, 1)


def test_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many names, all are one."""
    monkeypatch.setattr(metrics_module, "LABELS_MAX", 2)
    metrics = Metrics()
    for name in ("a", "b", "c", "d", "a"):
        metrics.rpc(name, "ok", 0.1)
        metrics.call_applied("Escrow", name, 0.1)

    assert value(metrics, "rpc_requests_total", method="a", outcome="ok") == 2
    assert value(metrics, "rpc_requests_total", method="other", outcome="ok") == 2
    assert value(metrics, "call_apply_seconds_count", contract="Escrow", method="other") == 2
    assert value(metrics, "rpc_requests_total", method="c", outcome="ok") is None


async def scrape(metrics: Metrics) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(metrics.app()), base_url="http://metrics") as client:
        return await client.get("/metrics")


def test_scraped() -> None:
    """Prometheus is given its own format, and nothing else is there."""
    found = asyncio.run(scrape(whole()))

    assert found.headers["content-type"].startswith("text/plain; version=")
    assert "\nparaph_peers 3.0\n" in found.text
    assert "\nprocess_resident_memory_bytes " in found.text


def test_two_nodes_share_nothing() -> None:
    """Each node has figures of its own, in one process too."""
    first, second = whole(), whole()
    first.block(7, 1, 1, 1)

    assert (value(first, "block_height"), value(second, "block_height")) == (7, 0)


def test_dashboard_and_guide_name_real_figures() -> None:
    """The example dashboard asks for figures that there are; the guide names each of them."""
    there = {family.name for family in whole().registry.collect()}
    counted = {f"{name}_{end}" for name in there for end in ("total", "count", "sum", "bucket")} | there
    asked = set(re.findall(r"paraph_\w+", " ".join(_expressions(json.loads(DASHBOARD.read_text())))))
    named = set(re.findall(r"`(paraph_\w+)", GUIDE.read_text()))

    assert asked
    assert asked <= counted
    assert {name for name in there if name.startswith("paraph_")} <= {name.removesuffix("_total") for name in named}


def _expressions(dashboard: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
