"""Says which limits an offer draws on, and under which subjects the ledger counts them."""

from catalog.model import Catalog, Model
from catalog.offers import OfferId
from catalog.plan import Limit, matches
from catalog.settings import Mesh
from catalog.window import Window

_OUT_OF_REACH = Limit("requests", Window("once"), 0, "model", source="the plan does not reach this model")


def limits_for(catalog: Catalog, mesh: Mesh, offer: OfferId) -> tuple[tuple[str, Limit], ...]:
    """Return (subject, limit) for everything an offer draws on; none when it is unlimited.

    Subjects are `vendor/account`, `vendor/account/model` and `vendor/account/pool:name`, with the account of the slot.
    Limits of mesh.yaml replace a plan's whole; a model's own ones replace those its plan has for each model.

    Raises:
        KeyError: no such vendor.
    """
    vendor = catalog.vendors[offer.vendor]
    slot = mesh.slot(offer.vendor, offer.slot)
    plan = mesh.plan(offer.vendor, slot.plan)
    account = f"{offer.vendor}/{slot.account}"
    if not plan.covers(offer.model):
        return ((f"{account}/{offer.model}", _OUT_OF_REACH),)
    model = vendor.models.get(offer.model)
    own = () if slot.plan in mesh.vendors[offer.vendor].limits else _own_limits(model, slot.plan)
    shared = [
        limit for limit in plan.limits if not (own and limit.scope == "model") and matches(offer.model, limit.models)
    ]
    return tuple((_subject(account, offer.model, limit), limit) for limit in (*shared, *own))


def budget_id(subject: str, unit: str, window: Window) -> str:
    """Return a budget's id, such as `vendor/account/requests/minute`."""
    return f"{subject}/{unit}/{window.label}"


def _own_limits(model: Model | None, plan: str) -> tuple[Limit, ...]:
    """Return the limits a model's row names for a plan."""
    return () if model is None else model.limits.get(plan, ())


def _subject(account: str, model: str, limit: Limit) -> str:
    """Return what a limit counts for."""
    match limit.scope:
        case "account":
            return account
        case "model":
            return f"{account}/{model}"
        case "pool":
            return f"{account}/pool:{limit.pool}"
