"""What happens when the first choice cannot: the rules of routing and the operations rows on fallback and breakers."""

import time

import pytest
from fixtures.customer import spoken, vendor_of
from fixtures.observation import wait_until

BROKEN = {"kind": "status", "status": 500}


def served(response):
    """Return who served, whether it was a fallback, and why, from a reply of the HTTP edge."""
    assert response.status_code == 200, response.text
    reply = response.json()
    assert reply["choices"][0]["message"]["content"] == "all is well"
    mesh = reply["llm_mesh"]
    return mesh["vendor"], mesh["fallback_used"], mesh["primary_error"]


@pytest.mark.product("P-OPS-2")
def test_the_first_choice_answers_500_and_the_caller_gets_an_answer_from_the_next(whole):
    whole.tap.faults("groq", BROKEN)
    vendor, fallback, why = served(whole.chat("say: all is well", llm_mesh={"use_case": "slow"}))
    assert (vendor, fallback) == ("ollama", True)
    assert why.startswith("VENDOR_SERVER: ")
    heard = [heard.vendor for heard in whole.tap.chats]
    assert heard in (["groq", "groq", "ollama"], ["groq", "ollama"])  # one 500 deserves a second call


@pytest.mark.product("P-OPS-2")
def test_the_first_choice_takes_too_long_and_the_caller_gets_an_answer_from_the_next(whole):
    whole.tap.faults("groq", {"kind": "hang"})
    began = time.monotonic()
    vendor, fallback, why = served(whole.chat("say: all is well", max_tokens=10, llm_mesh={"use_case": "slow"}))
    assert time.monotonic() - began < 30  # three seconds; a share of the deadline would be thirty-six
    assert (vendor, fallback) == ("ollama", True)
    assert why.startswith("VENDOR_SILENT: ")
    assert [heard.vendor for heard in whole.tap.chats] == ["groq", "ollama"]


@pytest.mark.product("P-OPS-2")
def test_the_first_choice_never_begins_to_stream_and_the_caller_gets_a_stream_from_the_next(whole):
    whole.tap.faults("groq", {"kind": "hang"})
    chunks = whole.stream("say: all is well", llm_mesh={"use_case": "slow"})
    assert spoken(chunks) == "all is well"
    mesh = chunks[-1]["llm_mesh"]
    assert (mesh["vendor"], mesh["fallback_used"]) == ("ollama", True)
    assert mesh["primary_error"].startswith("VENDOR_SILENT: ")


@pytest.mark.product("P-OPS-2")
def test_the_first_choice_has_no_key_and_the_caller_gets_an_answer_from_the_next(partial):
    vendor, fallback, why = served(partial.chat("say: all is well", llm_mesh={"use_case": "code_analysis"}))
    assert (vendor, fallback, why) == ("groq", True, "no API key for openai")


@pytest.mark.product("P-OPS-2")
def test_the_first_choice_has_no_quota_left_and_the_caller_gets_an_answer_from_the_next(whole):
    use_case = {"use_case": "single"}
    whole.chat("say: all is well", llm_mesh=use_case)
    whole.tap.forget()
    vendor, fallback, why = served(whole.chat("say: all is well", llm_mesh=use_case))
    assert (vendor, fallback) == ("ollama", True)
    assert why == "groq/default/openai/gpt-oss-scarce/requests/rolling:86400s has 0 of 1 requests left"
    assert [heard.vendor for heard in whole.tap.chats] == ["ollama"]


@pytest.mark.product("P-RULE-1")
def test_vendors_are_tried_by_priority_with_their_quota_checked_before_the_call(whole, catalogue):
    listed = catalogue.use_cases["conversation"].candidates["standard"]
    offers = whole.explain(use_case="conversation").offers
    tried = list(dict.fromkeys(vendor_of(offer.offer) for offer in offers))
    assert tried == list(dict.fromkeys(vendor_of(name) for name in listed))
    for vendor in tried[:-1]:
        whole.tap.faults(vendor, {"kind": "status", "status": 404})
    assert whole.generate(use_case="conversation").route.vendor == tried[-1]
    assert list(dict.fromkeys(heard.vendor for heard in whole.tap.chats)) == tried


@pytest.mark.product("P-RULE-1")
def test_a_vendor_without_quota_left_is_passed_over_without_a_call(whole):
    whole.generate(use_case="single")
    whole.tap.forget()
    route = whole.generate(use_case="single").route
    assert (route.vendor, dict(route.skipped)["budget"]) == ("ollama", 1)
    assert [heard.vendor for heard in whole.tap.chats] == ["ollama"]


@pytest.mark.product("P-RULE-1", "P-OPS-1")
def test_a_vendor_that_keeps_failing_is_skipped_without_a_call_probed_later_and_used_again_when_well(whole):
    def state():
        return {breaker.state for breaker in whole.vendors()["gemini"].breakers}

    def calls():
        return sum(heard.vendor == "gemini" for heard in whole.tap.chats)

    def told():
        providers = whole.http.get("/api/health").json()["providers"]
        return next(provider["breaker"] for provider in providers if provider["name"] == "gemini")

    assert (state(), told()) == (set(), "closed")
    whole.tap.faults("gemini", BROKEN)
    while state() != {"open"}:
        assert whole.generate(use_case="fragile").route.vendor == "ollama"
        assert calls() <= 5
    opened, at = calls(), time.monotonic()
    for _ in range(10):
        route = whole.generate(use_case="fragile").route
        assert (route.vendor, dict(route.skipped)["breaker_open"]) == ("ollama", 1)
    assert calls() == opened
    assert told() == "open"
    assert 'mesh_breaker_state{state="open",subject="gemini"} 1.0' in whole.metrics("router")
    whole.tap.faults("gemini")

    def well():
        return whole.generate(use_case="fragile").route.vendor == "gemini"

    wait_until(well, 10, "the breaker to let a probe through")
    assert time.monotonic() - at > 3
    assert (calls(), state(), told()) == (opened + 1, set(), "closed")
    assert whole.generate(use_case="fragile").route.vendor == "gemini"
