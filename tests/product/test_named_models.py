"""The names of models that were promised: what each means today, and what is never done with those nobody knows."""

from pathlib import Path

import pytest
import yaml
from fixtures.customer import TIERS
from fixtures.observation import wait_until

from catalog.model import ModelRef, blended
from meshkit.errors import Reason

NAMED = yaml.safe_load(Path(__file__).with_name("named_models.yaml").read_text(encoding="utf-8"))
NAMES = [
    (vendor, name, status)
    for vendor, by_status in NAMED.items()
    for status, names in by_status.items()
    for name in names
]
UNKNOWN = [(vendor, name) for vendor, name, status in NAMES if status == "unknown"]
NOT_FOUND = {"kind": "status", "status": 404}


@pytest.fixture(scope="module")
def meant(catalogue):
    """Return the one model that a vendor and a promised name mean."""

    def find(vendor, name):
        (ref,) = catalogue.resolve(f"{vendor}/{name}")
        return ref

    return find


def row_of(catalogue, ref):
    return catalogue.vendors[ref.vendor].models[ref.model]


@pytest.mark.product("P-MODEL-1")
def test_every_promised_name_means_one_model_of_its_vendor_whatever_the_case(catalogue, meant):
    assert len(NAMES) == len(set(NAMES)) == 129
    assert sum(vendor == "deepinfra" for vendor, _, _ in NAMES) == 36
    for vendor, name, status in NAMES:
        ref = meant(vendor, name)
        assert (ref.vendor, row_of(catalogue, ref).status) == (vendor, status), name
        for alias in (vendor.upper(), *catalogue.vendors[vendor].aliases):
            assert meant(alias, name.swapcase()) == ref


@pytest.mark.product("P-MODEL-1")
def test_the_running_mesh_knows_every_promised_name(whole):
    for vendor, name, status in NAMES:
        explained = whole.explain(model=f"{vendor}/{name}")
        if status == "active":
            assert explained.offers or explained.excluded, name


@pytest.mark.product("P-MODEL-4")
def test_models_nobody_knows_to_live_are_listed_and_no_plan_ever_chooses_one(whole, catalogue, meant):
    assert len(UNKNOWN) == 31
    listed = {model["id"]: model for model in whole.http.get("/models", params={"all": "true"}).json()["data"]}
    refs = [meant(*each) for each in UNKNOWN]
    assert {listed[str(ref)]["status"] for ref in refs} == {"unknown"}
    for use_case in catalogue.use_cases:
        for tier in TIERS.values():
            planned = {offer.offer.rpartition("#")[0] for offer in whole.explain(use_case=use_case, tier=tier).offers}
            assert planned.isdisjoint(map(str, refs)), use_case


@pytest.mark.product("P-MODEL-4")
@pytest.mark.parametrize(
    ("vendor", "name"), [("qwen", "qwen1.5-7b-chat"), ("deepinfra", "NovaSky-AI/Sky-T1-32B-Preview")]
)
def test_such_a_model_is_called_when_it_is_pinned_and_followed_by_its_successor_when_it_is_not_found(
    whole, catalogue, meant, vendor, name
):
    ref = meant(vendor, name)
    assert whole.generate(model=str(ref)).route.model == ref.model
    assert whole.tap.chats[-1].json["model"] == ref.model
    whole.tap.forget()
    whole.tap.faults(vendor, NOT_FOUND | {"model": ref.model})
    response = whole.generate(model=str(ref))
    successor = catalogue.successor(ref)
    assert successor != ref
    assert (response.route.vendor, response.route.model) == (successor.vendor, successor.model)
    assert response.route.fallback_used
    assert [heard.json["model"] for heard in whole.tap.chats] == [ref.model, successor.model]
    assert whole.refused(model=str(ref), strict=True).reason is Reason.VENDOR_NOT_FOUND


@pytest.mark.product("P-MODEL-4")
def test_only_what_ended_or_nobody_knows_has_no_price_and_such_a_model_is_never_used_under_a_cap(whole, catalogue):
    priceless = [ref for ref in catalogue.refs() if row_of(catalogue, ref).price is None]
    assert priceless
    assert {row_of(catalogue, ref).status for ref in priceless} <= {"retired", "unknown"}
    unknown = next(ref for ref in priceless if row_of(catalogue, ref).status == "unknown" and ref.vendor == "qwen")
    for cap in ({"max_cost_nanos": 10**9}, {"tier": TIERS["standard"]}):
        excluded = {each.offer: each.reason for each in whole.explain(model=str(unknown), **cap).excluded}
        assert excluded[f"{unknown}#1"] == "unpriced"
        served = whole.generate(model=str(unknown), **cap).route.model
        assert served == catalogue.successor(unknown).model


@pytest.mark.product("P-MODEL-5")
def test_twelve_successors_cost_more_than_the_model_they_replace(catalogue, meant):
    dearer = set()
    for ref in {meant(vendor, name) for vendor, name, _ in NAMES}:
        old, new = (row_of(catalogue, each).price for each in (ref, catalogue.successor(ref) or ref))
        if old and new and blended(new) > blended(old):
            dearer.add(ref)
    assert len(dearer) == 12
    assert ModelRef("deepseek", "deepseek-chat") in dearer


@pytest.mark.product("P-MODEL-5")
def test_the_successor_is_chosen_before_the_cap_so_a_capped_request_may_go_elsewhere_and_says_so(whole, catalogue):
    old, new = (catalogue.vendors["deepseek"].models[name] for name in ("deepseek-chat", "deepseek-flash"))
    economy = {"tier": TIERS["economy"], "use_case": "conversation"}
    assert blended(old.price) < 0.4 * 10**9 < blended(new.price)
    notice = "model deepseek/deepseek-chat was retired on 2026-07-24, served by deepseek/deepseek-flash"
    response = whole.generate(preferred_model="deepseek/deepseek-chat", **economy)
    assert response.route.vendor != "deepseek"
    assert response.route.fallback_used
    assert notice in [warning.message for warning in response.completion.warnings]
    explained = whole.explain(preferred_model="deepseek/deepseek-chat", **economy)
    left_out = {offer.offer: offer.detail for offer in explained.excluded if offer.reason == "price_cap"}
    assert "0.525" in left_out["deepseek/deepseek-flash#1"]
    # The free plan of mistral has the successor too, for one request a second.
    routes = []

    def served_by_mistral():
        routes.append(whole.generate(model="deepseek/deepseek-chat", **economy).route)
        return routes[-1].vendor == "mistral"

    wait_until(served_by_mistral, 60, "a second in which mistral serves")
    elsewhere = routes[-1]
    assert elsewhere.fallback_used
    assert "0.525" in elsewhere.primary_error
    assert "0.525" in whole.refused(model="deepseek/deepseek-chat", strict=True, **economy).message


@pytest.mark.product("P-MODEL-6")
@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("anthropic", "opus"),
        ("anthropic", "sonnet"),
        ("anthropic", "haiku"),
        ("mistral", "large"),
        ("mistral", "medium"),
        ("mistral", "small"),
        ("gemini", "flash"),
        ("gemini", "pro"),
    ],
)
def test_a_short_name_means_a_current_model_behind_its_vendor_and_alone(whole, catalogue, meant, vendor, name):
    ref = meant(vendor, name)
    assert row_of(catalogue, ref).status == "active"
    assert catalogue.resolve(name) == (ref,)
    for asked in (name, *(f"{prefix}/{name}" for prefix in (vendor, *catalogue.vendors[vendor].aliases))):
        plan = whole.explain(model=asked)
        assert {offer.offer.rpartition("#")[0] for offer in (*plan.offers, *plan.excluded)} == {str(ref)}


@pytest.mark.product("P-MODEL-6")
def test_a_short_name_of_a_model_that_ended_leads_to_its_successor(whole):
    route = whole.generate(model="groq/llama-3.1-70b").route
    assert (route.vendor, route.model) == ("groq", "openai/gpt-oss-120b")


@pytest.mark.product("P-MODEL-7")
def test_models_lists_more_than_a_hundred_with_vendor_status_price_context_and_capabilities(whole, catalogue):
    listed = {model["id"]: model for model in whole.http.get("/models").json()["data"]}
    assert len(listed) > 100
    for ref in catalogue.refs():
        row = row_of(catalogue, ref)
        if row.status != "active":
            continue
        model = listed[str(ref)]
        assert (model["owned_by"], model["status"]) == (ref.vendor, "active")
        assert model["context_window"] == (row.context_window or None)
        assert set(model["capabilities"]) == row.capabilities
        prices = (model["input_usd_per_1m"], model["output_usd_per_1m"])
        assert prices == (row.price.input / 10**9, row.price.output / 10**9)
