"""The snapshot `2025`: the models, prices, quotas and candidates that were promised in December 2025."""

import pytest

from catalog.limits import budget_id, limits_for
from catalog.mesh import load_mesh
from catalog.model import ModelRef, blended, charged_price
from catalog.offers import OfferId

MESH = load_mesh(None, {"MESH_CATALOG": "2025"})
THEN = MESH.catalog
NOW = load_mesh(None, {}).catalog
MODELS = [(vendor, model) for vendor in THEN.vendors.values() for model in vendor.models.values()]


def test_it_has_the_19_vendors_of_today_and_far_fewer_models() -> None:
    assert list(THEN.vendors) == list(NOW.vendors)
    assert len(MODELS) < len(list(NOW.refs())) / 2
    assert THEN.version != NOW.version


def test_every_model_with_a_price_is_active_but_the_one_that_had_ended_already() -> None:
    ended = [f"{vendor.id}/{model.id}" for vendor, model in MODELS if model.price and model.status != "active"]
    assert ended == ["groq/llama3-70b-8192"]
    assert THEN.successor(ModelRef("groq", "llama3-70b-8192")) == ModelRef("groq", "llama-3.1-70b-versatile")
    assert all(model.status == "unknown" for _, model in MODELS if model.price is None)


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("groq/llama-3.1-70b-versatile", (0.59, 0.79)),
        ("deepseek/deepseek-coder", (0.14, 0.28)),
        ("anthropic/claude-3-5-sonnet", (3, 15)),
        ("anthropic/claude-3-opus-20240229", (15, 75)),
        ("openai/gpt-4o", (2.5, 10)),
        ("gemini/gemini-1.5-flash", (0.075, 0.3)),
        ("gemini/gemini-1.5-pro", (3.5, 10.5)),
        ("qwen/qwen-turbo", (0.05, 0.2)),
        ("mistral/mistral-large-latest", (2, 6)),
        ("mistral/mistral-small-latest", (0.1, 0.3)),
        ("perplexity/sonar", (1, 1)),
        ("deepinfra/deepseek-ai/DeepSeek-V3.2", (0.26, 0.38)),
        ("ollama/llama3.1:8b", (0, 0)),
    ],
)
def test_prices_are_those_of_then(name: str, price: tuple[float, float]) -> None:
    (ref,) = THEN.resolve(name)
    found = THEN.vendors[ref.vendor].models[ref.model].price
    assert found is not None
    assert (found.input / 1e9, found.output / 1e9) == price


@pytest.mark.parametrize(
    ("offer", "budget", "amount"),
    [
        ("groq/llama-3.1-70b-versatile", "groq/default/requests/day", 14_400),
        ("mistral/mistral-large-latest", "mistral/default/tokens/month", 1_000_000),
        ("gemini/gemini-1.5-flash", "gemini/default/requests/day", 1_500),
        ("cohere/command-r-08-2024", "cohere/default/requests/day", 100),
        ("ai21/jamba-1.5-large", "ai21/default/requests/day", 1_000),
        ("perplexity/sonar", "perplexity/default/requests/day", 5),
        ("huggingface/meta-llama/Llama-3.3-70B-Instruct:novita", "huggingface/default/requests/minute", 60),
        ("openrouter/deepseek/deepseek-chat:free", "openrouter/default/pool:free/requests/day", 50),
    ],
)
def test_free_quotas_are_those_of_then(offer: str, budget: str, amount: int) -> None:
    found = limits_for(THEN, MESH, OfferId.parse(offer))
    assert {budget_id(subject, limit.unit, limit.window): limit.amount for subject, limit in found} == {budget: amount}


def test_the_credit_of_then_is_five_dollars() -> None:
    (credit,) = THEN.vendors["anthropic"].plans["credit"].limits
    assert (credit.unit, credit.window.label, credit.amount) == ("nanodollars", "once", 5_000_000_000)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("sonnet", "anthropic/claude-3-5-sonnet-20241022"),
        ("claude/opus", "anthropic/claude-3-opus-20240229"),
        ("flash", "gemini/gemini-1.5-flash"),
        ("google/pro", "gemini/gemini-1.5-pro"),
        ("mistral/large", "mistral/mistral-large-latest"),
    ],
)
def test_short_names_mean_the_models_of_then(name: str, model: str) -> None:
    assert [str(ref) for ref in THEN.resolve(name)] == [model]


@pytest.mark.parametrize(
    ("use_case", "tier", "first"),
    [
        ("conversation", "standard", "groq/llama-3.1-70b-versatile"),
        ("code_generation", "economy", "deepseek/deepseek-coder"),
        ("code_generation", "premium", "openai/gpt-4o"),
        ("analysis", "premium", "anthropic/claude-3-5-sonnet-20241022"),
        ("classification", "ultra_economy", "qwen/qwen-turbo"),
        ("summarization", "standard", "gemini/gemini-1.5-flash"),
        ("documentation", "premium", "anthropic/claude-3-5-sonnet"),
        ("gemini_analysis", "premium", "gemini/gemini-1.5-pro"),
        ("web_search", "standard", "perplexity/sonar"),
        ("complex", "free", "mistral/mistral-large-latest"),
    ],
)
def test_use_cases_prefer_the_models_of_then(use_case: str, tier: str, first: str) -> None:
    assert THEN.use_cases[use_case].candidates[tier][0] == first


def test_use_cases_keep_their_tiers_and_temperatures_and_every_candidate_fits_its_tier() -> None:
    assert set(THEN.use_cases) == set(NOW.use_cases)
    for case in THEN.use_cases.values():
        today = NOW.use_cases[case.name]
        assert (case.default_tier, case.temperature, case.aliases, case.requirements, case.data_policy) == (
            (today.default_tier, today.temperature, today.aliases, today.requirements, today.data_policy)
        )
        for tier, names in case.candidates.items():
            for name in names:
                (ref,) = THEN.resolve(name)
                vendor, cap = THEN.vendors[ref.vendor], MESH.tiers[tier]
                model = vendor.models[ref.model]
                prices = [charged_price(plan, model) for plan in vendor.plans.values() if plan.covers(model.id)]
                assert model.status == "active", (case.name, name)
                assert set(case.requirements) <= model.capabilities, (case.name, name)
                assert cap is None or any(price and blended(price) <= cap for price in prices), (case.name, tier, name)
