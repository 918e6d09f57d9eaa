"""The shapes of lists and of health."""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from router_service.edge.shapes.mesh import Usd

# Words of the router's contract.
ModelStatus = Annotated[str, Meta(extra_json_schema={"enum": ["active", "retired", "unknown"]})]
Status = Annotated[str, Meta(extra_json_schema={"enum": ["active", "inactive", "rejected", "retired"]})]
BreakerState = Annotated[str, Meta(extra_json_schema={"enum": ["closed", "open", "half_open"]})]
Unit = Annotated[str, Meta(extra_json_schema={"enum": ["requests", "tokens", "usd"]})]
Period = Annotated[str, Meta(extra_json_schema={"enum": ["day", "month", "once"]})]


class Model(TypedDict):
    """One model of one vendor. `created` is always 0: vendors do not say."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    status: ModelStatus
    usable: bool
    shutdown_date: str | None
    successor: str | None
    family: str | None
    model_class: str
    context_window: int | None
    input_usd_per_1m: Usd | None
    output_usd_per_1m: Usd | None
    capabilities: list[str]


class Models(TypedDict):
    """Models, by vendor and id."""

    object: Literal["list"]
    data: list[Model]


class EndedModel(TypedDict):
    """A model that has ended and who serves in its place."""

    name: str
    successor: str | None


class Provider(TypedDict):
    """One vendor by the name its replies carry: its models, or the reason why it has none."""

    name: str
    status: Status
    group: str
    reason: NotRequired[str]
    models: NotRequired[list[str]]
    retired_models: NotRequired[list[EndedModel]]


class Providers(TypedDict):
    """All vendors, by group, active ones first."""

    providers: list[Provider]


class Brief(TypedDict):
    """Whether the router serves."""

    status: Literal["ok", "unavailable"]
    reason: NotRequired[str]


class LocalFallback(TypedDict):
    """Whether machines of ours stand in for vendors, and since when this router saw it."""

    active: bool
    since: str | None


class Quota(TypedDict):
    """What a vendor's usable keys may do of one unit in one window; money in US dollars."""

    unit: Unit
    window: Period
    limit: int | Usd
    used: int | Usd
    held: int | Usd
    left: int | Usd
    resets_at: str | None


class VendorHealth(TypedDict):
    """One vendor by id: its status and why, its breaker, its quotas."""

    name: str
    status: Status
    reason: NotRequired[str]
    breaker: BreakerState
    quotas: list[Quota]


class Totals(TypedDict):
    """What all vendors may still do: requests, tokens and money are never added together, nor are periods."""

    requests_per_day_left: int
    tokens_per_month_left: int
    requests_per_month_left: int
    tokens_per_day_left: int
    credit_usd_left: Usd
    unlimited: list[str]
    unlimited_paid: list[str]


class Health(TypedDict):
    """How the mesh is, for a request like the last one that left the choice to it."""

    status: Literal["ok", "unavailable"]
    problem: str | None
    serving_now: str | None
    serving_offer: str | None
    use_case: str
    local_fallback: LocalFallback
    providers: list[VendorHealth]
    totals: Totals
    warnings: list[str]
