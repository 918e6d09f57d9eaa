"""The HTTP rows of chat completions: streams, every field, JSON, vendors by name, pins without a key, other origins."""

import json
from functools import partial as given
from urllib.parse import urlsplit

import httpx
import pytest
from fixtures.customer import spoken, user
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.promised_replies import follows

ALIASES = {
    "google": "gemini",
    "claude": "anthropic",
    "grok": "xai",
    "copilot": "azure",
    "moonshot": "kimi",
    "zhipu": "glm",
}
PAGE = "https://app.example"


@pytest.fixture(scope="module")
def _paged(tmp_path_factory):
    directory = tmp_path_factory.mktemp("paged")
    keys = {"GROQ_API_KEY": key_of("groq", "key1")}
    config = {"edge": {"cors_origins": [PAGE]}}
    with keyed_mesh(directory, config=config, keys=keys, caller_key="a-caller-s-key") as customer:
        yield customer


@pytest.fixture
def paged(_paged):
    """Use a mesh that has groq and no openai, wants a key, and lets pages of one other origin call."""
    _paged.tap.forget()
    return _paged


def patient(ask):
    """Ask until no limit of a free plan stands in the way: mistral's is one request a second."""
    replies = []

    def asked():
        replies.append(ask())
        return replies[-1].status_code != 429

    wait_until(asked, 30, "a limit by the second")
    return replies[-1]


def warned(reply):
    """Return the fields a reply says something about."""
    return {warning["field"] for warning in reply.json()["llm_mesh"]["warnings"]}


@pytest.mark.product("P-HTTP-11")
def test_a_poem_is_streamed_piece_by_piece_with_the_system_message_first_and_done_last(row, whole):
    request = row("P-HTTP-11")["request"] | {"messages": [user("say: roses are red and so on")]}
    with whole.http.stream("POST", "/v1/chat/completions", json=request) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert spoken(chunks) == "roses are red and so on"
    assert sum(bool(choice["delta"].get("content")) for chunk in chunks for choice in chunk["choices"]) >= 3
    # The promised model has ended; its successor serves and says so.
    notices = [warning["message"] for warning in chunks[-1]["llm_mesh"]["warnings"] if warning["code"] == "retired"]
    assert {chunk["model"] for chunk in chunks} == {"claude-opus-4-8"}
    assert any("claude-3-opus-20240229" in notice and "claude-opus-4-8" in notice for notice in notices)
    (heard,) = whole.tap.chats
    assert heard.json["system"] in (request["system_message"], [{"type": "text", "text": request["system_message"]}])


@pytest.mark.product("P-HTTP-13")
def test_every_field_of_the_promised_request_reaches_the_vendor_or_is_warned_of(row, former):
    request = row("P-HTTP-13")["request"]
    reply = patient(lambda: former.http.post("/v1/chat/completions", json=request))
    assert reply.status_code == 200, reply.text
    heard = former.tap.chats[-1]
    sent = heard.json
    assert (heard.vendor, sent["model"]) == ("mistral", "mistral-large-latest")
    assert sent["messages"] == [{"role": "system", "content": request["system_message"]}, *request["messages"]]
    assert not sent.get("stream")
    for field in ("temperature", "max_tokens", "stop", "top_p", "frequency_penalty", "presence_penalty"):
        assert sent.get(field) == request[field] or field in warned(reply), field
    assert "reasoning_effort" not in sent
    assert "reasoning_effort" not in warned(reply)


@pytest.mark.product("P-HTTP-13")
def test_only_the_messages_are_required_and_a_temperature_beyond_a_vendor_s_bounds_is_clamped_or_refused(whole):
    assert whole.http.post("/v1/chat/completions", json={"messages": [user("hi")]}).status_code == 200
    assert whole.http.post("/v1/chat/completions", json={"model": "auto"}).json()["error"]["param"] == "messages"
    reply = whole.chat(model="cohere", temperature=1.5)
    assert (reply.status_code, whole.tap.chats[-1].json["temperature"]) == (200, 1.0)
    assert any("temperature" in field for field in warned(reply))
    beyond = whole.chat(model="cohere", temperature=2.1)
    assert (beyond.status_code, beyond.json()["error"]["param"]) == (400, "temperature")


@pytest.mark.product("P-HTTP-14")
def test_the_answer_to_a_wish_for_json_is_json(row, whole):
    reply = whole.http.post("/v1/chat/completions", json=row("P-HTTP-14")["request"])
    assert reply.status_code == 200, reply.text
    assert isinstance(json.loads(reply.json()["choices"][0]["message"]["content"]), dict)
    assert whole.tap.chats[0].json["response_format"] == {"type": "json_object"}


@pytest.mark.product("P-HTTP-14")
def test_a_vendor_without_a_json_mode_is_left_out_of_the_plan_with_the_reason(whole, catalogue):
    wish = {"response_format": {"type": "json_object"}}
    unable = next(
        f"{vendor.id}/{model.id}"
        for vendor in catalogue.vendors.values()
        for model in vendor.models.values()
        if model.status == "active" and "json_object" not in model.capabilities and model.model_class != "embedding"
        if vendor.retired_on is None
    )
    reply = whole.chat(model=unable, **wish)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(f"{unable} has no json_object")
    told = whole.chat(models=[unable, "openai/gpt-4o"], **wish)
    assert (told.status_code, told.json()["llm_mesh"]["skipped"]["capability"]) == (200, 1)


@pytest.mark.product("P-HTTP-16")
def test_the_promised_provider_by_its_other_name_is_served_by_gemini(row, former):
    reply = former.http.post("/v1/chat/completions", json=row("P-HTTP-16")["request"])
    assert (reply.status_code, reply.json()["llm_mesh"]["vendor"]) == (200, "gemini"), reply.text
    assert reply.json()["model"] == "gemini-1.5-pro"


@pytest.mark.product("P-HTTP-16")
def test_every_id_and_alias_names_its_vendor(row, whole, living):
    assert set(ALIASES) == {
        word.strip(" ;") for word in row("P-HTTP-16")["want"].partition("aliases: ")[2].partition(";")[0].split(",")
    }
    for name, vendor in ALIASES.items() | {(vendor.id, vendor.id) for vendor in living}:
        reply = patient(given(whole.chat, provider=name))
        assert (reply.status_code, reply.json()["llm_mesh"]["vendor"]) == (200, vendor), (name, reply.text)


@pytest.mark.product("P-HTTP-16")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/llm/generate"])
def test_an_unknown_provider_is_400_with_the_19_ids(whole, catalogue, path):
    body = {"provider": "opnai", "model": "gpt-4o", "messages": [user("Hi")], "input": "a text"}
    reply = whole.http.post(path, json=body)
    said = reply.json()["error"]
    message = said if path == "/llm/generate" else said["message"]
    assert reply.status_code == 400
    assert set(message.partition("known: ")[2].split(", ")) == set(catalogue.vendors)
    assert path == "/llm/generate" or said["param"] == "provider"


@pytest.mark.product("P-HTTP-17")
def test_a_pinned_model_whose_vendor_has_no_key_is_503_and_says_so(row, paged):
    request = row("P-HTTP-17")["request"]
    for stream in (False, True):
        reply = paged.http.post("/v1/chat/completions", json=request | {"stream": stream})
        assert reply.status_code == row("P-HTTP-17")["status"]
        follows(row("P-HTTP-17")["reply"], reply.json())
    assert paged.tap.chats == []


@pytest.mark.product("P-HTTP-17")
@pytest.mark.parametrize("more", [{"fallback": True}, {"models": ["groq/openai/gpt-oss-120b"]}])
def test_with_a_fallback_or_a_list_another_serves_instead(row, paged, more):
    reply = paged.http.post("/v1/chat/completions", json=row("P-HTTP-17")["request"] | more)
    assert reply.status_code == 200, reply.text
    told = reply.json()["llm_mesh"]
    assert (told["fallback_used"], told["primary_error"]) == (True, "no API key for openai")


def asked_first(customer, origin, path="/v1/chat/completions"):
    """Ask as a browser does before a page of that origin may call."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    return httpx.options(customer.mesh.edge + path, headers=headers, trust_env=False, timeout=20)


def shared(reply):
    """Return what a reply tells a browser about other origins."""
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


@pytest.mark.product("P-HTTP-21", "P-OPS-11")
def test_without_a_list_no_other_origin_is_told_anything(whole):
    for path in ("/v1/chat/completions", "/models", "/health", "/nowhere"):
        assert shared(asked_first(whole, PAGE, path)) == {}
        assert asked_first(whole, PAGE, path).status_code >= 400
        assert shared(whole.http.get(path, headers={"Origin": PAGE})) == {}


@pytest.mark.product("P-HTTP-21", "P-OPS-11")
def test_an_origin_of_the_list_gets_the_headers_and_others_none(paged):
    told = asked_first(paged, PAGE)
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (204, PAGE)
    assert "POST" in told.headers["access-control-allow-methods"]
    assert told.headers["access-control-allow-headers"] == "x-api-key"
    for origin in ("https://evil.example", "http://app.example", f"{PAGE}.evil.example", "null"):
        refused = asked_first(paged, origin)
        assert (refused.status_code >= 400, shared(refused)) == (True, {})
    for origin, headers in ((PAGE, {"access-control-allow-origin": PAGE}), ("https://evil.example", {})):
        for reply in (
            paged.chat(model="groq"),
            paged.http.get("/nowhere", headers={"Origin": origin}),
            paged.http.post("/v1/chat/completions", json={"messages": []}, headers={"Origin": origin}),
            httpx.get(f"{paged.mesh.edge}/models", headers={"Origin": origin}, trust_env=False),
        ):
            own = "origin" in reply.request.headers
            assert headers.items() <= shared(reply).items() or not own
            assert bool(shared(reply)) == (own and origin == PAGE)
    body = {"model": "groq", "messages": [user("say: yes")], "stream": True}
    with paged.http.stream("POST", "/v1/chat/completions", json=body, headers={"Origin": PAGE}) as stream:
        stream.read()
        assert stream.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in stream.headers["access-control-expose-headers"]
    assert urlsplit(paged.mesh.edge).hostname == "127.0.0.1"


@pytest.mark.product("P-OPS-17")
def test_a_request_for_local_models_only_never_leaves_the_machine(whole, paged):
    for customer in (whole, paged):
        reply = customer.chat("say: a secret", llm_mesh={"use_case": "conversation", "data_policy": "local_only"})
        assert (reply.status_code, reply.json()["llm_mesh"]["vendor"]) == (200, "ollama"), reply.text
    assert {heard.vendor for heard in whole.tap.chats} == {"ollama"}


@pytest.mark.product("P-OPS-17")
@pytest.mark.parametrize("wish", [{"model": "groq/openai/gpt-oss-120b"}, {"llm_mesh": {"use_case": "code_generation"}}])
def test_without_a_local_server_such_a_request_is_an_error_and_never_a_remote_call(partial, wish):
    extension = wish.get("llm_mesh", {}) | {"data_policy": "local_only"}
    reply = partial.chat("say: a secret", **(wish | {"llm_mesh": extension}))
    assert reply.status_code == 503
    assert partial.tap.chats == []
