"""The shape of `catalog/<vendor>.yaml` and what becomes of it."""

import datetime as dt
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from catalog.endpoints import ENDPOINT_HINT, is_endpoint
from catalog.limit_rows import LimitRow, PlanRow, PriceRow
from catalog.model import Auth, ErrorRule, Model, Vendor
from catalog.plan import Limit, PlanName
from catalog.words import Capability, ErrorReason, Group, ModelClass, Status
from meshkit.yaml_file import StrictModel, wrong

NAME = re.compile(r"[a-z][a-z0-9_]*")
NAME_HINT = "lower-case letters, digits and underscores, a letter first"


def is_name(text: str) -> bool:
    """Tell whether a text can be a vendor's id or another name of ours."""
    return NAME.fullmatch(text) is not None


def _name(text: str) -> str:
    """Accept text only when it is a name."""
    if not is_name(text):
        raise wrong(f"`{text}` is not a name", NAME_HINT)
    return text


def _endpoint(url: str) -> str:
    """Accept an absolute http(s) URL without a trailing slash, query or credentials."""
    if not is_endpoint(url):
        raise wrong(f"`{url}` is not an endpoint", ENDPOINT_HINT)
    return url


def _variable(text: str) -> str:
    """Accept the name of an environment variable."""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", text):
        raise wrong(f"`{text}` is not the name of a variable", "capital letters, digits and underscores")
    return text


def _pattern(text: str) -> str:
    """Accept a regular expression only when it compiles."""
    try:
        re.compile(text)
    except re.error as error:
        raise wrong(f"`{text}` is not a regular expression: {error}") from error
    return text


Name = Annotated[str, AfterValidator(_name)]
Variable = Annotated[str, AfterValidator(_variable)]
Text = Annotated[str, Field(min_length=1)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Tokens = Annotated[int, Field(ge=0)]


class AuthRow(StrictModel):
    """How the key travels."""

    kind: Literal["bearer", "header", "none"] = "bearer"
    header: str = ""

    @model_validator(mode="after")
    def _header_is_named(self) -> Self:
        """Check that exactly the kind `header` names one."""
        if (self.kind == "header") != bool(self.header):
            raise wrong("kind header needs the header's name, and only it does", "{kind: header, header: x-api-key}")
        return self


class ErrorRow(StrictModel):
    """What a vendor means by an error: `{reason: quota, statuses: [429], words: ["insufficient_quota"]}`."""

    reason: ErrorReason
    statuses: list[Annotated[int, Field(ge=300, lt=600)]] = Field(default_factory=list)
    words: list[Annotated[str, Field(min_length=2, pattern=r"^[^A-Z]*$")]] = Field(default_factory=list)
    codes: list[Annotated[str, Field(min_length=1, pattern=r"^[^A-Z]*$")]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        """Check that the rule does not fit every error."""
        if not self.statuses and not self.words and not self.codes:
            raise wrong("the rule fits every error", "statuses, words or codes")
        return self

    def rule(self) -> ErrorRule:
        """Return the rule."""
        return ErrorRule(self.reason, frozenset(self.statuses), tuple(self.words), tuple(self.codes))


class ModelRow(StrictModel):
    """One model of a vendor; its key in the file is the vendor's own id."""

    family: str = ""
    model_class: ModelClass = "chat"
    context_window: Tokens = 0
    max_output_tokens: Tokens = 0
    dimensions: Annotated[int, Field(ge=0)] = 0
    max_texts: Annotated[int, Field(ge=0)] = 0
    counts_texts: bool = False
    price: PriceRow | None = None
    capabilities: list[Capability] = Field(default_factory=list)
    aliases: list[Text] = Field(default_factory=list)
    short_names: list[Text] = Field(default_factory=list)
    reply_name: str = ""
    status: Status = "active"
    retired_on: dt.date | None = None
    successor: str = ""
    limits: dict[PlanName, list[LimitRow]] = Field(default_factory=dict)
    quirks: list[Text] = Field(default_factory=list)
    source: Text
    date: dt.date

    @model_validator(mode="after")
    def _vectors_are_of_embeddings(self) -> Self:
        """Check that only a model that makes vectors says how long they are and of how many texts."""
        if self.model_class != "embedding" and (self.dimensions or self.max_texts or self.counts_texts):
            text = "dimensions, max_texts and counts_texts are of a model that makes vectors"
            raise wrong(text, "model_class: embedding")
        return self

    @model_validator(mode="after")
    def _status_is_complete(self) -> Self:
        """Check that an active model has a price and a retired one a date."""
        if self.status == "active" and self.price is None:
            raise wrong("an active model needs a price", "price: {input: <USD per 1M>, output: <USD per 1M>}")
        if self.status == "retired" and self.retired_on is None:
            raise wrong("a retired model needs the day it ended", "retired_on: YYYY-MM-DD")
        return self

    def model(self, model_id: str) -> Model:
        """Return the model under its id."""
        limits: dict[str, tuple[Limit, ...]] = {
            plan: tuple(row.limit(scope="model", source=self.source, date=self.date) for row in rows)
            for plan, rows in self.limits.items()
        }
        return Model(
            id=model_id,
            family=self.family,
            model_class=self.model_class,
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            dimensions=self.dimensions,
            max_texts=self.max_texts,
            counts_texts=self.counts_texts,
            price=self.price.price() if self.price else None,
            capabilities=frozenset(self.capabilities),
            aliases=tuple(self.aliases),
            short_names=tuple(self.short_names),
            reply_name=self.reply_name or next(iter(self.short_names), ""),
            status=self.status,
            retired_on=self.retired_on,
            successor=self.successor,
            limits=MappingProxyType(limits),
            quirks=tuple(self.quirks),
            source=self.source,
            date=self.date.isoformat(),
        )


class VendorRow(StrictModel):
    """One vendor; the name of its file is its id."""

    display_name: Text
    reply_name: str = ""
    aliases: list[Text] = Field(default_factory=list)
    group: Group
    dialect: Name
    endpoint: Endpoint
    endpoint_env: dict[Variable, Annotated[str, Field(pattern=r"^\{value\}")]] = Field(default_factory=dict)
    endpoint_parts: dict[str, list[Variable]] = Field(default_factory=dict)
    regions: dict[Name, Endpoint] = Field(default_factory=dict)
    auth: AuthRow = AuthRow()
    headers: dict[str, str] = Field(default_factory=dict)
    paths: dict[Name, Annotated[str, Field(pattern=r"^/")]] = Field(default_factory=dict)
    concurrency_env: list[Variable] = Field(default_factory=list)
    key_env: list[Variable] = Field(default_factory=list)
    key_format: Annotated[str, AfterValidator(_pattern)] | None = None
    key_page: str = ""
    terms: Annotated[str, Field(pattern=r"^https://")] = ""
    quirks: list[Text] = Field(default_factory=list)
    errors: list[ErrorRow] = Field(default_factory=list)
    provider_name: Text
    local: bool = False
    open_models: bool = False
    trains_on: dict[PlanName, bool] = Field(default_factory=dict)
    port_offset: Annotated[int, Field(ge=0, lt=100)]
    default_plan: PlanName
    plans: dict[PlanName, PlanRow]
    retired_on: dt.date | None = None
    models: dict[Text, ModelRow]

    def vendor(self, vendor_id: str, models: Mapping[str, Model]) -> Vendor:
        """Return the vendor under its id, with these models."""
        return Vendor(
            id=vendor_id,
            display_name=self.display_name,
            reply_name=self.reply_name or vendor_id,
            group=self.group,
            dialect=self.dialect,
            endpoint=self.endpoint,
            plans=MappingProxyType({name: row.plan(name) for name, row in self.plans.items()}),
            default_plan=self.default_plan,
            models=MappingProxyType(dict(models)),
            port_offset=self.port_offset,
            aliases=tuple(self.aliases),
            endpoint_env=MappingProxyType(dict(self.endpoint_env)),
            endpoint_parts=MappingProxyType({part: tuple(names) for part, names in self.endpoint_parts.items()}),
            regions=MappingProxyType(dict(self.regions)),
            auth=Auth(self.auth.kind, self.auth.header),
            headers=MappingProxyType(dict(self.headers)),
            paths=MappingProxyType(dict(self.paths)),
            concurrency_env=tuple(self.concurrency_env),
            key_env=tuple(self.key_env),
            key_format=self.key_format,
            key_page=self.key_page,
            terms=self.terms,
            quirks=tuple(self.quirks),
            errors=tuple(row.rule() for row in self.errors),
            provider_name=self.provider_name,
            local=self.local,
            open_models=self.open_models,
            trains_on=MappingProxyType(dict(self.trains_on.items())),
            retired_on=self.retired_on,
        )
