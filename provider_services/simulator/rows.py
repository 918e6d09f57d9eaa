"""Loads the rows that say what each simulated vendor is: paths, keys, models, pace, quotas, own words."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from provider_services.simulator.patterns import fits

# One file for each vendor: a new vendor is a new file. Quotas are those vendors publish for the plan named beside them.
ROWS = Path(__file__).with_name("vendors")


FASTEST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Period = Literal["second", "minute", "day", "month"]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every row has in common: frozen, and a misspelt field is an error."""


class AuthRow(Row, frozen=True):
    """Where the vendor looks for the key and what a well-formed key looks like; `or_bearer` is a second place."""

    header: str
    scheme: str = ""
    pattern: str = ""
    required: bool = True
    or_bearer: bool = False


class ModelRow(Row, frozen=True):
    """One hosted model; `version` is the dated name the vendor answers with.

    `price` is in US dollars per million tokens, into and out of it, for lists that tell prices.
    Vectors have `dimensions` unless more or fewer are asked for, `most_dimensions` at most.
    A model that reasons does so unless it is told not to; with `when_asked`, only if it is asked to. It heeds any word
    for that, or only the `switch` that is named.
    """

    id: str
    kind: Literal["chat", "embed"] = "chat"
    version: str = ""
    reasoning: bool = False
    when_asked: bool = False
    switch: str = ""
    signed: bool = False
    tools: bool = True
    context: int = 131_072
    max_output: int = 65_536
    dimensions: int = 0
    most_dimensions: int = 0
    owner: str = ""
    created: int = 1_750_000_000
    parameters: str = ""
    family: str = ""
    price: tuple[float, float] | None = None

    @property
    def answers_as(self) -> str:
        """Return the model name that appears in answers."""
        return self.version or self.id


class LatencyRow(Row, frozen=True):
    """The pace of an answer; `jitter` is the share by which each wait may differ."""

    first_token_ms: float = 0
    token_ms: float = 0
    jitter: float = 0

    def __post_init__(self) -> None:
        if self.first_token_ms < 0 or self.token_ms < 0 or not 0 <= self.jitter <= 1:
            raise ValueError("latency must not be negative and jitter lies between 0 and 1")


class LimitRow(Row, frozen=True):
    """One quota the vendor enforces on itself, for models of these patterns or all; `once` means nothing comes back."""

    unit: Literal["requests", "tokens", "concurrency"]
    amount: int
    per: Period | Literal["once"] = "minute"
    scope: Literal["account", "model"] = "account"
    resets: Literal["rolling", "utc", "pacific"] | None = None
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError("amount must not be negative")

    def covers(self, model: str) -> bool:
        """Tell whether this limit speaks about the model."""
        return not self.models or fits(self.models, model)


class RateRow(Row, frozen=True):
    """How the vendor tells its limits in headers, and which windows they speak of; `prefix` begins their names."""

    style: str = "none"
    prefix: str = ""
    requests: Period = "minute"
    tokens: Period = "minute"
    also: tuple[tuple[Literal["requests", "tokens"], Period], ...] = ()


class ErrorRow(Row, frozen=True):
    """The vendor's own words for one kind of refusal; `{names}` in the body are filled in."""

    status: int
    body: Any
    headers: dict[str, str] = {}


class RequestIdRow(Row, frozen=True):
    """The header that carries the vendor's id for the request."""

    header: str
    style: str = "hex"
    prefix: str = "req_"


class VendorRow(Row, frozen=True):
    """Everything the simulator knows about one vendor.

    `retired` models had their day, an `ended` vendor serves nobody. Whoever has no good key sees nothing of the models
    of a `closed` listing, the whole of an `open` one, and of an `empty` one that there is nothing in it.
    """

    name: str
    dialect: str
    prefix: str
    auth: AuthRow
    models: tuple[ModelRow, ...]
    model_any: bool = False
    retired: tuple[str, ...] = ()
    ended: bool = False
    listing: Literal["closed", "empty", "open"] = "closed"
    latency: LatencyRow = LatencyRow()
    limits: tuple[LimitRow, ...] = ()
    rate_headers: RateRow = RateRow()
    headers: dict[str, str] = {}
    request_id: RequestIdRow | None = None
    quirks: dict[str, Any] = {}
    errors: dict[str, ErrorRow] = {}

    def model(self, name: str) -> ModelRow | None:
        """Find a hosted model by id; with `model_any`, invent one."""
        if self.is_retired(name):
            return None
        for row in self.models:
            if row.id == name:
                return row
        return ModelRow(id=name) if self.model_any and name else None

    def is_retired(self, name: str) -> bool:
        """Tell whether a model had its day; behind a colon a name may have a tag or a host."""
        return name in self.retired or name.partition(":")[0] in self.retired


def load_rows(overrides: Path | None = None) -> tuple[VendorRow, ...]:
    """Read the rows that ship with the simulator, with a file of overrides (`vendors: {<name>: {...}}`) laid over them.

    `more_models` of a row are hosted too, unless the row has that id already; what the row's `traits` say of the first
    pattern that names one is laid over it. A vendor without a row stays unknown.

    Raises:
        msgspec.ValidationError: a row does not follow the schema above.
    """
    vendors = _shipped()
    if overrides is not None:
        vendors = _laid_over({"vendors": vendors}, _read(overrides)).get("vendors", {})
    known = {name: row for name, row in vendors.items() if set(row) != {"more_models"}}
    return tuple(msgspec.convert({"name": name, **_hosting(row)}, VendorRow) for name, row in known.items())


@cache
def _shipped() -> dict[str, Any]:
    """Return the rows that ship, which nobody changes while the program runs."""
    return {path.stem: _read(path) for path in sorted(ROWS.glob("*.yaml"))}


def _hosting(row: dict[str, Any]) -> dict[str, Any]:
    hosted, traits = list(row.get("models", ())), row.get("traits", {})
    known = {model.get("id") for model in hosted}
    more = [model | _traits(traits, model) for model in row.get("more_models", ()) if model.get("id") not in known]
    rest = {key: value for key, value in row.items() if key not in {"more_models", "traits"}}
    return {**rest, "models": hosted + more}


def _traits(traits: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    return next((found for pattern, found in traits.items() if fits((pattern,), str(model.get("id")))), {})


def _read(path: Path) -> dict[str, Any]:
    loaded = yaml.load(path.read_text(encoding="utf-8"), FASTEST)  # noqa: S506 - both loaders are safe ones
    if not isinstance(loaded, dict):
        raise msgspec.ValidationError(f"{path}: expected a mapping")
    return loaded


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
