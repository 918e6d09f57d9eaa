"""What a vendor's usable slots may still do: summed over accounts, models and pools, never converted."""

import datetime as dt
from dataclasses import replace

import pytest
from fixtures.small_mesh import catalog, mesh, model, vendor
from llmmesh.quota.v1 import quota_pb2

from catalog.plan import Limit, Plan
from catalog.settings import Slot
from catalog.window import parse_window
from router_service.quotas import Figure, Kind, Quotas, period_of

TODAY = dt.date(2026, 11, 20)
REQUESTS_A_DAY = Kind("requests", "day")
TOKENS_A_MONTH = Kind("tokens", "month")
TWO = (model("one"), model("two"))


def limit(amount: int, window: str = "day", unit: str = "requests", **more) -> Limit:
    return Limit(unit, parse_window(window), amount, **more)


def each(amount: int, window: str = "day", unit: str = "requests", *models: str) -> Limit:
    return limit(amount, window, unit, scope="model", models=models)


def alpha(*limits: Limit, models=TWO, plan: str = "free", **plans: Plan):
    known = {"free": Plan("free", limits), "paid": Plan("paid"), "credit": Plan("credit", limits), **plans}
    return vendor("alpha", *models, plan=plan, plans=known)


def state(budget: str, used: int, limit: int) -> quota_pb2.BudgetState:
    return quota_pb2.BudgetState(id=budget, limit=limit, used=used, left=limit - used)


def figures(of, *states, slots=(1,), accounts=None, plans=None, closed=()):
    configured = mesh(catalog(of))
    rows = {n: Slot(n, (accounts or {}).get(n, "default"), (plans or {}).get(n, of.default_plan)) for n in slots}
    configured = replace(configured, vendors={"alpha": replace(configured.vendors["alpha"], slots=rows)})
    quotas = Quotas(configured)
    shape = quotas.shape("alpha", tuple(slots), TODAY)
    return dict(quotas.figures(shape, {s.id: s for s in states}, closed)), shape


def test_an_accounts_budget_is_told_with_what_the_ledger_says_of_it():
    found, shape = figures(alpha(limit(100)), state("alpha/default/requests/day", 30, 100))
    assert found == {REQUESTS_A_DAY: Figure(100, 30, 70)}
    assert (shape.free_unbounded, shape.paid_unbounded) == (False, False)


def test_budgets_of_models_are_added_up():
    found, _ = figures(alpha(each(100)), state("alpha/default/one/requests/day", 30, 100))
    assert found == {REQUESTS_A_DAY: Figure(200, 30, 170)}


def test_a_pool_counts_once_for_all_its_models():
    pool = limit(50, scope="pool", pool="p", models=("one", "two"))
    found, _ = figures(alpha(pool), state("alpha/default/pool:p/requests/day", 1, 50))
    assert found == {REQUESTS_A_DAY: Figure(50, 1, 49)}


@pytest.mark.parametrize(("account", "left"), [(150, 150), (500, 200)])
def test_of_an_accounts_own_budget_and_the_sum_of_its_models_the_smaller_is_left(account, left):
    found, _ = figures(alpha(limit(account), each(100)))
    assert found[REQUESTS_A_DAY].left == left


def test_budgets_of_some_models_bound_nothing_while_others_have_none():
    found, shape = figures(alpha(each(100, "day", "requests", "one")))
    assert found == {}
    assert shape.free_unbounded
    bounded, shape = figures(alpha(limit(500), each(100, "day", "requests", "one")))
    assert bounded == {REQUESTS_A_DAY: Figure(500, 0, 500)}
    assert not shape.free_unbounded


def test_two_keys_of_one_account_have_its_quota_once_and_two_accounts_have_it_twice():
    assert figures(alpha(limit(100)), slots=(1, 2))[0] == {REQUESTS_A_DAY: Figure(100, 0, 100)}
    found, _ = figures(
        alpha(limit(100)),
        state("alpha/default/requests/day", 30, 100),
        state("alpha/second/requests/day", 1, 100),
        slots=(1, 2, 3),
        accounts={2: "second"},
    )
    assert found == {REQUESTS_A_DAY: Figure(200, 31, 169)}


def test_a_limit_by_the_month_bounds_the_day_but_is_not_converted():
    found, _ = figures(alpha(limit(100), limit(1_000, "month")), state("alpha/default/requests/month", 970, 1_000))
    assert found[REQUESTS_A_DAY] == Figure(100, 0, 30)
    assert found[Kind("requests", "month")].left == 30
    only_monthly, _ = figures(alpha(limit(1_000, "month")))
    assert list(only_monthly) == [Kind("requests", "month")]


def test_requests_and_tokens_and_money_are_never_added_together():
    limits = (limit(100), limit(750_000, "month", "tokens"), limit(5_000_000_000, "once", "nanodollars"))
    found, _ = figures(alpha(*limits))
    assert list(found) == [REQUESTS_A_DAY, TOKENS_A_MONTH, Kind("nanodollars", "once")]
    assert [figure.left for figure in found.values()] == [100, 750_000, 5_000_000_000]


def test_of_what_a_vendor_closed_nothing_is_left():
    found, _ = figures(alpha(each(100)), state("alpha/default/two/requests/day", 5, 100), closed=["alpha/default/one"])
    assert found == {REQUESTS_A_DAY: Figure(200, 5, 95)}


@pytest.mark.parametrize(
    "uncounted",
    [
        model("gone", status="retired", retired_on=dt.date(2026, 1, 1)),
        model("ended", retired_on=TODAY),
        model("unknown", status="unknown"),
        model("vectors", model_class="embedding"),
    ],
)
def test_models_that_do_not_answer_are_counted_nowhere(uncounted):
    assert figures(alpha(each(100), models=(model("one"), uncounted)))[0] == {REQUESTS_A_DAY: Figure(100, 0, 100)}


def test_models_a_plan_does_not_reach_are_not_counted():
    of = alpha(free=Plan("free", (each(100),), models=("one",)))
    assert figures(of)[0] == {REQUESTS_A_DAY: Figure(100, 0, 100)}


@pytest.mark.parametrize(
    ("plan", "limits", "free", "paid"),
    [
        ("free", (), True, False),
        ("free", (limit(30, "minute"), limit(4, "now", "concurrency"), limit(9, "hour")), True, False),
        ("free", (limit(30),), False, False),
        ("free", (limit(30, "rolling 5h"),), False, False),
        ("paid", (), False, True),
        ("credit", (limit(5, "once", "nanodollars"),), False, False),
    ],
)
def test_unlimited_is_what_no_limit_longer_than_an_hour_bounds(plan, limits, free, paid):
    _, shape = figures(alpha(*limits, plan=plan))
    assert (shape.free_unbounded, shape.paid_unbounded) == (free, paid)


def test_a_slot_under_each_plan_counts_by_its_own():
    found, shape = figures(alpha(limit(30)), slots=(1, 2), plans={2: "paid"}, accounts={2: "second"})
    assert found == {REQUESTS_A_DAY: Figure(30, 0, 30)}
    assert shape.paid_unbounded


def test_without_a_usable_slot_nothing_is_left():
    found, shape = figures(alpha(limit(30)), slots=())
    assert (found, shape.bounds) == ({}, ())


@pytest.mark.parametrize(
    ("window", "period"),
    [
        ("second", ""),
        ("minute", ""),
        ("hour", ""),
        ("rolling 60m", ""),
        ("rolling 5h", "long"),
        ("rolling 24h", "day"),
        ("day Europe/Paris at 3", "day"),
        ("rolling 7d", "long"),
        ("rolling 30d", "month"),
        ("month", "month"),
        ("once", "once"),
        ("now", ""),
    ],
)
def test_the_period_of_a_window(window, period):
    assert period_of(parse_window(window)) == period
