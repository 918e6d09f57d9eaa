"""The HTTP rows about single fields of a request: how hard to think, images."""

import pytest
from fixtures.customer import vendor_of

PIXEL = "data:image/png;base64,iVBORw0KGgo="
EFFORTS = pytest.mark.parametrize("effort", ["low", "medium", "high"])


def dropped(reply):
    """Return the fields a reply says were left out."""
    assert reply.status_code == 200, reply.text
    return [warning["field"] for warning in reply.json()["llm_mesh"]["warnings"] if warning["code"] == "dropped"]


@pytest.mark.product("P-HTTP-12")
def test_the_promised_request_is_answered_with_its_effort(row, whole):
    whole.tap.control("PUT", "vendors/openai/standing", {"revived_models": ["o1"]})  # as when it was promised
    reply = whole.http.post("/v1/chat/completions", json=row("P-HTTP-12")["request"])
    assert (reply.status_code, reply.json()["model"], dropped(reply)) == (200, "o1", [])
    assert whole.tap.chats[0].json["reasoning_effort"] == "high"


@pytest.mark.product("P-HTTP-12")
def test_by_the_shipped_catalogue_its_successor_would_serve(row, partial):
    request = row("P-HTTP-12")["request"]
    explained = partial.explain(model=f"{request['provider']}/{request['model']}")
    assert [(left.offer, left.reason) for left in explained.excluded] == [("openai/gpt-5.6-sol", "not_configured")]


@pytest.mark.product("P-HTTP-12")
@pytest.mark.parametrize("effort", ["auto", None])
def test_effort_auto_and_null_send_nothing(whole, effort):
    for model in ("openai/gpt-6.1-sol", "groq/openai/gpt-oss-120b", "gemini/gemini-2.5-flash", "ollama/mistral:7b"):
        assert dropped(whole.chat(model=model, reasoning_effort=effort)) == []
        sent = whole.tap.chats[-1].body
        assert "effort" not in sent
        assert "think" not in sent


@pytest.mark.product("P-HTTP-12")
@EFFORTS
def test_an_effort_reaches_every_vendor_that_has_it_in_its_own_form(whole, effort):
    for model in ("openai/gpt-6.1-sol", "groq/openai/gpt-oss-120b"):
        assert dropped(whole.chat(model=model, reasoning_effort=effort)) == []
        assert whole.tap.chats[-1].json["reasoning_effort"] == effort
    assert dropped(whole.chat(model="gemini/gemini-2.5-flash", reasoning_effort=effort)) == []
    assert whole.tap.chats[-1].json["generationConfig"]["thinkingConfig"]["thinkingBudget"] > 0


@pytest.mark.product("P-HTTP-12")
@EFFORTS
def test_for_models_without_an_effort_it_is_dropped_with_a_warning(whole, effort):
    for model in ("openai/gpt-4o", "ollama/mistral:7b"):
        assert dropped(whole.chat(model=model, reasoning_effort=effort)) == ["reasoning_effort"]
        assert "effort" not in whole.tap.chats[-1].body


@pytest.mark.product("P-HTTP-15")
def test_an_image_is_answered_by_a_vision_model(row, whole):
    request = row("P-HTTP-15")["request"]
    reply = whole.http.post("/v1/chat/completions", json=request)
    assert (reply.status_code, reply.json()["model"]) == (200, "gpt-4o")
    assert whole.tap.chats[0].json["messages"] == request["messages"]


@pytest.mark.product("P-HTTP-15")
def test_with_free_choice_models_without_vision_are_left_out(row, whole, catalogue):
    words, _ = row("P-HTTP-15")["request"]["messages"][0]["content"]
    content = [words, {"type": "image_url", "image_url": {"url": PIXEL}}]
    for use_case in ("default", "conversation"):
        reply = whole.chat(content, model="auto", llm_mesh={"use_case": use_case})
        assert reply.status_code == 200, reply.text
        vendor, model = reply.json()["llm_mesh"]["vendor"], reply.json()["model"]
        assert "vision" in catalogue.vendors[vendor].models[model].capabilities
    assert reply.json()["llm_mesh"]["skipped"]["capability"] > 0
    assert {heard.vendor for heard in whole.tap.chats} == {"mistral", "gemini"}
    assert vendor_of(whole.explain(use_case="conversation").offers[0].offer) == "groq"  # without an image


@pytest.mark.product("P-HTTP-15")
def test_a_pinned_model_without_vision_is_refused_with_400_naming_it(row, whole):
    messages = row("P-HTTP-15")["request"]["messages"]
    for model in ("groq/openai/gpt-oss-120b", "ollama/mistral:7b"):
        reply = whole.http.post("/v1/chat/completions", json={"model": model, "messages": messages})
        assert reply.status_code == 400
        assert reply.json()["error"]["message"].startswith(f"{model} has no vision")
    assert whole.tap.chats == []
