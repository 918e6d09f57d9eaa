"""The HTTP rows: OpenAI's own shapes, health, lists and refusals on one port."""

import json
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from fixtures.customer import user
from fixtures.openapi import Described
from fixtures.promised_replies import follows, plain

from catalog.mesh import load_mesh
from router_service.edge.boundary import OPEN_PATHS, PLAIN_PATHS

SERVED = {
    "/v1/chat/completions": {"model": "groq", "messages": [user("say: yes")]},
    "/v1/embeddings": {"input": "a text"},
}


@pytest.mark.product("P-HTTP-1")
def test_health_is_exactly_ok_when_the_router_serves_and_needs_no_key(row, whole, partial):
    for path in (row("P-HTTP-1")["path"], *row("P-HTTP-1")["also"]):
        assert plain(whole.mesh.edge, path) == (200, row("P-HTTP-1")["reply"])
        assert plain(partial.mesh.edge, path) == (200, row("P-HTTP-1")["reply"])


@pytest.mark.product("P-HTTP-1")
def test_health_is_503_unavailable_when_the_router_does_not_serve_and_needs_no_key(row, empty):
    for path in (row("P-HTTP-1")["path"], *row("P-HTTP-1")["also"]):
        status, body = plain(empty.mesh.edge, path)
        assert (status, body["status"]) == (503, "unavailable")


@pytest.mark.product("P-HTTP-9")
def test_models_lists_every_model_of_every_configured_vendor_in_the_promised_shape(row, whole, partial, catalogue):
    wanted = row("P-HTTP-9")["reply"]["data"][0]
    for path in (row("P-HTTP-9")["path"], *row("P-HTTP-9")["also"]):
        reply = whole.http.get(path)
        assert (reply.status_code, reply.json()["object"]) == (200, "list")
        listed = {model["id"]: model for model in reply.json()["data"]}
        follows(
            {**wanted, "capabilities": []} | {"capabilities": listed[wanted["id"]]["capabilities"]},
            listed[wanted["id"]],
        )
        assert "vision" in listed[wanted["id"]]["capabilities"]
        known = {
            f"{vendor.id}/{model.id}"
            for vendor in catalogue.vendors.values()
            for model in vendor.models.values()
            if model.status == "active"
        }
        assert known <= set(listed)
        configured = {model["owned_by"] for model in partial.http.get(path).json()["data"]}
        assert configured == {"groq", "gemini"}


@pytest.mark.product("P-HTTP-9")
def test_models_with_all_adds_those_without_a_key_and_retired_ones(partial, catalogue):
    for path in ("/models", "/v1/models"):
        listed = {model["id"]: model for model in partial.http.get(path, params={"all": "true"}).json()["data"]}
        for vendor in catalogue.vendors.values():
            for model in vendor.models.values():
                assert listed[f"{vendor.id}/{model.id}"]["status"] == model.status
        assert (listed["openai/gpt-4o"]["usable"], listed["groq/mixtral-8x7b-32768"]["status"]) == (False, "retired")


@pytest.mark.product("P-HTTP-10")
def test_the_promised_request_gets_the_promised_reply(row, whole):
    reply = whole.http.post("/v1/chat/completions", json=row("P-HTTP-10")["request"])
    assert reply.status_code == 200
    follows(row("P-HTTP-10")["reply"], reply.json())


@pytest.mark.product("P-HTTP-10")
def test_the_official_client_parses_the_reply_of_every_vendor(row, whole, living):
    request = row("P-HTTP-10")["request"]
    with openai.OpenAI(base_url=f"{whole.mesh.edge}/v1", api_key="any", max_retries=0) as official:
        for vendor in living:
            model = next(m.id for m in vendor.models.values() if m.status == "active" and m.model_class != "embedding")
            reply = official.chat.completions.create(
                model=f"{vendor.id}/{model}", messages=request["messages"], temperature=request["temperature"]
            )
            assert (reply.object, reply.model) == ("chat.completion", model)
            assert reply.choices[0].message.content
            assert reply.choices[0].finish_reason == "stop"
            assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
            assert reply.model_extra["llm_mesh"]["vendor"] == vendor.id


@pytest.mark.product("P-HTTP-20")
def test_on_every_path_both_headers_are_the_same_credential_and_without_it_the_answer_is_401_without_hints(partial):
    edge = httpx.Client(base_url=partial.mesh.edge, trust_env=False, timeout=20)
    index = edge.get("/nowhere", headers={"x-api-key": partial.key})
    assert index.status_code == 404
    paths = [place.split() for place in index.json()["error"]["message"].partition("this server has ")[2].split(", ")]
    assert ["POST", "/v1/chat/completions"] in paths
    for method, pattern in paths:
        path = pattern.replace("{id}", "groq/openai/gpt-oss-120b")
        if path in (*OPEN_PATHS, *PLAIN_PATHS):  # the latter have a test beside their replies
            continue
        if path.startswith("/console") and path != "/console/events":  # files that say nothing of this mesh
            assert edge.request(method, path).status_code in (200, 308), path
            continue
        other = path in ("/models", "/api/health", "/openapi.json", "/console/events") or path.endswith(
            "/llm/providers"
        )
        assert path.startswith("/v1/") or other, "a path with an error shape of its own needs a test"
        body = SERVED[path] if method == "POST" else None
        said = []
        for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eA=="}):
            refused = edge.request(method, path, headers=headers, json=body)
            assert refused.status_code == 401, (method, path, headers)
            error = refused.json()["error"]
            assert (error["type"], error["param"]) == ("authentication_error", None)
            del error["llm_mesh"]["request_id"]
            said.append(refused.json()["error"]["message"])
        assert len(set(said)) == 1
        assert partial.key not in said[0]
        for headers in ({"x-api-key": partial.key}, {"authorization": f"Bearer {partial.key}"}):
            with edge.stream(method, path, headers=headers, json=body) as served:  # the console's events never end
                assert served.status_code == 200, path


@pytest.mark.product("P-HTTP-20")
def test_loopback_development_mode_needs_no_key_and_says_so_at_start(whole):
    assert whole.key == ""
    assert whole.chat().status_code == 200
    lines = [json.loads(line) for line in whole.mesh.log("router").splitlines()]
    said = next(line for line in lines if line["event"] == "anonymous")
    assert said["level"] == "warning"
    assert "ORCHESTRATOR_API_KEY" in said["detail"]
    assert lines.index(said) < lines.index(next(line for line in lines if line["event"] == "serving"))


@pytest.mark.product("P-HTTP-23")
def test_any_plain_client_needs_no_header_beyond_the_key_and_the_content_type(partial, whole):
    request = {"messages": [user("say: plainly")], "model": "groq"}
    for customer in (partial, whole):
        headers = {"Content-Type": "application/json"}
        status, reply = plain(customer.mesh.edge, "/v1/chat/completions", customer.key, headers, **request)
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "plainly")


@pytest.mark.product("P-HTTP-23")
def test_there_is_one_port_8080_unless_configured(whole, tmp_path):
    assert load_mesh(None, {}).edge.listen.endswith(":8080")
    assert load_mesh(None, {"MESH_EDGE_ADDRESS": "127.0.0.1:8180"}).edge.listen == "127.0.0.1:8180"
    file = tmp_path / "mesh.yaml"
    file.write_text("addresses: {edge: {listen: 127.0.0.1:8003}}")
    assert load_mesh(file, {}).edge.listen == "127.0.0.1:8003"
    assert urlsplit(whole.mesh.edge).port != 8080
    for path in ("/health", "/api/coordination/health", "/models", "/v1/models"):
        assert whole.http.get(path).status_code == 200


@pytest.mark.product("P-HTTP-24")
def test_a_model_that_does_not_exist_is_404_with_the_closest_names(whole):
    reply = whole.chat(model="openai/gpt-4oo")
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (404, "not_found_error")
    assert {"message", "type", "code", "param"} <= set(error)
    assert "gpt-4o" in error["message"].partition("closest: ")[2]


@pytest.mark.product("P-HTTP-24")
@pytest.mark.parametrize(
    ("body", "line", "column"),
    [(b'{"messages": [}', 1, 15), (b'{"model": "auto",\n "messages": oops}', 2, 14), (b"[1, 2", 1, 6)],
)
def test_malformed_json_is_400_naming_the_position(whole, body, line, column):
    reply = whole.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (400, "invalid_request_error")
    assert f"line {line}" in error["message"]
    assert f"column {column}" in error["message"]


@pytest.mark.product("P-HTTP-2", "P-CMD-8")
def test_when_nothing_can_serve_status_fails_and_health_says_why(empty):
    told = empty.http.get("/api/health").json()
    assert (told["status"], told["serving_now"]) == ("unavailable", None)
    assert told["problem"] == "no vendor is active; `llm-mesh vendors` says why"
    done = empty.command("status")
    assert (done.returncode, "nothing can serve" in done.stdout) == (1, True)


@pytest.mark.product("P-OPS-29")
def test_what_is_broken_is_a_warning_and_never_a_crash(partial):
    warnings = partial.http.get("/api/health").json()["warnings"]
    assert any(warning.startswith("ollama: ") and "unreachable" in warning for warning in warnings)
    assert any("GEMINI_API_KEY" in warning and "GOOGLE_API_KEY" in warning for warning in warnings)
    assert not any(value in warning for warning in warnings for value in partial.keys.values())


@pytest.mark.product("P-HTTP-22")
def test_the_document_has_every_promised_path_with_schemas_that_real_replies_are_of(table, whole):
    described = Described(whole.http.get("/openapi.json").json())
    described.check()
    paths = described.document["paths"]
    for promised in table["http"]:
        method = promised["method"].lower()
        if promised["path"] in ("*", "/openapi.json"):
            continue
        for path in (promised["path"], *promised.get("also", ())):
            operation = paths[path][method]
            assert {"200", "default"} <= set(operation["responses"])
            assert ("requestBody" in operation) == (method == "post")
            if method == "get":
                described.check_reply("GET", path, whole.http.get(path))
    messages = [user("say: yes")]
    bodies = {
        "/v1/chat/completions": {"model": "groq", "messages": messages},
        "/v1/embeddings": {"input": "a text"},
        "/llm/generate": {"model": "groq", "messages": messages},
        "/orchestrator/process": {"task": "say: yes"},
    }
    for path, body in bodies.items():
        assert whole.http.post(path, json=body).status_code == 200
        described.check_reply("POST", path, whole.http.post(path, json=body))
        described.check_reply("POST", path, whole.http.post(path, json={"model": "nobody/knows"} | body))
        described.check_reply("POST", path, whole.http.post(path, json={}))
    for chunk in whole.stream(model="groq", stream_options={"include_usage": True}):
        described.validate(described.events("/v1/chat/completions"), chunk)
    described.check_reply("GET", "/v1/models/{id}", whole.http.get("/v1/models/openai/gpt-4o"))
