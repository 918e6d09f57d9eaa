"""Operations rows: streaming piece by piece, and what Prometheus and the dashboard show."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.customer import user
from fixtures.sandbox_mesh import ROOT

WORDS = [f"word{number}" for number in range(40)]


def pieces(customer, model):
    """Stream an answer and return its pieces of text, each with the moment it came."""
    body = {"model": model, "stream": True, "messages": [user(f"say: {' '.join(WORDS)}")]}
    found = []
    with customer.http.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line.removeprefix("data: "))
                text = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                found += [(time.monotonic(), text)] if text else []
    return found


@pytest.mark.product("P-OPS-26")
def test_every_vendor_streams_token_by_token_and_the_first_piece_is_forwarded_at_once(whole, living):
    models = {}
    for vendor in living:
        model = next(m.id for m in vendor.models.values() if m.status == "active" and m.model_class != "embedding")
        models[vendor.id] = f"{vendor.id}/{model}"
        whole.tap.latency(vendor.id, 0, 80)  # forty tokens take 3.2 s, reasoning comes on top
    began = time.monotonic()
    with ThreadPoolExecutor(len(models)) as pool:
        streams = dict(zip(models, pool.map(lambda model: pieces(whole, model), models.values()), strict=True))
    for vendor, found in streams.items():
        assert "".join(text for _, text in found).split() == WORDS, vendor
        assert len(found) >= 30, vendor
        # Had pieces been held back, the first would come at the end.
        first, last = found[0][0] - began, found[-1][0] - began
        assert last - first > 0.4, vendor
        assert first < 0.8 * last, vendor


def samples(page, metric):
    """Return the samples of a metric as (labels, value)."""
    found = []
    for line in page.splitlines():
        name, _, rest = line.partition("{")
        if name == metric:
            labels, _, value = rest.rpartition("} ")
            found.append((dict(pair.split("=") for pair in labels.replace('"', "").split(",")), float(value)))
    return found


@pytest.mark.product("P-OPS-28")
def test_latency_cost_and_breaker_state_per_vendor_are_prometheus_metrics(whole, catalogue, living):
    vendors = [vendor.id for vendor in living]
    for vendor in vendors:
        whole.generate(model=vendor)
    whole.generate(use_case="gemini_analysis")  # not in the free plan
    page = whole.metrics("router")
    for vendor in vendors:
        durations = samples(page, "mesh_request_duration_seconds_count")
        assert sum(value for labels, value in durations if labels["vendor"] == vendor) > 0
        states = {
            labels["state"]: value
            for labels, value in samples(page, "mesh_breaker_state")
            if labels["subject"] == vendor
        }
        assert states["closed"] == 1
        assert sum(states.values()) == 1
        costs = [value for labels, value in samples(page, "mesh_cost_usd_total") if labels["vendor"] == vendor]
        assert costs
        assert sum(costs) > 0 or catalogue.vendors[vendor].default_plan in ("free", "local")


@pytest.mark.product("P-OPS-28")
def test_latency_cost_and_breaker_state_per_vendor_are_on_the_shipped_dashboard():
    board = json.loads((ROOT / "deploy/grafana/llm-mesh.json").read_text())
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert "vendor" in [variable["name"] for variable in board["templating"]["list"]]
    for metric, label in (
        ("mesh_request_duration_seconds", "vendor"),
        ("mesh_time_to_first_token_seconds", "vendor"),
        ("mesh_cost_usd_total", "by (vendor)"),
        ("mesh_breaker_state", "by (subject)"),
    ):
        assert any(metric in expression and label in expression for expression in shown), metric
