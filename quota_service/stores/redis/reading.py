"""Reads how budgets stand and what was spent, beside the batches and without touching them."""

from datetime import UTC, datetime
from typing import Any, cast

from msgspec import json, msgpack

from quota_service.budgets import Budget
from quota_service.changes import SpendDelta, SpendKey
from quota_service.operations import Amounts
from quota_service.overrides import starting
from quota_service.rules import Closure
from quota_service.spend import SpendLine, SpendQuery, SpendTable
from quota_service.standing import BudgetStanding, Standing
from quota_service.stores.redis.known import Known
from quota_service.stores.redis.link import Link
from quota_service.stores.redis.rows import Batch, BudgetRows

# Looking holds up the batches, so it is done in parts.
BUDGETS_AT_ONCE = 500


async def standing(link: Link, known: Known, rows: BudgetRows, prefix: str) -> Standing:
    """Return how the budgets stand whose subjects start with this."""
    definitions = known.definitions.as_of(known.guess())
    budgets = [budget for budget in definitions.budgets() if budget.subject.startswith(prefix)]
    found: list[BudgetStanding] = []
    reply: dict[str, Any] = {}
    for first in range(0, max(1, len(budgets)), BUDGETS_AT_ONCE):
        some = budgets[first : first + BUDGETS_AT_ONCE]
        reply = await _look(link, known, rows, some)
        if known.adopt(reply):
            return await standing(link, known, rows, prefix)
        found += [_one(budget, level) for budget, level in zip(some, reply["levels"], strict=True)]
    closures = {subject: Closure(*said) for subject, said in dict(reply["closures"]).items()}
    return Standing(
        budgets=tuple(found),
        closures={subject: closure for subject, closure in closures.items() if subject.startswith(prefix)},
        version=definitions.version,
        now=reply["now"],
        open_holds=reply["open"],
        overrides=starting(definitions.overrides, prefix),
    )


async def _look(link: Link, known: Known, rows: BudgetRows, budgets: list[Budget]) -> dict[str, Any]:
    """Ask for the levels of some budgets, again when their calendars were sent for another time."""
    now = known.guess()
    while True:
        batch = Batch(known.definitions, rows, now=now)
        for budget in budgets:
            batch.budget(budget)
        reply = await link.read(known.request("look", None, batch))
        if reply["kind"] == "seen":
            return reply
        now = reply["now"]


def _one(budget: Budget, level: list[int]) -> BudgetStanding:
    used, held, external, limit, end = level
    left = max(0, limit - used - held - external)
    ends = budget.window.kind == "calendar"
    return BudgetStanding(budget, budget.limit, used, held, external, left, end if ends else None)


async def spend(link: Link, query: SpendQuery) -> list[SpendLine]:
    """Sum what was spent: a hash for each day, whose fields are the columns."""
    client = cast("Any", link.readers)
    days = sorted(int(day) for day in await client.smembers(f"{link.prefix}days"))
    table = SpendTable()
    for number in days:
        day = datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")
        if (query.from_day and day < query.from_day) or (query.to_day and day > query.to_day):
            continue
        rows = await client.hgetall(f"{link.prefix}s:{number}")
        table.add(_delta(day, group.decode(), msgpack.decode(row)) for group, row in rows.items())
        if not rows:
            await client.srem(f"{link.prefix}days", number)
    return table.query(query)


def _delta(day: str, group: str, row: list[int]) -> SpendDelta:
    """Read one row of a day: who and what as a JSON list, the outcome behind it, labels on a second line; the sums."""
    group, _, labels = group.partition("\n")
    who, _, outcome = group.rpartition("]")
    tenant, use_case, vendor, model, plan = json.decode(f"{who}]")
    attempts, requests, prompt, output, cost, assumed = row
    key = SpendKey(day, tenant, use_case, vendor, model, plan, outcome, labels)
    return SpendDelta(key, attempts, Amounts(requests, prompt, output, cost), assumed)
