"""Reads the whole ledger out of the store, and writes one into an empty store: each is one call of the script (I20)."""

from datetime import date
from typing import Any

from msgspec import json

from quota_service.budgets import UNITS, parts
from quota_service.holds import State
from quota_service.image import (
    ClosureLine,
    HoldLine,
    Image,
    OverrideLine,
    Spent,
    Window,
    header,
    redefined,
    spent_of,
)
from quota_service.operations import LEASE, Outcome
from quota_service.spend import SpendLine
from quota_service.stores.redis.known import Known
from quota_service.stores.redis.link import Link

# Beyond it the store does not count exactly (I15).
MOST = 2**53 - 1
_text = json.Encoder().encode


async def image(link: Link, known: Known, spend: list[SpendLine]) -> Image:
    """Return the whole ledger as of one moment; spend was read just before."""
    told = await link.read(known.request("image", None))
    windows = [_window(row) for row in told["cells"]]
    there = {window.key for window in windows}
    return Image(
        header=header("redis", told["epoch"], told["now"], told["stored_version"]),
        windows=windows,
        holds=[_hold(row, there) for row in told["holds"]],
        closures=[ClosureLine(name, *closure) for name, closure in dict(told["closures"]).items()],
        overrides=[OverrideLine(budget, *override) for budget, override in dict(told["all_overrides"]).items()],
        spend=[spent_of(line) for line in spend],
    )


def _window(row: list[Any]) -> Window:
    budget, start, end, counts_until, used, held, external, vendor_limit = row
    return Window(budget, start, end, counts_until, used, held, external, None if vendor_limit < 0 else vendor_limit)


def _hold(row: list[Any], there: set[tuple[str, int]]) -> HoldLine:
    attempt_id, ended, hold, told = row
    state, mark, offer, plan, version, expires, *rest = hold
    who, created, prompt, output, cost, requests = rest[4:]
    tenant, use_case, vendor, model, _ = json.decode(who)
    legs = zip(told[::3], told[2::3], strict=True)
    return HoldLine(
        attempt_id=attempt_id,
        fingerprint=mark,
        tenant=tenant,
        use_case=use_case,
        offer=offer,
        vendor=vendor,
        model=model,
        plan=plan,
        version=version,
        requests=requests,
        input_tokens=prompt,
        output_tokens=output,
        cost_nanos=cost,
        created=created,
        expires=expires,
        state=state,
        ended=ended,
        legs=tuple(leg for leg in legs if leg in there),
    )


async def take_in(link: Link, known: Known, image: Image) -> bool:
    """Become what an image shows; False when the store is not empty."""
    definitions = redefined(image, known.definitions)
    contents = {
        "clock": image.header.clock,
        "version_after": definitions.version,
        "overrides": definitions.overrides,
        "cells": [_cell_row(window) for window in image.windows],
        "open": [_hold_row(hold) for hold in image.holds if hold.state == State.HELD],
        "lapsed": [_hold_row(hold) for hold in _lapsed(image)],
        "closures": {line.subject: (line.until, line.reason) for line in image.closures},
        "spend": [[_day(row.day), _group(row), row.sums] for row in image.spend],
        "note": f"epoch {image.header.epoch} version {image.header.version}",
    }
    told = await link.run(lambda server: known.request("import", server, more=contents))
    known.heed(told)
    return bool(told["kind"] == "imported")


def largest(image: Image) -> int:
    """Return the largest amount in an image."""
    windows = (max(window.used + window.held + window.external, window.vendor_limit or 0) for window in image.windows)
    limits = (line.limit for line in image.overrides)
    return max((*windows, *limits, *(max(map(abs, row.sums)) for row in image.spend)), default=0)


def _cell_row(window: Window) -> list[Any]:
    vendor_limit = -1 if window.vendor_limit is None else window.vendor_limit
    bounds = [window.budget, window.start, window.end, window.counts_until]
    return [*bounds, window.used, window.held, window.external, vendor_limit]


def _hold_row(hold: HoldLine) -> list[Any]:
    """Return a hold as the script takes it: attempt, columns, shape, when it lapsed."""
    shape: list[Any] = []
    for budget, start in hold.legs:
        shape += budget, UNITS.index(parts(budget)[1]) + 1, start
    lent = any(parts(budget)[1] == "concurrency" for budget, _ in hold.legs)
    outcome = Outcome.LAPSED.value if hold.state == State.LAPSED else ""
    head = [hold.state, hold.fingerprint, hold.offer, hold.plan, hold.version, hold.expires, 0, outcome, ""]
    who = _text((hold.tenant, hold.use_case, hold.vendor, hold.model, hold.plan)).decode()
    amounts = (hold.input_tokens, hold.output_tokens, hold.cost_nanos, hold.requests)
    return [hold.attempt_id, [*head, LEASE if lent else 0, who, hold.created, *amounts], shape, hold.ended]


def _lapsed(image: Image) -> list[HoldLine]:
    return sorted((hold for hold in image.holds if hold.state == State.LAPSED), key=lambda hold: hold.ended)


def _day(day: str) -> int:
    """Return the number of a UTC day since 1970."""
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def _group(row: Spent) -> str:
    who = _text((row.tenant, row.use_case, row.vendor, row.model, row.plan)).decode()
    return who + row.outcome + (f"\n{row.labels}" if row.labels else "")
