"""Who steps in for whom: other hosts of a model, the next candidate of a use case, and what the reply says of it."""

import pytest
from fixtures.customer import TIERS, user, vendor_of
from fixtures.keyed_mesh import key_of, keyed_mesh

from meshkit.errors import Reason

HOSTS = ("groq", "deepinfra")
CUT = {"kind": "cut", "after_tokens": 2}


@pytest.fixture(scope="module")
def _hosts(tmp_path_factory, catalogue):
    keys = {catalogue.vendors[name].key_env[0]: key_of(name, "key1") for name in HOSTS}
    environment = {"LOCAL_MODELS_ENABLED": "false"}
    with keyed_mesh(tmp_path_factory.mktemp("hosts"), keys=keys, environment=environment) as customer:
        yield customer


@pytest.fixture
def hosts(_hosts):
    """Use a mesh with keys of two hosts of other makers' models, and of none of the makers."""
    _hosts.tap.forget()
    return _hosts


@pytest.mark.product("P-CONF-1")
@pytest.mark.parametrize(
    ("tier", "vendor", "model"),
    [
        ("free", "ollama", ""),
        ("economy", "deepseek", "deepseek-coder"),
        ("standard", "deepseek", ""),
        ("premium", "openai", "gpt-4o"),
    ],
)
def test_code_is_generated_by_whom_the_tier_pays_for(former, tier, vendor, model):
    intent = {"use_case": "code_generation", "tier": TIERS[tier]}
    first = former.explain("say: yes", **intent).offers[0]
    route = former.generate(**intent).route
    assert (vendor_of(first.offer), route.vendor, route.fallback_used) == (vendor, vendor, False)
    assert model in route.model


@pytest.mark.product("P-CONF-1")
def test_at_tier_standard_the_first_choice_for_code_is_the_cheapest_maker_of_a_code_model(former):
    """Hosts may be cheaper and free plans are: among what is paid for, nobody below the cap costs less."""
    offers = former.explain("say: yes", use_case="code_generation", tier=TIERS["standard"]).offers
    paid = [offer.blended_price_nanos for offer in offers if offer.plan == "paid"]
    assert vendor_of(offers[0].offer) == "deepseek"
    assert offers[0].blended_price_nanos == min(paid)


@pytest.mark.product("P-RULE-2")
def test_a_fallback_says_who_served_and_why_and_costs_what_the_serving_attempt_costs(whole):
    whole.tap.faults("openai", CUT)
    reply = whole.http.post("/llm/generate", json={"messages": [user("say: all is well")], "use_case": "production"})
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["success"], told["provider"], told["fallback_used"]) == (True, "claude", True)
    assert told["primary_error"].startswith("VENDOR_")
    *failed, serving = told["llm_mesh"]["attempts"]
    assert [attempt["outcome"] for attempt in failed] == ["unknown"] * len(failed) != []
    assert (serving["outcome"], told["cost"]) == ("served", serving["cost_usd"])
    assert all(attempt["cost_usd"] > 0 for attempt in failed)  # what may have been spent is told
    assert told["tokens_used"] == told["usage"]["prompt_tokens"] + told["usage"]["completion_tokens"]
    total = whole.generate(use_case="production").route
    assert total.total_cost_nanos == sum(attempt.usage.cost_nanos for attempt in total.attempts)
    assert total.total_cost_nanos > total.attempts[-1].usage.cost_nanos


@pytest.mark.product("P-RULE-3")
@pytest.mark.parametrize(
    ("use_case", "why"), [("classification", "no API key for qwen"), ("conversation", "no API key for groq")]
)
def test_when_no_vendor_can_serve_the_error_is_the_first_candidates_reason(empty, use_case, why):
    empty.http.headers["x-api-key"] = empty.key
    reply = empty.http.post("/llm/generate", json={"messages": [user("say: yes")], "use_case": use_case})
    assert reply.status_code == 503
    assert (reply.json()["success"], reply.json()["error"]) == (False, why)
    assert empty.tap.chats == []


@pytest.mark.product("P-RULE-4")
@pytest.mark.parametrize(
    ("pinned", "host"),
    [
        ({"provider": "qwen"}, "groq"),
        ({"model": "qwen/qwen3.8-27b"}, "groq"),
        ({"provider": "kimi"}, "deepinfra"),
        ({"model": "kimi/kimi-k2.6"}, "deepinfra"),
        ({"provider": "glm"}, "deepinfra"),
        ({"model": "glm/glm-5.2"}, "deepinfra"),
    ],
)
def test_a_pinned_vendor_without_a_key_is_served_by_another_host_of_the_family(hosts, catalogue, pinned, host):
    vendor = pinned.get("provider") or vendor_of(pinned["model"])
    reply = hosts.chat("say: all is well", **pinned)
    assert reply.status_code == 200, reply.text
    mesh = reply.json()["llm_mesh"]
    assert (mesh["vendor"], mesh["fallback_used"]) == (host, True)
    assert mesh["primary_error"] == f"no API key for {vendor}"
    served = catalogue.vendors[host].models[mesh["offer"].partition("#")[0].partition("/")[2]]
    assert served.family in {model.family for model in catalogue.vendors[vendor].models.values()} - {""}
    if "model" in pinned:
        assert served.family == catalogue.vendors[vendor].models[pinned["model"].partition("/")[2]].family


@pytest.mark.product("P-RULE-4")
def test_without_a_host_the_next_candidate_of_the_named_use_case_serves_and_without_a_use_case_nobody(hosts):
    alone = "kimi/kimi-k3.1-pro"
    route = hosts.generate(model=alone, use_case="conversation").route
    assert (route.vendor, route.fallback_used, route.primary_error) == ("groq", True, "no API key for kimi")
    error = hosts.refused(model=alone)
    assert (error.reason, error.message) == (Reason.NO_OFFER, "no API key for kimi")
    assert hosts.chat(model=alone).status_code == 503


@pytest.mark.product("P-RULE-4")
def test_strict_refuses_instead(hosts):
    for intent in ({"model": "qwen/qwen3.8-27b"}, {"model": "kimi/kimi-k3.1-pro", "use_case": "conversation"}):
        error = hosts.refused(strict=True, **intent)
        assert (error.reason, error.message) == (Reason.NO_OFFER, f"no API key for {vendor_of(intent['model'])}")
    reply = hosts.chat(model="glm/glm-5.2", llm_mesh={"strict": True})
    assert (reply.status_code, reply.json()["error"]["message"]) == (503, "no API key for glm")
    assert hosts.tap.chats == []
