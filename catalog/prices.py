"""Compares the prices of the rows with those of a price file: what changed, what is new, what has ended."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from catalog.model import Catalog, Model, Vendor
from catalog.money import LongContextPrice, Price
from meshkit.errors import StartError

# Lists are sums in floats; a millionth of a dollar for a million tokens is more than anybody charges for.
Dollars = Annotated[float, Field(ge=0), AfterValidator(lambda dollars: round(dollars, 6))]
ENDED = "retired"
CURRENT = frozenset({"active", "deprecated"})
_ABOVE = re.compile(r"above_([0-9]+)k")
# A price file's words for the prices of a row.
_WORDS = {
    "input": "input",
    "output": "output",
    "cache_read_input": "cached_input",
    "cache_creation_input": "cache_write",
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
}


class Tier(BaseModel):
    """One of several prices by the length of the prompt, in tokens from and to."""

    model_config = ConfigDict(extra="allow")

    range: tuple[float, float]


class ListedModel(BaseModel):
    """One model of the file; prices are US dollars per million tokens, null where the list says nothing."""

    vendor: str
    model: str
    input_usd_per_1m: Dollars | None = None
    output_usd_per_1m: Dollars | None = None
    cached_input_usd_per_1m: Dollars | None = None
    cache_write_usd_per_1m: Dollars | None = None
    long_context_usd_per_1m: dict[str, dict[str, Dollars]] | None = None
    tiered_pricing: list[Tier] | None = None
    status: str = "active"
    shutdown_date: dt.date | None = None
    source: str = ""

    def prices(self) -> dict[str, float]:
        """Return what the file says, by the names of a row; a write that costs nothing of its own is not told."""
        told = {
            "input": self.input_usd_per_1m,
            "output": self.output_usd_per_1m,
            "cached_input": self.cached_input_usd_per_1m,
            "cache_write": self.cache_write_usd_per_1m or None,
        }
        said = {name: value for name, value in told.items() if value is not None}
        return said | {f"long_context.{name}": value for name, value in self._long_context().items()}

    def _long_context(self) -> dict[str, float]:
        """Return the price of longer prompts, of which a row knows one."""
        for name, told in (self.long_context_usd_per_1m or {}).items():
            if above := _ABOVE.fullmatch(name):
                return {"above": int(above[1]) * 1_000, **_named(told)}
        if self.tiered_pricing is not None and len(self.tiered_pricing) == 2:
            short, long = self.tiered_pricing
            return {"above": int(short.range[1]), **_named(long.model_extra or {})}
        return {}


class Meta(BaseModel):
    """What the file says of itself."""

    generated: dt.date


class PriceFile(BaseModel):
    """The whole file."""

    meta: Annotated[Meta, Field(alias="_meta")]
    models: list[ListedModel]


@dataclass(frozen=True, slots=True)
class Change:
    """One price that is another now; None where the row says nothing."""

    vendor: str
    model: str
    field: str
    was: float | None
    now: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a price file says about the rows; `matched` are the active models it knows."""

    generated: dt.date
    matched: tuple[ListedModel, ...]
    changes: tuple[Change, ...]
    new: tuple[ListedModel, ...]
    ended: tuple[ListedModel, ...]


def read_prices(path: Path) -> PriceFile:
    """Read a price file.

    Raises:
        StartError: it cannot be read, is no JSON, or has another shape.
    """
    try:
        return PriceFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the file"
        allowed = "see docs/catalogue.md for the format of a price file"
        raise StartError(f"{path}: {place}: {fault['msg']}; {allowed}") from error
    except ValueError as error:
        raise StartError(f"{path}: is not JSON: {error}") from error


def compare(catalog: Catalog, listed: PriceFile) -> Comparison:
    """Compare the active models of a catalogue with a price file; models on machines of ours have no price.

    New are current models that a row lacks whose vendor serves nothing but the models of its row.
    """
    matched, new, ended = [], [], []
    changes: list[Change] = []
    for row in listed.models:
        vendor = catalog.vendors.get(row.vendor)
        if vendor is None or vendor.local:
            continue
        model = _named_model(vendor, row.model)
        if model is None and row.status in CURRENT and not vendor.open_models:
            new.append(row)
        elif model is not None and model.id.casefold() == row.model.casefold() and _priced(model, row):
            matched.append(row.model_copy(update={"model": model.id}))
            changes.extend(_changes(row.vendor, model, row.prices()))
            if row.status == ENDED:
                ended.append(row)
    return Comparison(listed.meta.generated, tuple(matched), tuple(changes), tuple(new), tuple(ended))


def _named_model(vendor: Vendor, name: str) -> Model | None:
    """Find a vendor's model by id or alias, whatever the case."""
    said = name.casefold()
    return next((m for m in vendor.models.values() if said in map(str.casefold, (m.id, *m.aliases))), None)


def _priced(model: Model, row: ListedModel) -> bool:
    return model.status == "active" and model.price is not None and bool(row.prices())


def _changes(vendor: str, model: Model, told: Mapping[str, float]) -> Iterator[Change]:
    """Name the prices that are others in the file than in the row."""
    had = _said(model.price) if model.price else {}
    for field, now in told.items():
        if had.get(field) != now:
            yield Change(vendor, model.id, field, had.get(field), now)


def _said(price: Price) -> dict[str, float]:
    """Return the prices of a row in dollars, by the names of the row."""
    said = _dollars(price)
    if price.long_context is not None:
        long = {"above": float(price.long_context.above), **_dollars(price.long_context)}
        said |= {f"long_context.{name}": value for name, value in long.items()}
    return said


def _dollars(price: Price | LongContextPrice) -> dict[str, float]:
    names = ("input", "output", "cached_input", "cache_write")
    return {name: getattr(price, name) / 1e9 for name in names}


def _named(told: Mapping[str, float]) -> dict[str, float]:
    """Return prices by the names of a row; others, such as one for reasoning alone, have no place in it."""
    return {_WORDS[name]: round(float(value), 6) for name, value in told.items() if name in _WORDS}
