"""POST /llm/generate and /orchestrator/process: the promised requests get the promised replies."""

import time

import pytest
from fixtures.customer import TIERS, user
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.promised_replies import follows, plain

from router_service.edge.boundary import PLAIN_PATHS

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


@pytest.mark.parametrize("path", PLAIN_PATHS)
def test_without_a_credential_the_refusal_has_the_shape_of_the_path(partial, path):
    bodies = []
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}):
        status, body = plain(partial.mesh.edge, path, headers=headers, messages=[user("say: yes")])
        assert (status, body.pop("success"), bool(body.pop("request_id"))) == (401, False, True)
        bodies.append(body)
    assert bodies == [bodies[0]] * 3


@pytest.mark.product("P-HTTP-19")
def test_a_task_is_answered_with_its_preferred_model_for_the_use_case_it_requires(row, former, partial):
    promised = row("P-HTTP-19")
    reply = former.http.post(promised["path"], json=promised["request"])
    assert reply.status_code == 200, reply.text
    follows(promised["reply"], reply.json())
    assert former.tap.chats[0].target.endswith("gemini-1.5-flash:generateContent")
    assert promised["request"]["task"] in former.tap.chats[0].body
    # The key of callers is that of ORCHESTRATOR_API_KEY; the model has ended by the shipped catalogue.
    status, served = plain(
        partial.mesh.edge,
        promised["path"],
        partial.key,
        promised["headers"] | {"X-API-Key": partial.key},
        **promised["request"],
    )
    assert (status, served["provider"], served["fallback_used"]) == (200, "gemini", False)
    assert "retired" in served["llm_mesh"]["warnings"][0]["message"]


@pytest.mark.product("P-RULE-5")
def test_a_preferred_model_that_cannot_serve_is_no_pin_and_the_reply_says_why(partial):
    asked = {"task": "say: yes", "preferred_model": "openai/gpt-4o", "requirements": ["quick"]}
    reply = partial.http.post("/orchestrator/process", json=asked).json()
    assert (reply["provider"], reply["fallback_used"], reply["primary_error"]) == (
        "groq",
        True,
        "no API key for openai",
    )
    assert (reply["result"], reply["use_case"]) == ("yes", "quick")


@pytest.mark.product("P-RULE-5")
@pytest.mark.parametrize("requirement", ["vision", "tools", "json", "web_search"])
def test_a_requirement_leaves_out_what_cannot_do_it(whole, catalogue, requirement):
    capability = {"json": "json_object"}.get(requirement, requirement)
    explained = whole.explain("say: yes", requirements=[requirement], tier=TIERS["premium"])
    assert explained.offers
    for offer in explained.offers:
        vendor, _, model = offer.offer.partition("#")[0].partition("/")
        assert capability in catalogue.vendors[vendor].models[model].capabilities, offer.offer


@pytest.mark.product("P-RULE-5")
def test_a_use_case_that_is_required_is_selected_and_two_are_refused(whole):
    explained = whole.explain("say: yes", requirements=["analysis", "tools"])
    assert explained.use_case == "analysis"
    assert whole.explain("say: yes", requirements=["web_search"]).use_case == "web_search"
    assert whole.generate(requirements=["web_search"]).route.vendor == "perplexity"
    for intent in ({"requirements": ["analysis", "quick"]}, {"requirements": ["analysis"], "use_case": "quick"}):
        assert [violation.field for violation in whole.refused(**intent).fields] == ["intent.requirements"]


@pytest.mark.product("P-RULE-5")
def test_an_unknown_requirement_is_400_naming_the_known_ones(whole):
    reply = whole.http.post("/orchestrator/process", json={"task": "say: yes", "requirements": ["telepathy"]})
    assert (reply.status_code, reply.json()["success"]) == (400, False)
    assert reply.json()["error"].startswith(
        "requirements: unknown `telepathy`; known: json_object, json_schema, reasoning"
    )
    for body, field in (
        ({}, "task: is required"),
        ({"task": ""}, "task: is required"),
        ({"task": 3}, "task: must be a text"),
    ):
        refused = whole.http.post("/orchestrator/process", json=body)
        assert (refused.status_code, refused.json()["error"][: len(field)]) == (400, field)
    assert whole.tap.chats == []
