"""The shape of mesh.yaml: every key the one configuration file may have, with its default."""

import datetime as dt
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from catalog.limit_rows import AmountRow, Dollars, LimitRow
from catalog.plan import PlanName
from catalog.settings import DEFAULT_ACCOUNT, LogLevel
from catalog.use_case_rows import UseCaseRow
from catalog.vendor_rows import Endpoint, ModelRow, Name, Text
from meshkit.yaml_file import StrictModel, wrong

SUBJECTS = "tenant/<t>, use_case/<u> or tenant/<t>/use_case/<u>"
_SUBJECT = re.compile(r"(tenant/[^/\s]+|use_case/[^/\s]+|tenant/[^/\s]+/use_case/[^/\s]+)")


def _listen(text: str) -> str:
    """Accept host:port."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise wrong(f"`{text}` is no address to listen on", "host:port, such as 127.0.0.1:7400")
    return text


def _dial(text: str) -> str:
    """Accept whatever gRPC can dial: host:port or a name with a scheme."""
    return text if re.fullmatch(r"[a-z]+:/{0,3}\S+", text) else _listen(text)


def _subject(text: str) -> str:
    """Accept the three kinds of subjects a budget of ours can have."""
    if not _SUBJECT.fullmatch(text):
        raise wrong(f"`{text}` is no subject", SUBJECTS)
    return text


def _slot_number(text: str) -> str:
    """Accept the number of a slot."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise wrong(f"`{text}` is no slot", "1, 2, 3 …: the key in KEY, KEY_2, KEY_3 …")
    return text


def _account(text: str) -> str:
    """Accept the name of an account: a name of our own, which budgets are called by."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise wrong(f"`{text}` is no account", "up to 64 letters, digits, `_`, `.` and `-`, a letter or digit first")
    return text


def _origin(text: str) -> str:
    """Accept an origin as browsers write it, or all of them."""
    if not re.fullmatch(r"\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", text):
        raise wrong(
            f"`{text}` is no origin", "scheme://host or scheme://host:port in lower case, without a path; `*` for all"
        )
    return text


def _deployment(text: str) -> str:
    """Accept the name of a deployment, which becomes part of a URL."""
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?", text):
        raise wrong(f"`{text}` is no deployment", "up to 64 letters, digits, `_`, `.` and `-`, as its account calls it")
    return text


Listen = Annotated[str, AfterValidator(_listen)]
Dial = Annotated[str, AfterValidator(_dial)]
Port = Annotated[int, Field(gt=0, lt=65_436)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class TlsRow(StrictModel):
    """The files a server speaks TLS with, and who must have signed its callers' certificates."""

    cert: Text | None = None
    key: Text | None = None
    client_ca: Text | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """Check that a server has both a certificate and its key, or neither."""
        if (self.cert is None) != (self.key is None) or (self.client_ca and self.cert is None):
            raise wrong("says only a part of what TLS needs", "cert and key, or those and client_ca, or none of them")
        return self


class RouterRow(StrictModel):
    """Where the router listens and is found."""

    listen: Listen = "127.0.0.1:7400"
    dial: Dial | None = None
    admin: Listen = "127.0.0.1:9464"
    tls: TlsRow = TlsRow()


class QuotaRow(StrictModel):
    """Where the quota service listens and is found."""

    listen: Listen = "127.0.0.1:7401"
    dial: Dial | None = None
    admin: Listen = "127.0.0.1:9465"


class EdgeRow(StrictModel):
    """Where the HTTP edge listens and is found."""

    listen: Listen = "127.0.0.1:8080"
    dial: Dial | None = None


class ProvidersRow(StrictModel):
    """Where provider services listen and are found: one port per vendor, counted from the first."""

    host: Text = "127.0.0.1"
    first_port: Port = 7410
    first_admin_port: Port = 9470
    dial: Text | None = None


class AddressesRow(StrictModel):
    """Who listens where."""

    router: RouterRow = RouterRow()
    quota: QuotaRow = QuotaRow()
    edge: EdgeRow = EdgeRow()
    providers: ProvidersRow = ProvidersRow()


class SlotRow(StrictModel):
    """One key of a vendor: whose account it is and how that is charged."""

    account: Annotated[str, AfterValidator(_account)] = DEFAULT_ACCOUNT
    plan: PlanName | None = None
    endpoint: Endpoint | None = None
    region: Name | None = None
    expires_on: dt.date | None = None

    @model_validator(mode="after")
    def _calls_one_place(self) -> Self:
        """Check that there are not two places to call."""
        if self.endpoint and self.region:
            raise wrong("region and endpoint both say where to call", "one of the two")
        return self


class VendorSettingsRow(StrictModel):
    """What this mesh does differently with one vendor."""

    enabled: bool = True
    endpoint: Endpoint | None = None
    region: Name | None = None
    listen: Listen | None = None
    dial: Dial | None = None
    concurrency: Annotated[int, Field(gt=0, le=10_000)] | None = None
    safety: Annotated[float, Field(gt=0, le=1)] = 1.0
    slots: dict[Annotated[str, AfterValidator(_slot_number)], SlotRow] = Field(default_factory=dict)
    limits: dict[PlanName, list[LimitRow]] = Field(default_factory=dict)
    models: dict[Text, ModelRow] = Field(default_factory=dict)
    deployments: dict[Text, Annotated[str, AfterValidator(_deployment)]] = Field(default_factory=dict)


class TiersRow(StrictModel):
    """The highest blended price of each tier in US dollars per million tokens; null means none."""

    free: Dollars | None = 0.0
    ultra_economy: Dollars | None = 0.12
    economy: Dollars | None = 0.40
    standard: Dollars | None = 3.0
    premium: Dollars | None = None

    @model_validator(mode="after")
    def _caps_rise(self) -> Self:
        """Check that a dearer tier never allows less."""
        caps = [float("inf") if cap is None else cap for cap in self.model_dump().values()]
        if caps != sorted(caps):
            raise wrong(
                "a dearer tier allows less than a cheaper one",
                "free <= ultra_economy <= economy <= standard <= premium",
            )
        return self


class BudgetFileRow(AmountRow):
    """One budget of a tenant or use case."""

    subject: Annotated[str, AfterValidator(_subject)]


class FirstTokenRow(StrictModel):
    """How long the first piece of an answer may take, in seconds, by class of model."""

    chat: Seconds = 10.0
    reasoning: Seconds = 120.0
    local: Seconds = 60.0
    embedding: Seconds = 10.0


class TimeoutsRow(StrictModel):
    """How long each thing may take, in seconds."""

    request: Seconds = 60.0
    connect: Seconds = 5.0
    first_token: FirstTokenRow = FirstTokenRow()
    idle: Seconds = 30.0
    total: Seconds = 300.0
    quota_grace: Seconds = 5.0
    reserve: Seconds = 1.0
    short_wait: Annotated[float, Field(ge=0, le=60)] = 2.0
    minimum_rate: Annotated[float, Field(ge=0, le=1_000)] = 1.0


class TelemetryRow(StrictModel):
    """Where traces go and how many, and from which level up a line is logged."""

    otlp_endpoint: str | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    log_level: LogLevel = "info"


class HttpRow(StrictModel):
    """How the HTTP edge behaves."""

    cors_origins: list[Annotated[str, AfterValidator(_origin)]] = Field(default_factory=list)
    heartbeat: Seconds = 15.0


class LedgerRow(StrictModel):
    """Where the ledger is kept: in a file, or in a store that several quota services share."""

    store: Literal["sqlite", "redis"] | None = None
    path: Text = "var/ledger.db"
    url: Text | None = None
    prefix: Text = "llm-mesh:"
    spend_days: Annotated[int, Field(ge=1, le=36_500)] = 400


class MeshFile(StrictModel):
    """The whole file."""

    catalog: Text | None = None
    tenants: Text | None = None
    addresses: AddressesRow = AddressesRow()
    vendors: dict[str, VendorSettingsRow] = Field(default_factory=dict)
    use_cases: dict[Name, UseCaseRow] = Field(default_factory=dict)
    tiers: TiersRow = TiersRow()
    budgets: list[BudgetFileRow] = Field(default_factory=list)
    timeouts: TimeoutsRow = TimeoutsRow()
    telemetry: TelemetryRow = TelemetryRow()
    edge: HttpRow = HttpRow()
    ledger: LedgerRow = LedgerRow()
