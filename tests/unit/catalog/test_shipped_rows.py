"""The rows the mesh ships: complete, priced, sourced and in step with what was promised."""

from pathlib import Path

import pytest
from fixtures.shipped import shipped

from catalog.keys import is_template
from catalog.limits import budget_id, limits_for
from catalog.mesh import load_mesh
from catalog.model import Model, ModelRef, Vendor, blended, charged_price
from catalog.offers import OfferId
from provider_services.dialects import DIALECTS

CATALOG = shipped()
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
    free_for_all = model.id.startswith("gemma") or model.id in ("glm-4.7-flash", "glm-4.5-flash")
    assert (blended(model.price) == 0) == (vendor.local or free_for_all or model.id.endswith(":free"))


@pytest.mark.parametrize("pair", MODELS, ids=named)
def test_only_what_has_ended_or_nobody_knows_has_no_price(pair: tuple[Vendor, Model]) -> None:
    assert pair[1].price is not None or pair[1].status != "active"


@pytest.mark.parametrize("vendor", CATALOG.vendors.values(), ids=lambda vendor: vendor.id)
def test_every_vendor_names_its_terms_and_says_of_every_plan_whether_prompts_are_trained_on(vendor: Vendor) -> None:
    assert vendor.terms.startswith("https://")
    assert set(vendor.trains_on) == set(vendor.plans)
    assert vendor.key_page.startswith("https://")


@pytest.mark.parametrize("vendor", CATALOG.vendors.values(), ids=lambda vendor: vendor.id)
def test_every_plan_says_where_it_is_from_and_when(vendor: Vendor) -> None:
    for plan in vendor.plans.values():
        assert plan.source.startswith("https://")
        assert plan.date >= "2026-01-01"


def test_a_credit_whose_amount_nobody_publishes_is_nothing_until_mesh_yaml_says_more() -> None:
    for vendor in ("anthropic", "deepseek"):
        (credit,) = CATALOG.vendors[vendor].plans["credit"].limits
        assert (credit.unit, credit.window.label, credit.amount) == ("nanodollars", "once", 0)


def test_families_line_up_across_vendors_so_that_another_host_can_serve() -> None:
    hosts: dict[str, set[str]] = {}
    for vendor, model in MODELS:
        if model.family and model.status == "active":
            hosts.setdefault(model.family, set()).add(vendor.id)
    assert {"groq", "deepinfra", "openrouter", "huggingface"} <= hosts["gpt-oss-120b"]
    assert {"groq", "deepinfra", "openrouter"} <= hosts["qwen3.8-27b"]
    assert {"kimi", "deepinfra", "openrouter"} <= hosts["kimi-k2.6"]
    assert {"glm", "mistral", "openrouter"} <= hosts["glm-5.3"]
    assert {"glm", "deepinfra", "openrouter"} <= hosts["glm-4.7"]
    assert {"deepseek", "deepinfra", "openrouter", "qwen"} <= hosts["deepseek-v4-pro"]
    assert {"deepseek", "mistral", "deepinfra"} <= hosts["deepseek-v4.1-flash"]
    assert CATALOG.vendors["qwen"].models["qwen3.8-27b"].family == "qwen3.8-27b"


@pytest.mark.parametrize("pair", MODELS, ids=named)
def test_a_family_is_a_name_in_lower_case(pair: tuple[Vendor, Model]) -> None:
    assert pair[1].family == pair[1].family.lower()
    assert "/" not in pair[1].family


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
        (
            "mistral/mistral-large-latest",
            {
                "mistral/default/requests/rolling:1s": 1,
                "mistral/default/tokens/minute": 500_000,
                "mistral/default/tokens/month": 1_000_000_000,
            },
        ),
        (
            "cohere/command-a-03-2025",
            {"cohere/default/requests/month": 1_000, "cohere/default/command-a-03-2025/requests/minute": 20},
        ),
        ("cohere/embed-v4.0", {"cohere/default/requests/month": 1_000}),
        (
            "openrouter/qwen/qwen3.8-27b:free",
            {"openrouter/default/pool:free/requests/minute": 20, "openrouter/default/pool:free/requests/day": 50},
        ),
        (
            "ai21/jamba-large-1.7",
            {
                "ai21/default/nanodollars/once": 10_000_000_000,
                "ai21/default/requests/rolling:1s": 10,
                "ai21/default/requests/minute": 200,
            },
        ),
        (
            "huggingface/openai/gpt-oss-120b:together",
            {"huggingface/default/nanodollars/month": 100_000_000},
        ),
        ("openrouter/openai/gpt-4o-mini", {"openrouter/default/openai/gpt-4o-mini/requests/once": 0}),
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
        ("code_generation", "economy", "deepseek/deepseek-flash"),
        ("code_generation", "standard", "deepseek/deepseek-flash"),
        ("analysis", "premium", "anthropic/claude-sonnet-5-5"),
        ("documentation", "premium", "anthropic/claude-sonnet-4-6"),
        ("long_writing", "premium", "anthropic/claude-sonnet-5-5"),
        ("classification", "ultra_economy", "qwen/qwen-turbo"),
        ("complex", "free", "mistral/mistral-large-latest"),
        ("web_search", "standard", "perplexity/perplexity/sonar"),
        ("embedding", "standard", "cohere/embed-v4.0"),
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


@pytest.mark.parametrize(
    ("use_case", "tier", "without", "vendor"),
    [
        ("conversation", "standard", "groq", "mistral"),
        ("code_generation", "economy", "deepseek", "deepinfra"),
        ("analysis", "premium", "anthropic", "openai"),
        ("classification", "ultra_economy", "qwen", "groq"),
        ("summarization", "standard", "gemini", "mistral"),
        ("documentation", "premium", "anthropic", "openai"),
        ("production", "premium", "openai", "anthropic"),
    ],
)
def test_without_the_key_of_the_promised_vendor_the_promised_next_one_comes(
    use_case: str, tier: str, without: str, vendor: str
) -> None:
    names = CATALOG.use_cases[use_case].candidates[tier]
    assert next(ref.vendor for name in names for ref in CATALOG.resolve(name) if ref.vendor != without) == vendor


# Named though it costs more than the cap today: the plan then says why it was left out.
TOO_DEAR = ("economy", "deepseek/deepseek-flash")


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
                fits = cap is None or any(blended(price) <= cap for price in prices)
                assert fits == ((tier, name) != TOO_DEAR), (case.name, tier, name)


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
        parts = [variable for names in vendor.endpoint_parts.values() for variable in names]
        for variable in (*vendor.key_env, *vendor.endpoint_env, *vendor.concurrency_env, *parts):
            assert variable in values, variable
        assert all(is_template(values[variable]) for variable in vendor.key_env)
        assert vendor.key_page in "\n".join(lines)
