"""The one configuration as the services read it: mesh.yaml and the environment, all defaults filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal

from catalog.model import Catalog, UseCase
from catalog.plan import Grant, Limit, Plan, PlanName, Unit, WhenSilent
from catalog.window import Window
from meshkit.secret import Secret
from meshkit.tls import ServerTls

# Whose account a slot is until mesh.yaml says otherwise.
DEFAULT_ACCOUNT = "default"
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens, and what its clients dial."""

    listen: str
    dial: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL vendor calls go to; empty when the variables in `missing` would have to name it."""

    url: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """One configured key of a vendor; `endpoint` is its own one, empty when it uses the vendor's."""

    number: int
    account: str
    plan: PlanName
    endpoint: str = ""
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class VendorSettings:
    """What this mesh knows of one vendor beyond its row.

    `limits` replace a plan's whole; `concurrency` is how many calls an account may make at one time, 0 when only the
    limits say it; `safety` is the share of its limits by the second and minute that is used; `deployments` are what a
    vendor calls a model that the account has named itself.
    """

    enabled: bool = True
    disabled_by: str = ""
    endpoint: Endpoint = Endpoint("")
    endpoint_forced: bool = False
    address: Address = Address("", "")
    admin: str = ""
    slots: Mapping[int, Slot] = field(default_factory=dict)
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    concurrency: int = 0
    safety: float = 1.0
    deployments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One budget of a tenant, a use case, or a use case of a tenant; money in nano-dollars; the rest as in a limit."""

    subject: str
    unit: Unit
    window: Window
    amount: int
    hard: bool = True
    headroom: tuple[int, ...] = ()
    grants: tuple[Grant, ...] = ()
    when_silent: WhenSilent = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each thing may take, in seconds; `first_token` by class of model, `minimum_rate` in tokens a second."""

    request: float
    connect: float
    first_token: Mapping[str, float]
    idle: float
    total: float
    quota_grace: float
    reserve: float
    short_wait: float = 2.0
    minimum_rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where traces go, None for nowhere, and which share of them; from which level up a line is logged."""

    otlp_endpoint: str | None
    sample_ratio: float
    log_level: LogLevel = "info"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the ledger is: in the file `path`, or in the store at `url`, whose keys all begin with `prefix`.

    Spend is kept for `spend_days`.
    """

    store: Literal["sqlite", "redis"]
    path: str
    url: Secret | None = None
    prefix: str = ""
    spend_days: int = 400


@dataclass(frozen=True, slots=True)
class Http:
    """How the HTTP edge behaves: which origins' pages may call, and after how many silent seconds a comment is sent."""

    cors_origins: tuple[str, ...] = ()
    heartbeat: float = 15.0


@dataclass(frozen=True)
class Mesh:
    """The whole configuration. `catalog` holds the models and use cases mesh.yaml adds; `version` covers both.

    `tls` is what the router's gRPC server speaks TLS with, None in the clear.
    """

    catalog: Catalog
    router: Address
    quota: Address
    edge: Address
    router_admin: str
    quota_admin: str
    vendors: Mapping[str, VendorSettings]
    tiers: Mapping[str, int | None]
    budgets: tuple[BudgetRow, ...]
    timeouts: Timeouts
    telemetry: Telemetry
    ledger: Ledger
    version: int
    http: Http = Http()
    tenants: Path | None = None
    tls: ServerTls | None = None

    @property
    def use_cases(self) -> Mapping[str, UseCase]:
        """Return the shipped use cases and those mesh.yaml adds or replaces."""
        return self.catalog.use_cases

    def provider_address(self, vendor: str) -> Address:
        """Return where a vendor's provider service listens and is dialled."""
        return self.vendors[vendor].address

    def provider_admin(self, vendor: str) -> str:
        """Return where a vendor's provider service serves its admin pages when it has a process of its own."""
        return self.vendors[vendor].admin

    def slot(self, vendor: str, number: int) -> Slot:
        """Return a slot as configured, else one of the account `default` under the vendor's default plan."""
        known = self.vendors[vendor].slots.get(number)
        return known or Slot(number, DEFAULT_ACCOUNT, self.catalog.vendors[vendor].default_plan)

    def account_ends(self, vendor: str, slot: Slot) -> date | None:
        """Return the day the one-off credit of a slot's account ends: the first that any slot of it names."""
        slots = self.vendors[vendor].slots.values()
        shared = [other for other in slots if (other.account, other.plan) == (slot.account, slot.plan)]
        return min((other.expires_on for other in shared if other.expires_on is not None), default=None)

    def endpoint(self, vendor: str, slot: int = 1) -> Endpoint:
        """Return where calls with a slot go: its own endpoint, unless MESH_<VENDOR>_ENDPOINT overrules all."""
        settings = self.vendors[vendor]
        own = self.slot(vendor, slot).endpoint
        return Endpoint(own) if own and not settings.endpoint_forced else settings.endpoint

    def plan(self, vendor: str, name: str) -> Plan:
        """Return a plan of a vendor with the limits mesh.yaml gives it."""
        plan, settings = self.catalog.vendors[vendor].plans[name], self.vendors[vendor]
        limits = settings.limits.get(name, plan.limits)
        if settings.concurrency:
            others = (limit for limit in limits if limit.unit != "concurrency")
            limits = (*others, Limit("concurrency", Window("now"), settings.concurrency, source="mesh.yaml"))
        return plan if limits is plan.limits else replace(plan, limits=limits)
