"""POST /llm/generate: the promised requests get the promised replies, each on both of its paths."""

import time

import pytest
from fixtures.customer import user
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.promised_replies import follows, plain

ROWS = [pytest.param(id_, marks=pytest.mark.product(id_)) for id_ in ("P-HTTP-4", "P-HTTP-5", "P-HTTP-6")]
PATHS = pytest.mark.parametrize("path", ["/llm/generate", "/api/coordination/llm/generate"])


@PATHS
@pytest.mark.parametrize("id_", ROWS)
def test_the_promised_request_gets_the_promised_reply(row, former, id_, path):
    asked = row(id_)
    assert path in (asked["path"], *asked["also"])
    began = time.monotonic()
    reply = former.http.post(path, json=asked["request"])
    waited = 1000 * (time.monotonic() - began)
    assert reply.status_code == 200, reply.text
    assert reply.json()["primary_error"] is None
    follows(asked["reply"], reply.json())
    assert 0 < reply.json()["latency_ms"] <= waited + 1


@pytest.mark.parametrize("id_", ROWS)
def test_the_cost_is_tokens_by_price_and_what_a_free_plan_spares_is_told_beside(row, former, id_):
    reply = former.http.post("/llm/generate", json=row(id_)["request"]).json()
    mesh, usage = reply["llm_mesh"], reply["usage"]
    listed = {model["id"]: model for model in former.http.get("/models").json()["data"]}
    model = listed[mesh["offer"].partition("#")[0]]
    tokens = usage["prompt_tokens"], usage["completion_tokens"]
    price = tokens[0] * model["input_usd_per_1m"] + tokens[1] * model["output_usd_per_1m"]
    assert (reply["tokens_used"], min(tokens) > 0) == (sum(tokens), True)
    assert mesh["list_cost_usd"] == pytest.approx(price / 1_000_000, abs=1e-9)
    free = mesh["attempts"][-1]["plan"] == "free"
    assert reply["cost"] == (0 if free else mesh["list_cost_usd"])


@pytest.mark.product("P-HTTP-4")
def test_the_tier_may_be_left_out_and_the_content_type_too(row, former):
    request = {key: value for key, value in row("P-HTTP-4")["request"].items() if key != "budget_tier"}
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}):
        status, reply = plain(former.mesh.edge, "/llm/generate", headers=headers, **request)
        assert (status, reply["provider"], reply["llm_mesh"]["tier"]) == (200, "groq", "standard")


@pytest.mark.product("P-VENDOR-2")
@pytest.mark.parametrize("name", ["claude/sonnet", "anthropic/sonnet", "sonnet"])
def test_the_current_sonnet_goes_by_three_names_and_the_reply_says_claude_and_sonnet(row, whole, catalogue, name):
    promised = row("P-VENDOR-2")
    [current] = catalogue.resolve("anthropic/sonnet")
    reply = whole.http.post("/llm/generate", json={"messages": [user("say: yes")], "model": name}).json()
    assert (reply["provider"], reply["model"], reply["content"]) == (promised["reply_name"], "sonnet", "yes")
    assert reply["llm_mesh"]["offer"] == f"{current}#1"
    assert whole.tap.chats[-1].json["model"] == current.model
    assert catalogue.vendors["anthropic"].models[current.model].status == "active"


@pytest.fixture(scope="module")
def only_groq(tmp_path_factory):
    """Run a mesh that has nothing but one free key of groq."""
    keys = {"GROQ_API_KEY": key_of("groq", "free")}
    environment = {"LOCAL_MODELS_ENABLED": "false"}
    with keyed_mesh(tmp_path_factory.mktemp("groq"), keys=keys, environment=environment) as customer:
        yield customer


@pytest.mark.product("P-HTTP-7")
@PATHS
def test_without_the_key_of_the_first_choice_the_next_serves_and_the_reply_says_why(row, only_groq, path):
    reply = only_groq.http.post(path, json=row("P-HTTP-7")["request"])
    assert reply.status_code == 200, reply.text
    follows(row("P-HTTP-7")["reply"], reply.json())


@pytest.mark.product("P-HTTP-8")
@PATHS
def test_without_any_key_the_failure_is_the_promised_body(row, empty, path):
    reply = empty.http.post(path, json=row("P-HTTP-8")["request"])
    assert (reply.status_code, set(reply.json())) == (
        row("P-HTTP-8")["status"],
        {*row("P-HTTP-8")["reply"], "code", "request_id"},
    )
    follows(row("P-HTTP-8")["reply"], reply.json())


WRONG = {
    "no messages": ({"messages": []}, ["messages"]),
    "messages left out": ({"messages": None}, ["messages"]),
    "an unknown use case": ({"use_case": "gardening"}, ["use_case", "`gardening`", "conversation", "classification"]),
    "an unknown tier": ({"budget_tier": "cheap"}, ["budget_tier", "ultra_economy", "premium"]),
    "a stream": ({"stream": True}, ["stream", "/v1/chat/completions"]),
    "two answers": ({"n": 2}, ["n: ", "/v1/chat/completions"]),
}


@pytest.mark.product("P-HTTP-8")
@PATHS
@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_request_is_400_in_the_same_shape_naming_the_field_and_what_is_allowed(whole, path, wrong):
    changed, named = WRONG[wrong]
    good = {"messages": [user("say: yes")], "use_case": "conversation", "budget_tier": "standard"}
    reply = whole.http.post(path, json=good | changed)
    assert (reply.status_code, reply.json()["success"]) == (400, False)
    assert set(reply.json()) == {"success", "error", "code", "request_id"}
    assert [word for word in named if word not in reply.json()["error"]] == []
    assert whole.tap.chats == []


@PATHS
def test_without_a_credential_the_refusal_has_the_shape_of_the_path(partial, path):
    bodies = []
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}):
        status, body = plain(partial.mesh.edge, path, headers=headers, messages=[user("say: yes")])
        assert (status, body.pop("success"), bool(body.pop("request_id"))) == (401, False, True)
        bodies.append(body)
    assert bodies == [bodies[0]] * 3
