"""Which limits an offer draws on, and under which subjects."""

from datetime import date
from pathlib import Path

import pytest

from catalog.limits import budget_id, limits_for
from catalog.mesh import load_mesh
from catalog.offers import OfferId
from catalog.plan import Grant, Limit

POOLS = """
display_name: One
group: speed
dialect: openai
endpoint: https://one.example/v1
key_env: [ONE_API_KEY]
provider_name: one
port_offset: 0
default_plan: free
plans:
  free:
    models: ["*:free", big]
    limits:
      - {unit: requests, window: day UTC, amount: 50, scope: pool, pool: free_models, models: ["*:free"]}
      - {unit: requests, window: minute, amount: 20, scope: model}
      - {unit: tokens, window: month, amount: 1000000}
      - {unit: concurrency, window: now, amount: 4}
  credit:
    valid_days: 7
    limits:
      - {unit: usd, window: once, amount: 10}
  paid: {}
models:
  a:free: &row {price: {input: 0, output: 0}, source: https://one.example, date: 2026-11-20}
  big:
    price: {input: 1, output: 1}
    limits:
      free:
        - {unit: requests, window: rolling 24h, amount: 7}
    source: https://one.example
    date: 2026-11-20
  huge: {price: {input: 9, output: 9}, source: https://one.example, date: 2026-11-20}
"""


def rows(directory: Path, offer: str, text: str) -> tuple[tuple[str, Limit], ...]:
    (directory / "one.yaml").write_text(POOLS)
    path = directory / "mesh.conf"
    path.write_text(text)
    mesh = load_mesh(path, {"MESH_CATALOG": str(directory)})
    return limits_for(mesh.catalog, mesh, OfferId.parse(offer))


def limits(directory: Path, offer: str, text: str) -> list[Limit]:
    return [limit for _, limit in rows(directory, offer, text)]


def budgets(directory: Path, offer: str, text: str = "") -> dict[str, int]:
    found = rows(directory, offer, text)
    return {budget_id(subject, limit.unit, limit.window): limit.amount for subject, limit in found}


def test_an_offer_draws_on_the_limits_of_its_account_its_model_and_its_pools(tmp_path: Path) -> None:
    assert budgets(tmp_path, "one/a:free#1") == {
        "one/default/pool:free_models/requests/day": 50,
        "one/default/a:free/requests/minute": 20,
        "one/default/tokens/month": 1_000_000,
        "one/default/concurrency/now": 4,
    }


def test_a_models_own_limits_take_the_place_of_those_for_each_model(tmp_path: Path) -> None:
    assert budgets(tmp_path, "one/big") == {
        "one/default/tokens/month": 1_000_000,
        "one/default/concurrency/now": 4,
        "one/default/big/requests/rolling:86400s": 7,
    }


def test_two_keys_of_one_account_share_its_budgets_and_two_accounts_do_not(tmp_path: Path) -> None:
    text = "vendors: {one: {slots: {2: {account: default}, 3: {account: second}}}}"
    assert budgets(tmp_path, "one/big#2", text) == budgets(tmp_path, "one/big#1", text)
    assert not budgets(tmp_path, "one/big#3", text).keys() & budgets(tmp_path, "one/big#1", text).keys()


def test_the_limits_of_the_file_replace_a_plan_and_its_models_own_ones(tmp_path: Path) -> None:
    text = "vendors: {one: {limits: {free: [{unit: requests, window: day, amount: 14000}]}}}"
    assert budgets(tmp_path, "one/big", text) == {"one/default/requests/day": 14_000}


def test_a_plan_only_the_file_knows_can_be_limited_and_used(tmp_path: Path) -> None:
    text = """
vendors: {one: {slots: {1: {plan: local}}, limits: {local: [{unit: requests, window: day, amount: 3}]}}}
"""
    assert budgets(tmp_path, "one/huge", text) == {"one/default/requests/day": 3}


def test_a_one_off_credit_is_money_that_never_comes_back(tmp_path: Path) -> None:
    text = "vendors: {one: {slots: {1: {plan: credit}}}}"
    assert budgets(tmp_path, "one/huge", text) == {"one/default/nanodollars/once": 10_000_000_000}


def test_a_vendor_may_be_used_more_carefully_than_its_short_limits_say(tmp_path: Path) -> None:
    assert budgets(tmp_path, "one/a:free#1", "vendors: {one: {safety: 0.9}}") == {
        "one/default/pool:free_models/requests/day": 50,
        "one/default/a:free/requests/minute": 18,
        "one/default/tokens/month": 1_000_000,
        "one/default/concurrency/now": 4,
    }
    least = budgets(tmp_path, "one/a:free#1", "vendors: {one: {safety: 0.01}}")
    assert least["one/default/a:free/requests/minute"] == 1


def test_a_credit_ends_on_the_first_day_that_a_slot_of_its_account_names(tmp_path: Path) -> None:
    text = """
vendors:
  one:
    slots:
      1: {plan: credit, expires_on: 2027-02-01}
      2: {plan: credit, expires_on: 2027-01-01}
      3: {plan: credit, account: second}
"""
    grants = [[limit.grants for limit in limits(tmp_path, f"one/huge#{slot}", text)] for slot in (1, 2, 3)]
    ended = (Grant("slot", 10_000_000_000, date(2027, 1, 1)),)
    assert grants == [[ended], [ended], [()]]


def test_grants_of_a_limit_say_themselves_when_they_end(tmp_path: Path) -> None:
    text = """
vendors:
  one:
    slots: {1: {plan: credit, expires_on: 2027-02-01}}
    limits:
      credit: [{unit: usd, window: once, grants: [{id: a, amount: 1, expires_on: 2027-03-01}, {id: b, amount: 2}]}]
"""
    (credit,) = limits(tmp_path, "one/huge", text)
    assert credit.amount == 3_000_000_000
    assert credit.grants == (Grant("a", 1_000_000_000, date(2027, 3, 1)), Grant("b", 2_000_000_000))


def test_a_model_out_of_the_plans_reach_has_no_room_at_all(tmp_path: Path) -> None:
    assert budgets(tmp_path, "one/huge") == {"one/default/huge/requests/once": 0}


def test_a_plan_without_limits_leaves_an_offer_unlimited(tmp_path: Path) -> None:
    assert budgets(tmp_path, "one/huge", "vendors: {one: {slots: {1: {plan: paid}}}}") == {}


def test_a_model_nobody_listed_has_the_limits_of_its_plan(tmp_path: Path) -> None:
    assert "one/default/b:free/requests/minute" in budgets(tmp_path, "one/b:free")


def test_an_unknown_vendor_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        budgets(tmp_path, "nobody/big")
