"""The vendors section, as far as the catalogue decides it: names, keys, quotas, and who is asked for what."""

from decimal import Decimal

import pytest
from fixtures.customer import TIERS, vendor_of
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.promised_vendors import agrees

from catalog.keys import check_key

DAY = 86_400
POOL = "openrouter/default/pool:free/requests/day"
HEX, WORD = "0123456789abcdef", "a1B2c3D4e5"
# Keys of each vendor's form, and keys that cannot be its: of another vendor, cut off, or with a line break.
KEYS = {
    "openai": (("sk-proj-" + WORD, "sk-" + WORD), ("gsk_" + WORD, WORD)),
    "anthropic": (("sk-ant-api03-" + WORD, "sk-ant-" + WORD), ("sk-" + WORD, "claude-" + WORD)),
    "mistral": ((HEX * 2,), (HEX, HEX * 2 + "0", "sk-" + HEX * 2)),
    "gemini": (("AIzaSy" + WORD,), ("ya29." + WORD, WORD)),
    "cohere": ((HEX * 2 + "01234567",), (HEX, HEX * 3, "co-" + HEX)),
    "deepseek": (("sk-" + WORD,), ("ds-" + WORD, WORD)),
    "xai": (("xai-" + WORD,), ("gsk_" + WORD, "grok-" + WORD)),
    "groq": (("gsk_" + WORD,), ("xai-" + WORD, "sk-" + WORD)),
    "qwen": (("sk-" + WORD,), ("ali-" + WORD,)),
    "kimi": (("sk-" + WORD,), ("ms-" + WORD,)),
    "glm": ((f"{HEX}.{WORD}",), (HEX, f"{HEX}.", f".{WORD}")),
    "ai21": ((WORD,), ("two words", WORD + "\n" + WORD)),
    "perplexity": (("pplx-" + WORD,), ("sk-" + WORD,)),
    "deepinfra": ((WORD,), ("two words",)),
    "openrouter": (("sk-or-v1-" + WORD,), ("sk-" + WORD, "sk-or-" + WORD)),
    "huggingface": (("hf_" + WORD,), ("hf-" + WORD, WORD)),
    "github": (("github_pat_" + WORD, "ghp_" + WORD), ("gho_" + WORD, WORD)),
    "azure": ((HEX * 2, "aB3" * 28), (HEX, "sk-" + WORD)),
    "ollama": (("",), ()),
}
GROUPS = {"premium", "cost_optimised", "speed", "enterprise", "local"}


@pytest.mark.product("P-VENDOR-20")
def test_the_list_has_exactly_the_promised_vendors_each_in_one_of_five_groups(table, whole, catalogue):
    promised = [row["vendor"] for row in table["vendors"] if "vendor" in row]
    assert len(promised) == 19
    assert sorted(catalogue.vendors) == sorted(promised) == sorted(whole.vendors())
    assert {vendor.group for vendor in catalogue.vendors.values()} == GROUPS
    shown = {line.split()[0]: line for line in whole.command("vendors").stdout.splitlines() if line.strip()}
    for vendor in catalogue.vendors.values():
        assert vendor.group in shown[vendor.id]
        assert whole.vendors()[vendor.id].group == vendor.group


def test_every_vendor_goes_by_the_promised_names_and_finds_its_key_and_models_under_them(table, catalogue):
    for row in table["vendors"]:
        if "vendor" in row:
            agrees(row, catalogue)


@pytest.mark.parametrize("vendor", KEYS)
def test_keys_of_the_promised_form_are_taken_and_others_are_called_malformed(vendor, catalogue):
    taken, refused = KEYS[vendor]
    assert [check_key(catalogue.vendors[vendor], key).state for key in taken] == ["ok"] * len(taken)
    assert [check_key(catalogue.vendors[vendor], key).state for key in refused] == ["malformed"] * len(refused)


def test_the_allowance_of_mistral_is_one_of_tokens_in_a_calendar_month(row, catalogue):
    free = agrees(row("P-VENDOR-3"), catalogue).plans["free"]
    monthly = [limit for limit in free.limits if limit.window.per == "month"]
    assert [(limit.unit, limit.amount, limit.scope) for limit in monthly] == [("tokens", 1_000_000_000, "account")]
    assert monthly[0].window.kind == "calendar"


@pytest.mark.product("P-VENDOR-6")
def test_code_at_tier_economy_names_deepseek_first_and_says_why_it_is_too_dear(row, whole, catalogue):
    agrees(row("P-VENDOR-6"), catalogue)
    explained = whole.explain(use_case="code_generation", tier=TIERS["economy"])
    assert catalogue.use_cases["code_generation"].candidates["economy"][0] == "deepseek/deepseek-flash"
    dear = {offer.offer: (offer.reason, offer.detail) for offer in explained.excluded}
    reason, detail = dear["deepseek/deepseek-flash#1"]
    assert reason == "price_cap"
    assert "0.525" in detail
    assert whole.generate(use_case="code_generation", tier=TIERS["standard"]).completion.choices


@pytest.mark.product("P-VENDOR-7")
def test_grok_is_xai_and_groq_is_groq_in_names_variables_replies_and_errors(row, whole, partial, catalogue):
    xai, groq = (agrees(row(name), catalogue) for name in ("P-VENDOR-7", "P-VENDOR-8"))
    assert set(xai.key_env) == {"XAI_API_KEY", "GROK_API_KEY"}
    assert groq.key_env == ("GROQ_API_KEY",)
    for name, vendor in (("grok", "xai"), ("x-ai", "xai"), ("Grok", "xai"), ("groq", "groq"), ("GROQ", "groq")):
        assert whole.chat(model=name).json()["llm_mesh"]["vendor"] == vendor
        assert whole.tap.chats[-1].vendor == vendor
    assert partial.refused(model="grok").message == "no API key for xai"
    assert partial.generate(model="groq").route.vendor == "groq"


def test_groq_is_first_in_the_free_chain_and_counts_requests_and_tokens_of_a_day_per_model(row, whole, catalogue):
    free = agrees(row("P-VENDOR-8"), catalogue).plans["free"]
    by_day = {(limit.unit, limit.amount, limit.scope) for limit in free.limits if limit.window.seconds == DAY}
    assert {("requests", 1_000, "model"), ("tokens", 200_000, "model")} <= by_day
    offers = whole.explain(use_case="conversation", tier=TIERS["free"]).offers
    assert vendor_of(offers[0].offer) == "groq"


@pytest.mark.product("P-VENDOR-9")
def test_classification_at_tier_ultra_economy_is_done_by_qwen(row, whole, catalogue):
    agrees(row("P-VENDOR-9"), catalogue)
    first = whole.explain(use_case="classification", tier=TIERS["ultra_economy"]).offers[0]
    assert (first.offer, first.blended_price_nanos) == ("qwen/qwen-turbo#1", round(Decimal("0.0875") * 10**9))
    assert whole.generate(use_case="classification", tier=TIERS["ultra_economy"]).route.vendor == "qwen"


@pytest.mark.product("P-VENDOR-10")
def test_a_long_prompt_is_served_whole_by_kimi_and_shorter_contexts_are_left_out(row, whole, catalogue):
    kimi = agrees(row("P-VENDOR-10"), catalogue)
    text = "say: yes " + "four " * 100_000
    assert whole.generate(text, model="moonshot").route.vendor == kimi.id
    assert text in whole.tap.chats[-1].json["messages"][-1]["content"]
    left_out = {offer.offer: offer.reason for offer in whole.explain(text, use_case="private").excluded}
    assert left_out["ollama/mistral:7b#1"] == "context"


@pytest.mark.product("P-VENDOR-13")
def test_a_search_goes_to_perplexity_first_and_its_citations_reach_the_caller(row, whole, catalogue):
    agrees(row("P-VENDOR-13"), catalogue)
    asked = {"web_search_options": {}, "llm_mesh": {"use_case": "web_search"}}
    reply = whole.chat("say: the news", model="auto", **asked).json()
    assert (reply["llm_mesh"]["vendor"], reply["model"]) == ("perplexity", "perplexity/sonar")
    assert {"type": "web_search"} in whole.tap.chats[-1].json["tools"]
    found = [note["url_citation"]["url"] for note in reply["choices"][0]["message"]["annotations"]]
    assert found
    assert all(url.startswith("https://") for url in found)


@pytest.mark.product("P-VENDOR-14")
@pytest.mark.parametrize("prefix", ["deepinfra", "deep_infra", "DeepInfra"])
def test_model_names_with_an_organisation_are_not_taken_for_vendor_and_model(row, whole, catalogue, prefix):
    agrees(row("P-VENDOR-14"), catalogue)
    name = "meta-llama/Llama-3.3-70B-Instruct"
    route = whole.generate(model=f"{prefix}/{name}").route
    assert (route.vendor, route.model) == ("deepinfra", name)
    assert whole.tap.chats[-1].json["model"] == name


@pytest.mark.product("P-VENDOR-15")
def test_the_free_requests_of_openrouter_are_one_pool_over_all_its_free_models(row, whole, catalogue):
    free = agrees(row("P-VENDOR-15"), catalogue).plans["free"]
    daily = [limit for limit in free.limits if (limit.unit, limit.amount) == ("requests", 50)]
    assert [(limit.window.per, limit.window.zone, limit.scope) for limit in daily] == [("day", "UTC", "pool")]
    models = [model.id for model in catalogue.vendors["openrouter"].models.values() if model.id.endswith(":free")]
    living = [name for name in models if catalogue.vendors["openrouter"].models[name].status == "active"]
    assert len(living) >= 2
    for name in living[:2]:
        assert whole.generate(model=f"openrouter/{name}").route.model == name
    counted = {
        budget.id: budget.used + budget.held
        for budget in whole.budgets().budgets
        if budget.subject.startswith("openrouter/")
    }
    assert [(name, used >= 2) for name, used in counted.items() if name.endswith("requests/day")] == [(POOL, True)]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Run a mesh of the snapshot 2025, when GitHub was alive, with a key of Azure but no endpoint, and a wrong key."""
    keys = {
        "GITHUB_TOKEN": key_of("github", "gith"),
        "AZURE_OPENAI_API_KEY": key_of("azure", "aaaa"),
        "GLM_API_KEY": "0123456789abcdefNoDotInIt",
    }
    environment = {"MESH_CATALOG": "2025", "MESH_AZURE_ENDPOINT": ""}
    with keyed_mesh(tmp_path_factory.mktemp("odd"), keys=keys, environment=environment) as customer:
        yield customer


@pytest.mark.product("P-VENDOR-11")
def test_a_key_of_glm_without_a_dot_is_reported_malformed_before_any_call(row, odd, catalogue):
    agrees(row("P-VENDOR-11"), catalogue)
    told = odd.vendors()["glm"]
    assert told.status == "inactive"
    assert "does not look like" in told.reason
    assert odd.keys["GLM_API_KEY"] not in told.reason
    assert "does not look like" in odd.refused(model="glm").message
    assert [heard for heard in odd.tap.heard if heard.vendor == "glm"] == []


@pytest.mark.product("P-VENDOR-18")
def test_a_key_of_azure_without_an_endpoint_is_inactive_and_the_reason_names_the_variables(row, odd, catalogue):
    agrees(row("P-VENDOR-18"), catalogue)
    told = odd.vendors()["azure"]
    assert told.status == "inactive"
    for variable in ("AZURE_OPENAI_ENDPOINT", "AZURE_RESOURCE_NAME"):
        assert variable in told.reason
    assert [heard for heard in odd.tap.heard if heard.vendor == "azure"] == []


@pytest.mark.product("P-VENDOR-17")
@pytest.mark.parametrize("mesh", ["whole", "partial"])
def test_github_is_listed_as_retired_with_and_without_a_token_and_never_called(row, mesh, request, catalogue):
    vendor, customer = agrees(row("P-VENDOR-17"), catalogue), request.getfixturevalue(mesh)
    assert ("GITHUB_TOKEN" in customer.keys) == (mesh == "whole")
    told = customer.vendors()["github"]
    assert (told.status, told.reason) == ("retired", "ended on 2026-07-30")
    route = customer.generate(model="groq/openai/gpt-oss-20b").route
    assert route.vendor != "github"
    assert customer.refused(model="github").message == "github ended on 2026-07-30, and its models with it"
    if mesh == "whole":  # its model is served by who made it
        assert customer.generate(model="github/openai/gpt-4o").route.vendor == "openai"
    assert [heard for heard in customer.tap.heard if heard.vendor == vendor.id] == []


@pytest.mark.product("P-VENDOR-17")
def test_github_serves_as_long_as_neither_the_catalogue_nor_the_vendor_says_that_it_ended(odd):
    odd.tap.control("PUT", "vendors/github/standing", {"ended": False})
    assert odd.vendors()["github"].status == "active"
    assert odd.generate("say: still here", model="github/openai/gpt-4o").route.vendor == "github"
    assert odd.tap.chats[-1].vendor == "github"
