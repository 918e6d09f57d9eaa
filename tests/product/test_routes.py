"""The routing table: which vendor a use case chooses, by what ExplainRoute says and by whom a real call reaches."""

import pytest
from fixtures.customer import TIERS, vendor_of

from meshkit.errors import Reason


def chosen(customer, row, **sampling):
    """Check that the plan and a real call choose the row's vendor and model; return what that vendor heard."""
    intent = {"use_case": row["use_case"], "tier": TIERS[row["tier"]]}
    first = customer.explain("say: yes", **intent).offers[0].offer
    response = customer.generate(**intent, sampling=sampling)
    heard = customer.tap.chats
    assert [vendor_of(first), response.route.vendor, heard[0].vendor] == [row["vendor"]] * 3
    assert (len(heard), response.route.fallback_used, response.route.primary_error) == (1, False, "")
    if "model" in row:
        assert response.route.model == row["model"]
    return heard[0].json


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("P-ROUTE-6", marks=pytest.mark.product("P-ROUTE-6")),
        pytest.param("P-ROUTE-8", marks=pytest.mark.product("P-ROUTE-8")),
        pytest.param("P-ROUTE-9", marks=pytest.mark.product("P-ROUTE-9")),
    ],
)
def test_a_free_use_case_chooses_the_vendor_promised(row, whole, id_):
    chosen(whole, row(id_))


@pytest.mark.product("P-ROUTE-9")
def test_a_request_without_a_use_case_goes_to_the_local_model_and_an_unknown_use_case_is_an_error_naming_it(whole):
    assert whole.generate().route.vendor == "ollama"
    error = whole.refused(use_case="gardening")
    assert (error.reason, error.code) == (Reason.UNKNOWN_USE_CASE, "NOT_FOUND")
    assert "`gardening`" in error.message


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("P-ROUTE-10", marks=pytest.mark.product("P-ROUTE-10")),
        pytest.param("P-ROUTE-11", marks=pytest.mark.product("P-ROUTE-11")),
        pytest.param("P-ROUTE-13", marks=pytest.mark.product("P-ROUTE-13")),
    ],
)
def test_a_use_case_of_gpt_4o_sends_its_own_temperature_and_the_caller_s_wins(row, whole, id_):
    assert chosen(whole, row(id_)).get("temperature") == row(id_)["temperature"]
    whole.tap.forget()
    assert chosen(whole, row(id_), temperature=0.9)["temperature"] == 0.9


@pytest.mark.product("P-ROUTE-18")
def test_prototyping_goes_to_a_flash_class_gemini(row, whole):
    chosen(whole, {key: row("P-ROUTE-18")[key] for key in ("use_case", "tier", "vendor")})
    assert "gemini-flash-latest" in whole.tap.chats[0].target


@pytest.mark.product("P-ROUTE-22")
def test_a_private_prompt_goes_to_the_local_server_and_every_other_vendor_is_left_out_by_the_data_policy(row, whole):
    chosen(whole, row("P-ROUTE-22"))
    explained = whole.explain(use_case="private", preferred_model="groq/openai/gpt-oss-120b")
    assert {vendor_of(offer.offer) for offer in explained.offers} == {"ollama"}
    excluded = {offer.offer: offer.reason for offer in explained.excluded}
    assert excluded["groq/openai/gpt-oss-120b#1"] == "data_policy"


@pytest.mark.product("P-ROUTE-22")
def test_without_a_local_server_a_private_prompt_is_an_error_and_never_a_remote_call(partial):
    error = partial.refused(use_case="private", preferred_model="groq/openai/gpt-oss-120b")
    assert error.reason is Reason.NO_OFFER
    assert partial.refused(use_case="private", model="gemini/gemini-2.5-flash").reason is Reason.NO_OFFER
    reply = partial.chat(llm_mesh={"use_case": "quick", "data_policy": "local_only"})
    assert reply.status_code == 503
    assert partial.tap.heard == []


@pytest.mark.product("P-CONF-2")
def test_without_a_tier_the_use_case_s_own_applies(whole, catalogue):
    premium = ["code_generation", "analysis", "testing", "documentation", "diag_postgresql", "code_analysis"]
    premium += ["long_writing", "production", "gemini_analysis", "gemini_multimodal"]
    said = dict.fromkeys(premium, "premium") | {"classification": "ultra_economy"}
    said |= dict.fromkeys(["quick", "complex", "creative", "default", "private"], "free")
    assert set(said) <= set(catalogue.use_cases)
    for use_case in catalogue.use_cases:
        assert whole.explain(use_case=use_case).tier == TIERS[said.get(use_case, "standard")], use_case


@pytest.mark.product("P-CONF-3")
def test_conversation_at_standard_and_quick_at_free_both_choose_groq(whole):
    for use_case, tier in (("conversation", "standard"), ("quick", "free")):
        assert vendor_of(whole.explain(use_case=use_case, tier=TIERS[tier]).offers[0].offer) == "groq"
        assert whole.generate(use_case=use_case, tier=TIERS[tier]).route.vendor == "groq"


@pytest.mark.product("P-CONF-3")
def test_conversation_at_free_follows_the_free_chain_not_the_local_server_first(row, whole, catalogue):
    chain = [vendor for vendor in row("P-QUOTA-1")["order"] if vendor in catalogue.vendors]
    offers = whole.explain(use_case="conversation", tier=TIERS["free"]).offers
    assert list(dict.fromkeys(vendor_of(offer.offer) for offer in offers)) == chain
    assert whole.generate(use_case="conversation", tier=TIERS["free"]).route.vendor == chain[0] == "groq"
