"""Offers become legs as the catalogue and mesh.yaml say."""

import pytest
from fixtures.quota import NOON, one, reserve

from catalog.mesh import load_mesh
from quota_service.expansion import definitions_of
from quota_service.ledger import Ledger
from quota_service.operations import Held, OfferAmounts
from quota_service.windows import FOREVER, GUARD

MESH = """
vendors:
  groq:
    slots:
      2: {account: second, plan: free}
      3: {plan: free}
    limits:
      free:
        - {unit: requests, window: minute, amount: 30, scope: model}
        - {unit: requests, window: day America/Los_Angeles, amount: 2, scope: account}
        - {unit: concurrency, window: now, amount: 4, scope: account}
        - {unit: requests, window: minute, amount: 9, scope: pool, pool: large, models: ["openai/gpt-oss-120b"]}
budgets:
  - {subject: tenant/alice, unit: usd, window: month Europe/Paris, amount: 20}
  - {subject: tenant/bea, unit: requests, window: day, amount: 15, headroom: {free: 0.5, economy: 0.1}}
  - {subject: tenant/alice/use_case/quick, unit: tokens, window: day, amount: 1000, hard: false}
"""
OFFER = "groq/openai/gpt-oss-120b"


@pytest.fixture
def definitions(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text(MESH)
    mesh = load_mesh(path, {})
    return definitions_of(mesh.catalog, mesh)


def test_an_offer_draws_on_its_account_its_model_and_its_pool(definitions):
    terms = definitions.terms(f"{OFFER}#1")
    assert [(budget.id, budget.limit) for budget in terms.budgets] == [
        ("groq/default/openai/gpt-oss-120b/requests/minute", 30),
        ("groq/default/requests/day", 2),
        ("groq/default/concurrency/now", 4),
        ("groq/default/pool:large/requests/minute", 9),
    ]
    assert terms.subjects() == ("groq/default", "groq/default/openai/gpt-oss-120b", "groq#1")
    assert (terms.vendor, terms.model, terms.plan) == ("groq", "openai/gpt-oss-120b", "free")


def test_only_a_vendors_calendar_windows_are_guarded(definitions):
    guarded = {budget.id for budget in definitions.budgets() if budget.guard}
    assert {name for name in guarded if name.startswith("groq")} == {
        "groq/default/requests/day",
        "groq/second/requests/day",
    }
    assert not any(name.startswith(("tenant/", "use_case/")) for name in guarded)


def test_two_keys_of_one_account_share_its_quota_and_two_accounts_do_not(definitions):
    ledger = Ledger(definitions)
    held = [
        one(ledger, reserve(f"a{n}", OfferAmounts(f"{OFFER}#{slot}", 1, 1, 0)), NOON)
        for n, slot in enumerate((1, 3, 1, 3, 2, 2, 2))
    ]
    assert [isinstance(answer, Held) for answer in held] == [True, True, False, False, True, True, False]


def test_a_breaker_has_one_probe_in_the_whole_mesh_and_closes_nothing_but_itself(definitions):
    probe, breaker = definitions.terms("probe/groq#1"), definitions.terms(f"breaker/{OFFER}#1")
    assert [(row.id, row.limit, row.hard) for row in probe.budgets] == [("probe/groq/concurrency/now", 1, True)]
    assert (breaker.budgets, breaker.closes_slot) == ((), f"breaker/{OFFER}")
    closed = set(breaker.subjects()) | set(definitions.terms("breaker/groq#1").subjects())
    assert closed.isdisjoint((*definitions.terms(f"{OFFER}#1").subjects(), *probe.subjects()))
    assert definitions.terms("probe/nobody#1") is None
    assert not any(row.subject.startswith(("probe/", "breaker/")) for row in definitions.budgets())


def test_payers_have_the_budgets_of_the_configuration(definitions):
    rows = definitions.payer_budgets("alice", "quick")
    assert [(row.id, row.limit, row.hard) for row in rows] == [
        ("tenant/alice/nanodollars/month", 20_000_000_000, True),
        ("tenant/alice/use_case/quick/tokens/day", 1_000, False),
    ]
    assert definitions.payer_budgets("bob", "quick") == ()


def test_a_vendors_credit_ends_so_much_before_midnight_as_its_clock_may_be_ahead(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text("""
vendors: {ai21: {slots: {1: {expires_on: 2026-12-31}}}}
budgets:
  - subject: tenant/a
    unit: usd
    window: once
    grants: [{id: b, amount: 2}, {id: a, amount: 1, expires_on: 2026-12-31}]
""")
    mesh = load_mesh(path, {})
    definitions = definitions_of(mesh.catalog, mesh)
    (ours,) = definitions.payer_budgets("a", "quick")
    midnight = 1_798_675_200_000
    assert ours.grants == ((midnight, 10**9), (FOREVER, 2 * 10**9))
    (theirs,) = [row for row in definitions.budgets() if row.id == "ai21/default/nanodollars/once"]
    assert theirs.grants == ((midnight - GUARD, 10 * 10**9),)


def test_a_tier_leaves_its_share_rounded_up_or_what_the_next_dearer_one_leaves(definitions):
    (row,) = definitions.payer_budgets("bea", "quick")
    tiers = ("free", "ultra_economy", "economy", "standard", "premium", "")
    assert [row.kept(tier) for tier in tiers] == [8, 2, 2, 0, 0, 0]


@pytest.mark.parametrize("offer", ["nobody/m#1", "groq/no-such-model#1", "groq", "groq/openai/gpt-oss-120b#0", ""])
def test_an_offer_outside_the_catalogue_has_no_terms(definitions, offer):
    assert definitions.terms(offer) is None


def test_every_budget_is_listed_once_before_it_is_used(definitions):
    names = [budget.id for budget in definitions.budgets()]
    assert names == sorted(set(names))
    assert {"groq/default/requests/day", "tenant/alice/nanodollars/month"} <= set(names)


def test_a_change_of_the_configuration_changes_the_fingerprint(tmp_path):
    path = tmp_path / "mesh.yaml"
    marks = []
    for amount in (20, 21):
        path.write_text(MESH.replace("amount: 20}", f"amount: {amount}}}"))
        mesh = load_mesh(path, {})
        marks.append(definitions_of(mesh.catalog, mesh).fingerprint)
    assert marks[0] != marks[1]
