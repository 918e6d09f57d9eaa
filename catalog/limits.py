"""Says which limits an offer draws on, and under which subjects the ledger counts them."""

from dataclasses import replace
from datetime import date

from catalog.model import Catalog, Model
from catalog.offers import OfferId
from catalog.plan import Grant, Limit, matches
from catalog.settings import Mesh
from catalog.window import Window

MINUTE = 60
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
    ends, safety = mesh.account_ends(offer.vendor, slot), mesh.vendors[offer.vendor].safety
    effective = (_careful(_until(limit, ends), safety) for limit in (*shared, *own))
    return tuple((_subject(account, offer.model, limit), limit) for limit in effective)


def goes_on(catalog: Catalog, mesh: Mesh, offer: OfferId, payer: tuple[str, str], cost: int) -> bool:
    """Tell whether an offer may be used for a tenant and use case while the ledger is silent, and nothing is counted.

    Every limit it draws on must allow it: those of a local plan do unless they say otherwise, others when they say so.
    So must budgets of ours, but one of money does not matter when the request costs nothing.
    """
    local = mesh.slot(offer.vendor, offer.slot).plan == "local"
    theirs = [limit.when_silent or ("allow" if local else "deny") for _, limit in limits_for(catalog, mesh, offer)]
    subjects = {f"tenant/{payer[0]}", f"use_case/{payer[1]}", f"tenant/{payer[0]}/use_case/{payer[1]}"}
    ours = [
        row.when_silent or "deny"
        for row in mesh.budgets
        if row.subject in subjects and (cost or row.unit != "nanodollars")
    ]
    return all(mode == "allow" for mode in (*theirs, *ours)) and (local or bool(theirs))


def budget_id(subject: str, unit: str, window: Window) -> str:
    """Return a budget's id, such as `vendor/account/requests/minute`."""
    return f"{subject}/{unit}/{window.label}"


def _until(limit: Limit, ends: date | None) -> Limit:
    """Return a limit that ends with its account's credit when it is one-off and has no grants that say when."""
    if ends is None or limit.window.kind != "once" or limit.grants:
        return limit
    return replace(limit, grants=(Grant("slot", limit.amount, ends),))


def _careful(limit: Limit, safety: float) -> Limit:
    """Return so much of a limit by the second or minute as is safe, at least one: vendors count by their own clocks."""
    if safety == 1 or limit.window.kind != "sliding" or limit.window.seconds > MINUTE:
        return limit
    return replace(limit, amount=max(min(1, limit.amount), int(limit.amount * safety)))


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
