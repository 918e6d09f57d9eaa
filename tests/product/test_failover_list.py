"""A list of models of the caller's own: tried in its order and nothing else is; over HTTP, gRPC, the command line."""

import pytest
from fixtures.customer import vendor_of

BROKEN = {"kind": "status", "status": 500}
OPENAI, CLAUDE, MISTRAL = "openai/gpt-4o", "anthropic/claude-3-opus-20240229", "mistral/mistral-large-latest"


def heard(customer):
    """Return the vendors that were called, each once, in order."""
    return list(dict.fromkeys(heard.vendor for heard in customer.tap.chats))


@pytest.mark.product("P-HTTP-18", "P-RULE-6")
def test_the_first_of_the_list_serves_when_it_can_and_the_reply_names_it(row, whole):
    reply = whole.http.post("/v1/chat/completions", json=row("P-HTTP-18")["request"])
    assert reply.status_code == 200, reply.text
    mesh = reply.json()["llm_mesh"]
    assert (mesh["vendor"], reply.json()["model"], mesh["fallback_used"]) == ("openai", "gpt-4o", False)
    assert heard(whole) == ["openai"]


@pytest.mark.product("P-HTTP-18", "P-RULE-6")
def test_with_the_first_down_the_second_serves_and_the_route_tells_of_both(row, whole):
    whole.tap.faults("openai", BROKEN)
    reply = whole.http.post("/v1/chat/completions", json=row("P-HTTP-18")["request"])
    assert reply.status_code == 200, reply.text
    mesh = reply.json()["llm_mesh"]
    assert (mesh["vendor"], mesh["fallback_used"]) == ("anthropic", True)
    assert mesh["primary_error"].startswith("VENDOR_SERVER: ")
    # One 500 deserves a second call, while there are such calls left.
    tried = [(vendor_of(attempt["offer"]), attempt["outcome"]) for attempt in mesh["attempts"]]
    assert list(dict.fromkeys(tried)) == [("openai", "failed"), ("anthropic", "served")]
    assert len(tried) <= 3
    assert heard(whole) == ["openai", "anthropic"]


@pytest.mark.product("P-RULE-6")
def test_nothing_that_is_not_in_the_list_is_tried(whole):
    for vendor in ("openai", "anthropic", "mistral"):
        whole.tap.faults(vendor, BROKEN)
    error = whole.refused(candidates=[OPENAI, CLAUDE, MISTRAL])
    assert error.reason.value == "ROUTE_EXHAUSTED"
    assert heard(whole) == ["openai", "anthropic", "mistral"]
    explained = whole.explain(candidates=[MISTRAL, OPENAI])
    assert [vendor_of(offer.offer) for offer in explained.offers] == ["mistral", "openai"]


@pytest.mark.product("P-RULE-6")
def test_provider_and_model_pin(whole):
    reply = whole.chat(provider="google", model="gemini-2.5-flash").json()
    assert (reply["llm_mesh"]["vendor"], reply["model"]) == ("gemini", "gemini-2.5-flash")
    assert heard(whole) == ["gemini"]


@pytest.mark.product("P-CMD-6")
def test_the_command_tells_of_each_candidate_and_stops_at_the_first_that_answers(whole, partial):
    whole.tap.faults("openai", BROKEN)
    models = [word for model in (OPENAI, CLAUDE, MISTRAL) for word in ("--model", model)]
    done = whole.command("chat", *models, "Explain quantum AI")
    assert done.returncode == 0, done.stderr
    failed, served = (
        next(line for line in done.stdout.splitlines() if vendor in line) for vendor in ("openai", "anthropic")
    )
    assert "failed (VENDOR_SERVER)" in failed
    assert "served" in served
    assert "mistral" not in done.stdout
    assert heard(whole) == ["openai", "anthropic"]
    # Two of these have no key there.
    models = [word for model in (OPENAI, MISTRAL, "groq/openai/gpt-oss-20b") for word in ("--model", model)]
    done = partial.command("chat", *models, "say: yes")
    assert done.returncode == 0, done.stderr
    assert "openai/gpt-4o: not tried, no API key for openai" in done.stdout
    assert f"{MISTRAL}: not tried, no API key for mistral" in done.stdout
    assert "groq/openai/gpt-oss-20b#1: served" in done.stdout


def test_a_list_that_cannot_be_right_is_refused_with_its_field(whole):
    for intent, field in (
        ({"candidates": [OPENAI], "model": CLAUDE}, "intent.candidates"),
        ({"candidates": [OPENAI], "preferred_model": CLAUDE}, "intent.candidates"),
        ({"candidates": [OPENAI, "openai/gpt-4oo"]}, "intent.candidates[1]"),
        ({"candidates": [OPENAI, ""]}, "intent.candidates[1]"),
        ({"candidates": [OPENAI] * 17}, "intent.candidates"),
    ):
        assert [violation.field for violation in whole.refused(**intent).fields] == [field]
    assert whole.tap.chats == []
