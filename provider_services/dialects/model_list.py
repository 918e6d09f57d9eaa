"""Lists a vendor's models, the way several wires do: what each is called, holds, can do and costs."""

import datetime as dt
from collections.abc import Mapping

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import listed_prices, wire
from provider_services.dialects.interface import HttpReply, HttpRequest, Subject

PATH = "/models"
Discovered = DescribeResponse.DiscoveredModel
Row = Mapping[str, wire.Json]
# Parameters a model takes, by what it can do then.
PARAMETERS: Mapping[str, frozenset[str]] = {
    "tools": frozenset({"tools"}),
    "json_object": frozenset({"response_format", "structured_outputs"}),
    "json_schema": frozenset({"structured_outputs"}),
    "reasoning": frozenset({"reasoning", "include_reasoning"}),
}


def encode(subject: Subject) -> HttpRequest:
    """Write the request."""
    return HttpRequest("GET", subject.paths.get("models", PATH))


def decode(reply: HttpReply) -> list[Discovered]:
    """Read the list; some vendors send it bare. Raises VendorFault when it is none."""
    rows = [row for row in wire.rows(wire.decode(reply.body), "data") if wire.text(row.get("id"))]
    return [model for row in rows for model in _models(row)]


def _models(row: Row) -> list[Discovered]:
    model = _model(row)
    hosts = row.get("providers")
    if not isinstance(hosts, list):
        return [model]
    each = [_hosted(model, host) for host in hosts if isinstance(host, dict) and _serves(host)]
    return [_anywhere(model, each), *each]


def _model(row: Row) -> Discovered:
    more = wire.mapping(row.get("metadata"))
    best = wire.mapping(row.get("top_provider"))
    price, problem = listed_prices.read(row.get("pricing", more.get("pricing")))
    able = _able(row)
    return Discovered(
        id=row["id"],
        context_window=_count(row, "context_window", "context_length", "max_context_length")
        or _count(more, "context_length"),
        max_output_tokens=_count(best, "max_completion_tokens")
        or _count(row, "max_completion_tokens")
        or _count(more, "max_tokens"),
        price=price,
        price_problem=problem,
        capabilities=[word for word, can in able.items() if can],
        lacks=[word for word, can in able.items() if not can],
        retired_on=_day(row.get("expiration_date")),
    )


def _able(row: Row) -> dict[str, bool]:
    """Tell what a model can do and cannot, as far as the row says."""
    able: dict[str, bool] = {}
    takes = row.get("supported_parameters")
    if isinstance(takes, list):
        able = {word: not parameters.isdisjoint(map(str, takes)) for word, parameters in PARAMETERS.items()}
    seen = wire.mapping(row.get("architecture")).get("input_modalities", row.get("input_modalities"))
    if isinstance(seen, list):
        able["vision"] = "image" in seen
    return able


def _serves(host: Row) -> bool:
    return bool(wire.text(host.get("provider"))) and host.get("status", "live") == "live"


def _hosted(model: Discovered, host: Row) -> Discovered:
    """Return the model at one host, which is named behind it."""
    price, problem = listed_prices.read(host.get("pricing"))
    told = {"tools": host.get("supports_tools"), "json_schema": host.get("supports_structured_output")}
    return Discovered(
        id=f"{model.id}:{host['provider']}",
        context_window=_count(host, "context_length"),
        price=price,
        price_problem=problem,
        capabilities=[*model.capabilities, *(word for word, can in told.items() if can is True)],
        lacks=[*model.lacks, *(word for word, can in told.items() if can is False)],
    )


def _anywhere(model: Discovered, hosts: list[Discovered]) -> Discovered:
    """Return the model without a host: any may serve, so it can what all can, and costs what the dearest costs."""
    windows = [host.context_window for host in hosts if host.context_window]
    can = set.intersection(*(set(host.capabilities) for host in hosts)) if hosts else set(model.capabilities)
    return Discovered(
        id=model.id,
        context_window=min(windows, default=model.context_window),
        price=listed_prices.dearest(host.price if host.HasField("price") else None for host in hosts),
        price_problem=next((host.price_problem for host in hosts if host.price_problem), ""),
        capabilities=sorted(can),
        lacks=sorted({word for host in hosts for word in host.lacks}),
    )


def _count(row: Row, *words: str) -> int:
    return next((count for word in words if (count := wire.count(row.get(word)))), 0)


def _day(value: wire.Json) -> str:
    try:
        return str(dt.date.fromisoformat(wire.text(value)[:10]))
    except ValueError:
        return ""
