"""Plans with the models that vendors list themselves: they may be pinned though no row of the catalogue knows them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.mesh import Mesh
from catalog.model import FREE, Catalog, Model, Vendor
from router_service.estimate import Estimator
from router_service.planner import Planner


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in a vendor's own list; its context window is 0 when the list does not say."""

    id: str
    context_window: int = 0


Lists = Mapping[str, tuple[Listed, ...]]


def read(models: Iterable[DescribeResponse.DiscoveredModel]) -> tuple[Listed, ...]:
    """Read the list of a description."""
    return tuple(Listed(model.id, model.context_window) for model in models)


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
    return Model(
        id=listed.id,
        model_class="local" if vendor.local else "chat",
        context_window=listed.context_window,
        price=FREE if vendor.local else None,
        status="active" if vendor.local else "unknown",  # nobody has looked at it: called when it is pinned only
        source="the vendor's own list",
        listed=True,
    )


class View:
    """The configuration and a planner over it, both with what vendors list; made anew whenever a list has changed."""

    def __init__(self, mesh: Mesh, estimator: Estimator) -> None:
        self._configured = mesh
        self._estimator = estimator
        self._lists: Lists = {}
        self.mesh = mesh
        self.planner = Planner(mesh, estimator)

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
        return self
