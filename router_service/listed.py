"""Plans with the models that vendors list themselves: they may be pinned though no row of the catalogue knows them."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.mesh import Mesh
from catalog.model import FREE, Catalog, LongContextPrice, Model, Price, Vendor
from router_service.demand import Reader
from router_service.estimate import Estimator
from router_service.planner import Planner

# The dearest price that is believed, in nano-dollars per million tokens: a dollar for each token.
MOST = 10**15


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in a vendor's own list; sizes are 0 and the rest is empty when the list does not say."""

    id: str
    context_window: int = 0
    max_output_tokens: int = 0
    price: Price | None = None
    capabilities: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    retired_on: dt.date | None = None


Lists = Mapping[str, tuple[Listed, ...]]


def read(models: Iterable[DescribeResponse.DiscoveredModel]) -> tuple[Listed, ...]:
    """Read the list of a description."""
    return tuple(
        Listed(
            id=model.id,
            context_window=max(model.context_window, 0),
            max_output_tokens=max(model.max_output_tokens, 0),
            price=_price(model.price) if model.HasField("price") else None,
            capabilities=frozenset(model.capabilities),
            lacks=frozenset(model.lacks),
            retired_on=_day(model.retired_on),
        )
        for model in models
    )


def _price(told: DescribeResponse.Price) -> Price | None:
    """Read a price; None when an amount is negative or absurd, for that is none."""
    tokens, longer = _token_prices(told), _token_prices(told.long_context)
    if not all(0 <= amount <= MOST for amount in (*tokens.values(), *longer.values(), told.request_nanos)):
        return None
    long = LongContextPrice(above=told.long_context.above, **longer) if told.HasField("long_context") else None
    return Price(**tokens, request=told.request_nanos, long_context=long)


def _token_prices(told: DescribeResponse.Price | DescribeResponse.LongContext) -> Mapping[str, int]:
    cached = told.cached_input_nanos if told.HasField("cached_input_nanos") else told.input_nanos
    written = told.cache_write_nanos if told.HasField("cache_write_nanos") else told.input_nanos
    return {"input": told.input_nanos, "output": told.output_nanos, "cached_input": cached, "cache_write": written}


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def with_lists(catalog: Catalog, lists: Lists) -> Catalog:
    """Return the catalogue with the listed models of vendors whose other models may be pinned."""
    vendors = {name: _with_list(vendor, lists.get(name, ())) for name, vendor in catalog.vendors.items()}
    return Catalog(MappingProxyType(vendors), catalog.use_cases, catalog.version)


def _with_list(vendor: Vendor, listed: tuple[Listed, ...]) -> Vendor:
    known = {model.casefold() for model in vendor.models}
    more = {model.id: _model(vendor, model) for model in listed if model.id.casefold() not in known}
    if not (vendor.open_models and more):
        return vendor
    return replace(vendor, models=MappingProxyType({**vendor.models, **more}))


def _model(vendor: Vendor, listed: Listed) -> Model:
    thinks = "reasoning" in listed.capabilities
    return Model(
        id=listed.id,
        model_class="local" if vendor.local else "reasoning" if thinks else "chat",
        context_window=listed.context_window,
        max_output_tokens=listed.max_output_tokens,
        price=FREE if vendor.local else listed.price,
        capabilities=listed.capabilities,
        lacks=listed.lacks,
        status="active" if vendor.local else "unknown",  # nobody has looked at it: called when it is pinned only
        retired_on=listed.retired_on,
        source="the vendor's own list",
        listed=True,
    )


class View:
    """The configuration and what reads and plans over it, with what vendors list; made anew whenever that changes."""

    def __init__(self, mesh: Mesh, estimator: Estimator) -> None:
        self._configured = mesh
        self._estimator = estimator
        self._lists: Lists = {}
        self.mesh = mesh
        self.planner = Planner(mesh, estimator)
        self.demands = Reader(mesh.catalog, mesh.tiers)

    @property
    def catalog(self) -> Catalog:
        """The catalogue with the listed models."""
        return self.mesh.catalog

    def now(self, lists: Lists) -> "View":
        """Return the view with these lists; whoever gives the same ones again pays nothing."""
        if lists is not self._lists:
            self._lists = lists
            self.mesh = replace(self._configured, catalog=with_lists(self._configured.catalog, lists))
            self.planner = Planner(self.mesh, self._estimator)
            self.demands = Reader(self.mesh.catalog, self.mesh.tiers)
        return self
