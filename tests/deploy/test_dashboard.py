"""The dashboard asks for metrics the mesh has, shows what operators need, and belongs to no one installation."""

import json
import re
from pathlib import Path

import pytest

from deploy import dashboard

ROOT = Path(__file__).resolve().parents[2]
PAGE = json.loads((ROOT / "deploy/grafana/llm-mesh.json").read_text())
PANELS = [panel for panel in PAGE["panels"] if panel["type"] != "row"]
SOURCES = ("meshkit", "router_service", "provider_services", "quota_service", "llm_mesh")
METRIC = re.compile(r"\b(?:mesh|process)_[a-z_]+\b")
FOUND_BY_THE_CLIENT_LIBRARY = {"process_resident_memory_bytes"}


def metrics_asked_for():
    return {name for expression in dashboard.expressions() for name in METRIC.findall(expression)}


def test_the_page_is_fresh():
    assert (ROOT / "deploy/grafana/llm-mesh.json").read_text() == dashboard.as_json()


def test_every_metric_asked_for_is_defined_in_the_source():
    text = "\n".join(path.read_text() for top in SOURCES for path in (ROOT / top).rglob("*.py"))
    known = set(METRIC.findall(text)) | FOUND_BY_THE_CLIENT_LIBRARY
    known |= {name + suffix for name in known for suffix in ("_total", "_bucket", "_sum", "_count", "_info")}
    assert sorted(metrics_asked_for() - known) == []


def test_the_data_source_is_chosen_on_the_page_and_never_written_in():
    sources = [panel["datasource"] for panel in PANELS] + [t["datasource"] for p in PANELS for t in p["targets"]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert PAGE["templating"]["list"][0]["type"] == "datasource"
    assert "id" not in PAGE


def test_panels_lie_beside_each_other_and_never_over_each_other():
    cells = [
        (x, y)
        for panel in PAGE["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < dashboard.PAGE_WIDTH
    assert len({panel["id"] for panel in PAGE["panels"]}) == len(PAGE["panels"])


def test_the_page_shows_latency_first_token_cost_tokens_breakers_and_budgets_used_and_held():
    wanted = {
        "mesh_requests_total",
        "mesh_request_duration_seconds_bucket",
        "mesh_time_to_first_token_seconds_bucket",
        "mesh_tokens_total",
        "mesh_cost_usd_total",
        "mesh_breaker_state",
        "mesh_fallbacks_total",
        "mesh_quota_used",
        "mesh_quota_held",
        "mesh_quota_limit",
        "mesh_holds_lapsed_total",
        "mesh_quota_decisions_total",
        "process_resident_memory_bytes",
    }
    assert wanted <= metrics_asked_for()


@pytest.mark.product("P-OPS-28")
def test_latency_first_token_cost_and_breakers_are_shown_vendor_by_vendor():
    split = " ".join(query.expr for panels in dashboard.ROWS.values() for p in panels for query in p.queries)
    assert "sum by (le, vendor) (rate(mesh_request_duration_seconds_bucket" in split
    assert "sum by (le, vendor) (rate(mesh_time_to_first_token_seconds_bucket" in split
    assert "sum by (vendor) (rate(mesh_cost_usd_total" in split
    assert "max by (subject) (2 * mesh_breaker_state" in split


def test_every_counter_is_asked_for_as_a_rate_or_an_increase():
    for expression in dashboard.expressions():
        for name in re.findall(r"\w+_total", expression):
            assert re.search(rf"(rate|increase)\({name}", expression), expression
