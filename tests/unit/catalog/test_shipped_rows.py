"""The rows the mesh ships: complete, priced, sourced and in step with what was promised."""

from pathlib import Path

import pytest

from catalog.keys import is_template
from catalog.limits import budget_id, limits_for
from catalog.loader import load_catalog
from catalog.mesh import load_mesh
from catalog.model import Model, ModelRef, Vendor, blended, charged_price
from catalog.offers import OfferId
from provider_services.dialects import DIALECTS

CATALOG = load_catalog()
MESH = load_mesh(None, {})
ROOT = Path(__file__).parents[3]
MODELS = [(vendor, model) for vendor in CATALOG.vendors.values() for model in vendor.models.values()]


def named(pair: tuple[Vendor, Model]) -> str:
    return f"{pair[0].id}/{pair[1].id}"


@pytest.mark.parametrize("pair", MODELS, ids=named)
def test_every_model_says_where_its_facts_are_from_and_when(pair: tuple[Vendor, Model]) -> None:
    _, model = pair
    assert model.source
    assert "2025-01-01" <= model.date <= "2026-12-31"


@pytest.mark.parametrize("pair", MODELS, ids=named)
def test_every_model_that_has_ended_leads_to_one_that_lives(pair: tuple[Vendor, Model]) -> None:
    vendor, model = pair
    end = CATALOG.successor(ModelRef(vendor.id, model.id))
    assert model.status == "active" or (
        end is not None and CATALOG.vendors[end.vendor].models[end.model].status == "active"
    )


@pytest.mark.parametrize("pair", [pair for pair in MODELS if pair[1].status == "active"], ids=named)
def test_every_active_model_has_a_price_and_a_context(pair: tuple[Vendor, Model]) -> None:
    vendor, model = pair
    assert model.price is not None
    assert model.context_window or vendor.local
    assert vendor.local == (blended(model.price) == 0) or model.id.startswith("gemma")


@pytest.mark.parametrize("vendor", CATALOG.vendors.values(), ids=lambda vendor: vendor.id)
def test_every_dialect_and_quirk_a_row_names_exists(vendor: Vendor) -> None:
    named = {*vendor.quirks, *(quirk for model in vendor.models.values() for quirk in model.quirks)}
    assert named <= DIALECTS[vendor.dialect].quirks


@pytest.mark.parametrize("vendor", CATALOG.vendors.values(), ids=lambda vendor: vendor.id)
def test_every_published_limit_says_where_it_is_from_and_when(vendor: Vendor) -> None:
    for plan in vendor.plans.values():
        for limit in plan.limits:
            assert limit.source.startswith("https://")
            assert limit.date >= "2026-01-01"


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (
            "groq/openai/gpt-oss-120b",
            {
                "groq/default/openai/gpt-oss-120b/requests/minute": 30,
                "groq/default/openai/gpt-oss-120b/requests/rolling:86400s": 1_000,
                "groq/default/openai/gpt-oss-120b/tokens/minute": 8_000,
                "groq/default/openai/gpt-oss-120b/tokens/rolling:86400s": 200_000,
            },
        ),
        (
            "gemini/gemini-2.5-flash",
            {
                "gemini/default/gemini-2.5-flash/requests/minute": 5,
                "gemini/default/gemini-2.5-flash/requests/day": 20,
                "gemini/default/gemini-2.5-flash/tokens/minute": 250_000,
            },
        ),
        ("gemini/gemini-2.5-pro", {"gemini/default/gemini-2.5-pro/requests/once": 0}),
        ("ollama/llama3.1:8b", {"ollama/default/concurrency/now": 1}),  # no quota: a place in the queue
        ("openai/gpt-4o", {}),
    ],
)
def test_the_free_quotas_are_those_published_today(offer: str, expected: dict[str, int]) -> None:
    found = limits_for(CATALOG, MESH, OfferId.parse(offer))
    assert {budget_id(subject, limit.unit, limit.window): limit.amount for subject, limit in found} == expected


def test_the_days_of_a_free_quota_begin_where_the_vendor_is() -> None:
    day = next(
        limit
        for _, limit in limits_for(CATALOG, MESH, OfferId("gemini", "gemini-2.5-flash"))
        if limit.window.per == "day"
    )
    assert day.window.zone == "America/Los_Angeles"


def test_free_and_local_slots_cost_nothing_and_paid_ones_list_price() -> None:
    groq, ollama = CATALOG.vendors["groq"], CATALOG.vendors["ollama"]
    model = groq.models["openai/gpt-oss-120b"]
    assert charged_price(groq.plans["paid"], model) is model.price
    free = charged_price(groq.plans["free"], model)
    local = charged_price(ollama.plans["local"], ollama.models["llama3.1:8b"])
    assert free is not None
    assert local is not None
    assert blended(free) == blended(local) == 0


@pytest.mark.parametrize(
    ("use_case", "tier", "first"),
    [
        ("conversation", "standard", "groq/openai/gpt-oss-120b"),
        ("conversation", "free", "groq/openai/gpt-oss-120b"),
        ("quick", "free", "groq/openai/gpt-oss-20b"),
        ("creative", "free", "gemini/gemini-flash-latest"),
        ("default", "free", "ollama/llama3.1:8b"),
        ("code_generation", "free", "ollama/llama3.1:8b"),
        ("code_generation", "premium", "openai/gpt-4o"),
        ("testing", "premium", "openai/gpt-4o"),
        ("code_analysis", "premium", "openai/gpt-4o"),
        ("production", "premium", "openai/gpt-4o"),
        ("diag_postgresql", "premium", "openai/gpt-4o"),
        ("summarization", "standard", "gemini/gemini-flash-latest"),
        ("summarization", "economy", "gemini/gemini-2.5-flash-lite"),
        ("gemini_analysis", "premium", "gemini/gemini-2.5-pro"),
        ("gemini_multimodal", "premium", "gemini/gemini-2.5-pro"),
        ("gemini_rapid", "standard", "gemini/gemini-flash-latest"),
        ("prototyping", "standard", "gemini/gemini-flash-latest"),
        ("private", "free", "ollama/llama3.1:8b"),
    ],
)
def test_a_use_case_prefers_the_model_that_was_promised(use_case: str, tier: str, first: str) -> None:
    assert CATALOG.use_cases[use_case].candidates[tier][0] == first


@pytest.mark.parametrize(
    ("tier", "use_cases"),
    [
        (
            "premium",
            "code_generation analysis testing documentation diag_postgresql code_analysis long_writing production",
        ),
        ("premium", "gemini_analysis gemini_multimodal"),
        ("ultra_economy", "classification"),
        ("free", "quick complex creative default private"),
        ("standard", "conversation summarization web_search prototyping gemini_rapid embedding"),
    ],
)
def test_a_use_case_has_the_default_tier_that_was_promised(tier: str, use_cases: str) -> None:
    for name in use_cases.split():
        assert CATALOG.use_cases[name].default_tier == tier


@pytest.mark.parametrize(
    ("use_case", "temperature"),
    [
        ("code_generation", 0.1),
        ("testing", 0.2),
        ("documentation", 0.2),
        ("gemini_multimodal", 0.3),
        ("conversation", None),
    ],
)
def test_a_use_case_has_the_temperature_that_was_promised(use_case: str, temperature: float | None) -> None:
    assert CATALOG.use_cases[use_case].temperature == temperature


def test_every_candidate_is_one_active_model_under_the_cap_of_its_tier_on_some_plan() -> None:
    for case in CATALOG.use_cases.values():
        for tier, candidates in case.candidates.items():
            for name in candidates:
                (ref,) = CATALOG.resolve(name)
                vendor, model, cap = (
                    CATALOG.vendors[ref.vendor],
                    CATALOG.vendors[ref.vendor].models[ref.model],
                    MESH.tiers[tier],
                )
                plans = [plan for plan in vendor.plans.values() if plan.covers(model.id)]
                prices = [price for plan in plans if (price := charged_price(plan, model)) is not None]
                assert model.status == "active", (case.name, name)
                assert cap is None or any(blended(price) <= cap for price in prices), (case.name, tier, name)


def test_candidates_have_what_their_use_case_requires() -> None:
    for case in CATALOG.use_cases.values():
        for name in (name for names in case.candidates.values() for name in names):
            (ref,) = CATALOG.resolve(name)
            model = CATALOG.vendors[ref.vendor].models[ref.model]
            assert set(case.requirements) <= model.capabilities, (case.name, name)


def test_what_is_private_has_only_local_candidates() -> None:
    case = CATALOG.use_cases["private"]
    refs = [ref for names in case.candidates.values() for name in names for ref in CATALOG.resolve(name)]
    assert case.data_policy == "local_only"
    assert all(CATALOG.vendors[ref.vendor].local for ref in refs)


def test_the_example_environment_names_every_key_variable_with_a_template_value_only() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = [line.removeprefix("# ").split("=", 1) for line in lines if "=" in line]
    values = dict(pair for pair in pairs if pair[0].isidentifier())
    for vendor in CATALOG.vendors.values():
        for variable in (*vendor.key_env, *vendor.endpoint_env, *vendor.concurrency_env):
            assert variable in values, variable
        assert all(is_template(values[variable]) for variable in vendor.key_env)
        assert vendor.key_page in "\n".join(lines)
