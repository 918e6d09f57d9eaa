"""The catalogue as the mesh reads it: vendors, models and use cases, all frozen, and how they are found by name."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

from catalog.money import FREE, LongContextPrice, Price, blended, cost_nanos
from catalog.names import NameIndex
from catalog.plan import Limit, Plan, PlanName, Scope, Unit, matches
from catalog.window import Window
from catalog.words import (
    STATUSES,
    DataPolicy,
    ErrorReason,
    Group,
    ModelClass,
    Status,
    Strategy,
    StreamGuarantee,
    Tier,
)

__all__ = [
    "FREE",
    "Auth",
    "Catalog",
    "Limit",
    "LongContextPrice",
    "Model",
    "ModelRef",
    "Plan",
    "PlanName",
    "Price",
    "Scope",
    "Unit",
    "UseCase",
    "Vendor",
    "Window",
    "blended",
    "charged_price",
    "cost_nanos",
    "matches",
]


@dataclass(frozen=True, slots=True, order=True)
class ModelRef:
    """One model of one vendor."""

    vendor: str
    model: str

    def __str__(self) -> str:
        return f"{self.vendor}/{self.model}"


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key travels: `bearer`, in the named `header`, or not at all (`none`)."""

    kind: Literal["bearer", "header", "none"] = "bearer"
    header: str = ""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What a vendor means by an error: one of these statuses, and one of these words or exactly one of these codes.

    Statuses left out fit every status; a rule without words and codes fits by its statuses alone.
    """

    reason: ErrorReason
    statuses: frozenset[int] = frozenset()
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one vendor, under the vendor's own id; sizes in tokens, 0 when unknown.

    Of a model of class embedding `context_window` is the longest text, `dimensions` the length of its vectors, the
    longest of several, and `max_texts` how many texts one call takes; 0 when unknown. `counts_texts` says that each
    text counts as a request.

    `reply_name` is what short replies call it; empty means its id.

    `listed` says that no row knows it: it stands in the vendor's own list, and may be pinned behind the vendor's name.
    Of what it can do, `capabilities` are what that list says and `lacks` what it denies; it may have any other.
    """

    id: str
    family: str = ""
    model_class: ModelClass = "chat"
    context_window: int = 0
    max_output_tokens: int = 0
    dimensions: int = 0
    max_texts: int = 0
    counts_texts: bool = False
    price: Price | None = None
    capabilities: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    reply_name: str = ""
    status: Status = "active"
    retired_on: dt.date | None = None
    successor: str = ""
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    quirks: tuple[str, ...] = ()
    source: str = ""
    date: str = ""
    listed: bool = False
    lacks: frozenset[str] = frozenset()

    @property
    def embeds(self) -> bool:
        """Tell whether it makes vectors; every other model makes answers."""
        return self.model_class == "embedding"

    def retired_by(self, day: dt.date) -> bool:
        """Tell whether the vendor has ended the model by that day; a day named in advance comes by itself."""
        return self.status == "retired" or (self.retired_on is not None and self.retired_on <= day)


@dataclass(frozen=True, slots=True)
class Vendor:
    """A company or server that answers LLM requests over HTTP.

    `endpoint` may hold `{placeholders}` that the variables of `endpoint_parts` fill; `endpoint_env` are variables that
    replace it, each with what becomes of its `{value}`; `regions` are other endpoints a slot can choose; `paths` take
    the place of the dialect's own; `terms` is the page of what becomes of prompts; `errors` are read before the
    dialect's rules; `open_models` says that ids outside `models` may be pinned; `concurrency_env` are variables that
    say how many calls it takes at one time.
    """

    id: str
    display_name: str
    reply_name: str
    group: Group
    dialect: str
    endpoint: str
    plans: Mapping[str, Plan]
    default_plan: PlanName
    models: Mapping[str, Model]
    port_offset: int
    aliases: tuple[str, ...] = ()
    endpoint_env: Mapping[str, str] = field(default_factory=dict)
    endpoint_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    regions: Mapping[str, str] = field(default_factory=dict)
    auth: Auth = Auth()
    headers: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    concurrency_env: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    key_format: str | None = None
    key_page: str = ""
    terms: str = ""
    quirks: tuple[str, ...] = ()
    errors: tuple[ErrorRule, ...] = ()
    provider_name: str = ""
    local: bool = False
    open_models: bool = False
    trains_on: Mapping[str, bool] = field(default_factory=dict)
    retired_on: dt.date | None = None

    def retired_by(self, day: dt.date) -> bool:
        """Tell whether the vendor has ended by that day."""
        return self.retired_on is not None and self.retired_on <= day


@dataclass(frozen=True, slots=True)
class UseCase:
    """What a request is for: candidates for each tier in order of preference, and request defaults.

    A tier without a key in `candidates` may use every offer under its cap. `spread_share` is how many requests a day
    the strategy `spread` sends to one account before it goes on to the next, 0 under other strategies; `weights` are
    those of the strategy `weighted`, by vendor.
    """

    name: str
    aliases: tuple[str, ...] = ()
    default_tier: Tier = "standard"
    strategy: Strategy = "priority"
    spread_share: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    temperature: float | None = None
    max_output_tokens: int | None = None
    system: str = ""
    stream_guarantee: StreamGuarantee = "fast"
    requirements: tuple[str, ...] = ()
    data_policy: DataPolicy = ""


@dataclass(frozen=True)
class Catalog:
    """Everything known about vendors. `version` changes whenever a row does; it has no order."""

    vendors: Mapping[str, Vendor]
    use_cases: Mapping[str, UseCase] = field(default_factory=dict)
    version: int = 0

    @cached_property
    def _vendor_names(self) -> Mapping[str, str]:
        names = {alias.casefold(): vendor.id for vendor in self.vendors.values() for alias in vendor.aliases}
        return names | {vendor.casefold(): vendor for vendor in self.vendors}

    @cached_property
    def _use_case_names(self) -> Mapping[str, str]:
        names = {alias.casefold(): case.name for case in self.use_cases.values() for alias in case.aliases}
        return names | {name.casefold(): name for name in self.use_cases}

    @cached_property
    def _index(self) -> NameIndex[ModelRef]:
        index: NameIndex[ModelRef] = NameIndex()
        rows = [(vendor.id, model) for vendor in self.vendors.values() for model in vendor.models.values()]
        for vendor, model in sorted(rows, key=lambda row: STATUSES.index(row[1].status)):
            ref = ModelRef(vendor, model.id)
            names = {"aliases": model.aliases, "short_names": model.short_names}
            index.add(ref, vendor, model.id, **names, family=model.family, alone=not model.listed)
        return index

    def refs(self) -> Iterator[ModelRef]:
        """Name every model of every vendor, in the order of the rows."""
        return (ModelRef(vendor.id, model) for vendor in self.vendors.values() for model in vendor.models)

    def serving(self, today: dt.date, *, embeds: bool = False) -> tuple[ModelRef, ...]:
        """Name the active models that have not ended by that day, in the order of the rows.

        Those that make answers, or those that embed.
        """
        return self._serving(today, embeds)

    @cached_property
    def _serving(self) -> Callable[[dt.date, bool], tuple[ModelRef, ...]]:
        return lru_cache(maxsize=4)(
            lambda today, embeds: tuple(ref for ref in self.refs() if self._serves(ref, today, embeds))
        )

    def _serves(self, ref: ModelRef, today: dt.date, embeds: bool) -> bool:
        model = self.vendors[ref.vendor].models[ref.model]
        if model.status != "active" or model.listed:
            return False
        return model.embeds is embeds and not model.retired_by(today)

    def vendor(self, name: str) -> Vendor | None:
        """Find a vendor by id or alias, whatever the case."""
        found = self._vendor_names.get(name.casefold())
        return None if found is None else self.vendors[found]

    def use_case(self, name: str) -> UseCase | None:
        """Find a use case by name or alias, whatever the case."""
        found = self._use_case_names.get(name.casefold())
        return None if found is None else self.use_cases[found]

    def model(self, ref: ModelRef) -> Model | None:
        """Find the row of a model, or None."""
        vendor = self.vendors.get(ref.vendor)
        return None if vendor is None else vendor.models.get(ref.model)

    def resolve(self, name: str) -> tuple[ModelRef, ...]:
        """Find the models a name means, active ones first; empty when nobody knows it.

        Behind a vendor a name is an id, else an alias, else a short name, else a family. Alone it may be any of these
        at any vendor; a short name alone counts only when one vendor has it, and a vendor's name is no model's.
        """
        return self._resolved(name)

    @cached_property
    def _resolved(self) -> Callable[[str], tuple[ModelRef, ...]]:
        return lru_cache(maxsize=4096)(self._resolve)

    def _resolve(self, name: str) -> tuple[ModelRef, ...]:
        head, slash, rest = name.partition("/")
        vendor = self.vendor(head) if slash else None
        if vendor is not None and (found := self._index.at(vendor.id, rest)):
            return found
        return () if self.vendor(name) is not None else self._index.anywhere(name)

    def closest(self, name: str) -> list[str]:
        """Return up to five known names that look like this one, the likest first."""
        return self._index.closest(name)

    def successor(self, ref: ModelRef) -> ModelRef | None:
        """Follow who serves in the place of a model to the end; None when it has no successor."""
        end: ModelRef | None = None
        seen = {ref}
        step = self.next_of(ref)
        while step is not None and step not in seen:
            end = step
            seen.add(step)
            step = self.next_of(step)
        return end

    def next_of(self, ref: ModelRef) -> ModelRef | None:
        """Return the successor a row names itself: a model of the same vendor, else `vendor/model`.

        A host of others may call a model just as its maker and the maker's model are called together; the maker's is
        meant then, for no model comes after itself.
        """
        model = self.model(ref)
        if model is None or not model.successor:
            return None
        here = ModelRef(ref.vendor, model.successor)
        there = ModelRef(*model.successor.partition("/")[::2])
        known = [step for step in (here, there) if self.model(step) is not None]
        return next((step for step in known if step != ref), known[0] if known else None)


def charged_price(plan: Plan, model: Model) -> Price | None:
    """Return what a model costs under a plan: nothing when free or local, else list price, None when unknown."""
    return model.price if plan.charged else FREE
