"""Describes the Grafana dashboard: what is asked of Prometheus, and where it stands on the page."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["timeseries", "stat", "bargauge", "state-timeline", "table"]
PAGE_WIDTH = 24
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

CHOSEN = 'use_case=~"$use_case",vendor=~"$vendor"'
RATE = "[$__rate_interval]"
OR_NOUGHT = " or vector(0)"
STATES = [(0, "closed", "green"), (1, "half-open", "yellow"), (2, "open", "red"), (3, "forced open", "purple")]


@dataclass(frozen=True)
class Query:
    """One expression and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture; `width` in the 24 columns of the page."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    description: str = ""
    states: list[tuple[int, str, str]] = field(default_factory=list)


def quantile(metric: str, percent: int, legend: str, by: str = "le") -> Query:
    """Ask for one percentile of a histogram."""
    rates = f"sum by ({by}) (rate({metric}_bucket{{{CHOSEN}}}{RATE}))"
    return Query(f"histogram_quantile(0.{percent}, {rates})", legend)


def quantiles(metric: str) -> tuple[Query, ...]:
    """Ask for the 50th, 95th and 99th percentile of a histogram."""
    return tuple(quantile(metric, percent, f"p{percent}") for percent in (50, 95, 99))


def slowest(metric: str) -> tuple[Query, ...]:
    """Ask for the 95th percentile of a histogram, vendor by vendor."""
    return (quantile(metric, 95, "{{vendor}}", "le, vendor"),)


def rate(metric: str, by: str, chosen: str = CHOSEN, factor: str = "") -> tuple[Query, ...]:
    """Ask how fast a counter grows, split by labels."""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return (Query(f"sum by ({by}) (rate({metric}{{{chosen}}}{RATE})){factor}", legend),)


def total(metric: str, legend: str) -> Query:
    """Ask how fast a counter grows in all; it may never have counted, which is a nought and no gap."""
    return Query(f"sum(rate({metric}{RATE})){OR_NOUGHT}", legend)


VENDOR = 'vendor=~"$vendor"'
ROWS: dict[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel("Requests by outcome", rate("mesh_requests_total", "outcome"), "reqps"),
        Panel("Requests by vendor", rate("mesh_requests_total", "vendor"), "reqps"),
        Panel("In flight", (Query("sum by (instance) (mesh_in_flight_requests)", "{{instance}}"),)),
        Panel("Latency", quantiles("mesh_request_duration_seconds"), "s", width=12),
        Panel("Time to first token", quantiles("mesh_time_to_first_token_seconds"), "s", width=12),
        Panel("Latency by vendor, p95", slowest("mesh_request_duration_seconds"), "s", width=12),
        Panel("Time to first token by vendor, p95", slowest("mesh_time_to_first_token_seconds"), "s", width=12),
    ),
    "Tokens and money": (
        Panel("Tokens by type", rate("mesh_tokens_total", "type", VENDOR), "short"),
        Panel("Tokens by vendor", rate("mesh_tokens_total", "vendor", VENDOR), "short"),
        Panel("Cost per hour by vendor", rate("mesh_cost_usd_total", "vendor", factor=" * 3600"), "currencyUSD"),
        Panel(
            "Cost per hour by use case",
            rate("mesh_cost_usd_total", "use_case", factor=" * 3600"),
            "currencyUSD",
            width=12,
        ),
        Panel(
            "Cost in the period by use case and tier",
            (Query(f"sum by (use_case, tier) (increase(mesh_cost_usd_total{{{CHOSEN}}}[$__range]))"),),
            "currencyUSD",
            "table",
            12,
        ),
        Panel(
            "Tokens counted, by tokens estimated",
            tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le, type) (rate(mesh_estimate_ratio_bucket{RATE})))",
                    f"{{{{type}}}} p{round(share * 100)}",
                )
                for share in (0.5, 0.95)
            ),
            width=12,
            description="Below 1: room was kept for nothing. Above 1: more was charged than was held.",
        ),
    ),
    "Vendors": (
        Panel(
            "Breakers",
            (
                Query(
                    'max by (subject) (2 * mesh_breaker_state{state="open"} '
                    'or 3 * mesh_breaker_state{state="forced_open"} or mesh_breaker_state{state=~"half.open"} '
                    'or 0 * mesh_breaker_state{state=~".*closed"})',
                    "{{subject}}",
                ),
            ),
            kind="state-timeline",
            width=16,
            description="Open: the vendor or offer is skipped without being called.",
            states=STATES,
        ),
        Panel("Breaker transitions", rate("mesh_breaker_transitions_total", "subject, state", ""), "ops"),
        Panel("Attempts by vendor and outcome", rate("mesh_attempts_total", "vendor, outcome", VENDOR), "reqps"),
        Panel(
            "Fallbacks",
            (
                Query(
                    f"sum by (from_vendor, to_vendor, reason) (rate(mesh_fallbacks_total{RATE}))",
                    "{{from_vendor}} to {{to_vendor}}: {{reason}}",
                ),
            ),
            "ops",
        ),
        Panel(
            "Answers with a flaw",
            (
                total("mesh_stream_incomplete_total", "stream without its end"),
                total("mesh_usage_estimated_total", "usage estimated, not told"),
            ),
            "ops",
        ),
    ),
    "Budgets": (
        Panel(
            "Share of each budget used or held",
            (
                Query(
                    "topk(20, sum by (budget, unit) (mesh_quota_used + mesh_quota_held)"
                    " / sum by (budget, unit) (mesh_quota_limit > 0))",
                    "{{budget}} {{unit}}",
                ),
            ),
            "percentunit",
            "bargauge",
            12,
        ),
        Panel(
            "Budgets: used, held, limit",
            (Query("mesh_quota_used", "used"), Query("mesh_quota_held", "held"), Query("mesh_quota_limit", "limit")),
            kind="table",
            width=12,
        ),
        Panel("Decisions", rate("mesh_quota_decisions_total", "outcome", ""), "ops"),
        Panel("Charged beyond what was held, by unit", rate("mesh_quota_overage_total", "unit", "")),
        Panel("Open holds", (Query("sum(mesh_quota_open_holds)", "open holds"),)),
        Panel(
            "Holds that ended badly",
            (
                total("mesh_holds_lapsed_total", "lapsed, charged in full"),
                total("mesh_settles_late_total", "settled after lapsing"),
            ),
            "ops",
        ),
    ),
    "Processes": (
        Panel("Memory", (Query("process_resident_memory_bytes", "{{job}} {{instance}}"),), "bytes"),
        Panel(
            "Configuration valid",
            (Query("min by (job, instance) (mesh_config_valid)", "{{job}} {{instance}}"),),
            kind="stat",
        ),
        Panel("Builds", (Query("count by (version) (mesh_build_info)", "{{version}}"),), kind="stat"),
    ),
}


def expressions() -> list[str]:
    """Name every expression on the page."""
    return [query.expr for panels in ROWS.values() for panel in panels for query in panel.queries]


def as_json() -> str:
    """Render the dashboard as Grafana imports it."""
    return json.dumps(_dashboard(), indent=1, ensure_ascii=False) + "\n"


def _dashboard() -> dict[str, Any]:
    return {
        "uid": "llm-mesh",
        "title": "llm-mesh",
        "tags": ["llm-mesh"],
        "description": "Generated by deploy/dashboard.py (make gen).",
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source_variable(), _label_variable("use_case"), _label_variable("vendor")]},
        "panels": list(_placed()),
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _label_variable(label: str) -> dict[str, Any]:
    query = f"label_values(mesh_requests_total, {label})"
    return {
        "name": label,
        "type": "query",
        "label": label.replace("_", " "),
        "datasource": SOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed() -> Iterable[dict[str, Any]]:
    """Lay the panels out from left to right, row under row."""
    number, y = 1, 0
    for title, panels in ROWS.items():
        place = {"h": 1, "w": PAGE_WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        number, x, y = number + 1, 0, y + 1
        for panel in panels:
            if x + panel.width > PAGE_WIDTH:
                x, y = 0, y + HEIGHT
            yield _panel(panel, number, {"h": HEIGHT, "w": panel.width, "x": x, "y": y})
            number, x = number + 1, x + panel.width
        y += HEIGHT


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    at_an_instant = panel.kind in ("table", "bargauge", "stat")
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.states:
        options = {str(value): {"text": text, "color": color} for value, text, color in panel.states}
        defaults["mappings"] = [{"type": "value", "options": options}]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "transformations": _one_table(panel) if panel.kind == "table" else [],
        "targets": [_target(query, index, panel.kind, at_an_instant) for index, query in enumerate(panel.queries)],
    }


def _one_table(panel: Panel) -> list[dict[str, Any]]:
    """Join the answers of a table's queries into one table, each value under its legend."""
    single = len(panel.queries) == 1
    values = {
        "Value" if single else f"Value #{_ref(index)}": q.legend or "value" for index, q in enumerate(panel.queries)
    }
    hidden = dict.fromkeys(("Time", "__name__", "instance", "job"), True)
    return [{"id": "merge"}, {"id": "organize", "options": {"renameByName": values, "excludeByName": hidden}}]


def _ref(index: int) -> str:
    return chr(ord("A") + index)


def _target(query: Query, index: int, kind: Kind, at_an_instant: bool) -> dict[str, Any]:
    return {
        "refId": _ref(index),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": at_an_instant,
        "range": not at_an_instant,
        "format": "table" if kind == "table" else "time_series",
    }
