"""Reads the budgets of offers and payers out of the catalogue and mesh.yaml."""

from collections import defaultdict
from collections.abc import Iterator

from catalog.limits import limits_for
from catalog.model import Catalog
from catalog.offers import OfferId
from catalog.plan import Limit
from catalog.settings import DEFAULT_ACCOUNT, BudgetRow, Mesh
from catalog.window import Window, parse_window
from quota_service.budgets import Budget, Terms, budget, tightest
from quota_service.definitions import Definitions

# What routers tell of breakers, and hold while they probe; named like offers: `breaker/<subject>#1`.
BREAKER, PROBE = "breaker", "probe"
AT_ONCE = Window("now")
# A share is so many requests of a day in UTC.
SHARE_WINDOW = parse_window("day")


def definitions_of(catalog: Catalog, mesh: Mesh) -> Definitions:
    """Return the definitions a configuration makes."""

    def expand(text: str) -> Terms | None:
        return _terms(catalog, mesh, text)

    return Definitions(mesh.version, expand, _payers(mesh), _declared(catalog, mesh))


def _terms(catalog: Catalog, mesh: Mesh, text: str) -> Terms | None:
    """Return the terms of an offer, None when no row knows its vendor or its model."""
    try:
        offer = OfferId.parse(text)
    except ValueError:
        return None
    if offer.vendor in (BREAKER, PROBE):
        return _breaker_terms(catalog, offer)
    vendor = catalog.vendors.get(offer.vendor)
    if vendor is None or not (vendor.open_models or offer.model in vendor.models):
        return None
    slot = mesh.slot(offer.vendor, offer.slot)
    account = f"{offer.vendor}/{slot.account}"
    rows = limits_for(catalog, mesh, offer)
    return Terms(
        offer=text,
        vendor=offer.vendor,
        model=offer.model,
        plan=slot.plan,
        account=account,
        closes_model=f"{account}/{offer.model}",
        closes_slot=f"{offer.vendor}#{offer.slot}",
        budgets=tightest(_budget(subject, limit) for subject, limit in rows),
    )


def _breaker_terms(catalog: Catalog, offer: OfferId) -> Terms | None:
    """Return the terms of a breaker: what closes it closes nothing else, and in the whole mesh there is one probe."""
    subject = f"{offer.vendor}/{offer.model}"
    if offer.model.partition("/")[0] not in catalog.vendors:
        return None
    probe = (budget(subject, "concurrency", AT_ONCE, 1),) if offer.vendor == PROBE else ()
    return Terms(
        offer=str(offer),
        vendor=offer.vendor,
        model=offer.model,
        plan="",
        account=f"{subject}#account",
        closes_model=f"{subject}#model",
        closes_slot=subject,
        budgets=probe,
    )


def _budget(subject: str, row: Limit | BudgetRow) -> Budget:
    return budget(subject, row.unit, row.window, row.amount, hard=row.hard, headroom=row.headroom, grants=row.grants)


def _payers(mesh: Mesh) -> dict[str, tuple[Budget, ...]]:
    payers: defaultdict[str, list[Budget]] = defaultdict(list)
    for row in mesh.budgets:
        payers[row.subject].append(_budget(row.subject, row))
    return {subject: tightest(rows) for subject, rows in payers.items()} | dict(_shares(mesh))


def _shares(mesh: Mesh) -> Iterator[tuple[str, tuple[Budget, ...]]]:
    """Return the budgets of every account's share of each use case that is spread, by subject."""
    enabled = {vendor: settings for vendor, settings in mesh.vendors.items() if settings.enabled}
    accounts = [
        f"{vendor}/{account}"
        for vendor, settings in enabled.items()
        for account in sorted({DEFAULT_ACCOUNT, *(slot.account for slot in settings.slots.values())})
    ]
    for use_case in mesh.use_cases.values():
        for account in accounts if use_case.spread_share else ():
            subject = f"use_case/{use_case.name}/share/{account}"
            yield subject, (budget(subject, "requests", SHARE_WINDOW, use_case.spread_share),)


def _declared(catalog: Catalog, mesh: Mesh) -> Iterator[str]:
    """Name the offers of enabled vendors: every model that is not retired, with every slot that is configured."""
    for vendor in catalog.vendors.values():
        settings = mesh.vendors.get(vendor.id)
        if settings is None or not settings.enabled or vendor.retired_on is not None:
            continue
        for model in vendor.models.values():
            if model.status != "retired":
                yield from (str(OfferId(vendor.id, model.id, slot)) for slot in sorted({1, *settings.slots}))
