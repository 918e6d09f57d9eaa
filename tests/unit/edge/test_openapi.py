"""The OpenAPI document: every route is in it, what is read is what it says, and real replies are of its schemas."""

import json
import typing
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fixtures.fake_router import FakeRouter, answer, deltas, finish, start, vectors
from fixtures.openapi import Described
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2
from openai.types import EmbeddingCreateParams
from openai.types.chat import completion_create_params

from meshkit.errors import MeshError, Reason
from router_service.edge.exchange import Exchange
from router_service.edge.fields import Fields
from router_service.edge.generate import read_task
from router_service.edge.intent import DATA_POLICIES, STREAM_GUARANTEES, TIERS
from router_service.edge.json_body import read_object
from router_service.edge.openai_embeddings import FORMATS, INPUT_TYPES, read_embeddings
from router_service.edge.openai_messages import DETAILS, ROLES
from router_service.edge.openai_request import EFFORTS, read_chat
from router_service.edge.openai_tools import CHOICES
from router_service.edge.plain_reply import read as read_plain
from router_service.edge.server import EdgeServer

HELLO = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "add", "description": "d", "parameters": {}, "strict": True}}
NAMED = {"type": "function", "function": {"name": "add"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
# Every key the document has somewhere below a body, with a value that is right.
INTENT = {
    "use_case": "quick",
    "tier": "free",
    "data_policy": "local_only",
    "stream_guarantee": "whole",
    "preferred_model": "m",
    "conversation_id": "c",
    "strict": True,
    "requirements": ["vision"],
    "allow_vendors": ["acme"],
    "deny_vendors": ["globex"],
    "max_cost_usd": 0.5,
}
WISH = {"model": "gpt-4o", "provider": "acme", "fallback": True, "llm_mesh": INTENT}
IGNORED = ("user", "metadata", "store", "safety_identifier")
LEFT_OUT = (
    "logit_bias",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "verbosity",
)
ANSWERABLE = {
    **WISH,
    "fallback": False,
    "models": ["a/b"],
    "system_message": "be brief",
    "temperature": 1.5,
    "top_p": 0.5,
    "top_k": 3,
    "max_tokens": 9,
    "max_completion_tokens": 9,
    "stop": ["x"],
    "seed": 1,
    "frequency_penalty": 1.0,
    "presence_penalty": 1.0,
    "reasoning_effort": "low",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True},
    },
    "web_search_options": {"search_context_size": "low", "user_location": {}},
    "modalities": ["text"],
    "audio": {"voice": "alloy"},
    **dict.fromkeys((*IGNORED, *LEFT_OUT), "x"),
}
CHAT = {
    **ANSWERABLE,
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a"}], "name": "n"},
        {"role": "developer", "content": "b", "name": "n"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}],
            "name": "n",
        },
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "no"}],
            "refusal": None,
            "reasoning_content": "hm",
            "tool_calls": [CALL],
            "name": "n",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "3", "name": "n"},
        {"role": "assistant", "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": "3"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": True},
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "tools": [TOOL],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}},
    "parallel_tool_calls": True,
}
# What tools were called before, and cannot stand beside them.
OLDER = {
    "functions": [{"name": "add", "description": "d", "parameters": {}, "strict": True}],
    "function_call": {"name": "add"},
}
GENERATE = {**ANSWERABLE, "messages": CHAT["messages"], "use_case": "quick", "budget_tier": "free"}
PROCESS = {
    **ANSWERABLE,
    "task": "sum up",
    "preferred_model": "m",
    "requirements": ["vision"],
    "use_case": "quick",
    "budget_tier": "free",
}
EMBED = {**WISH, "input": ["a"], "dimensions": 3, "encoding_format": "float", "input_type": "query", "user": "u"}
EXCHANGE = Exchange("r1", None, {})  # type: ignore[arg-type]


BODIES = {
    "/v1/chat/completions": (CHAT, lambda content: read_chat(content, {}, "r1")),
    "/llm/generate": (GENERATE, lambda content: read_plain(Fields(read_object(content)), EXCHANGE)),
    "/orchestrator/process": (PROCESS, lambda content: read_task(content, EXCHANGE)),
    "/v1/embeddings": (EMBED, lambda content: read_embeddings(content, {}, "r1")),
}


@pytest.fixture
async def there() -> AsyncIterator[tuple[httpx.AsyncClient, FakeRouter, Described, EdgeServer]]:
    router = FakeRouter()
    async with (
        EdgeServer("127.0.0.1:0", router) as edge,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}", trust_env=False) as client,
    ):
        yield client, router, Described((await client.get("/openapi.json")).json()), edge


async def test_every_route_of_the_server_but_the_console_is_in_the_document_and_nothing_else_is(there) -> None:
    _, _, described, edge = there
    served = {
        (route.resource.canonical, route.method.lower())
        for route in edge._application().router.routes()
        if route.resource is not None and route.method != "HEAD" and not route.resource.canonical.startswith("/console")
    }
    assert {(path, method) for path, item in described.document["paths"].items() for method in item} == served
    assert len({item["operationId"] for each in described.document["paths"].values() for item in each.values()}) == len(
        served
    )


async def test_it_is_an_openapi_document_whose_references_lead_somewhere(there) -> None:
    _, _, described, _ = there
    assert described.document["openapi"] == "3.1.0"
    described.check()


@pytest.mark.parametrize("path", BODIES)
async def test_what_a_body_may_have_is_what_is_read_of_it(there, path: str) -> None:
    """A body with every key of the schema: all are read, none is told to be unknown; and it is of the schema."""
    body, read = BODIES[path]
    _, _, described, _ = there
    schema = described.body(path)
    described.validate(schema, {**body, **(OLDER if path == "/v1/chat/completions" else {})})
    assert described.keys(schema) <= described.keys_of(body) | {"llm_mesh_state", *OLDER}
    whole = {
        key: value for key, value in body.items() if key not in ("stream", "tools", "tool_choice", "n", "logprobs")
    }
    told = read(json.dumps(body if path == "/v1/chat/completions" else whole).encode())
    unknown = [warning.field for warning in told.warnings if "not known here" in warning.message]
    assert unknown == []


@pytest.mark.parametrize("path", BODIES)
async def test_a_key_that_is_read_is_in_the_document(there, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, read = BODIES[path]
    asked: set[str] = set()
    refused: set[str] = set()
    look, refuse = Fields.raw, Fields.refuse

    def noting(fields: Fields, key: str) -> Any:
        asked.add(f"{fields.path}.{key}" if fields.path else key)
        return look(fields, key)

    def refusing(fields: Fields, key: str, hint: str) -> None:
        refused.add(f"{fields.path}.{key}" if fields.path else key)
        refuse(fields, key, hint)

    monkeypatch.setattr(Fields, "raw", noting)
    monkeypatch.setattr(Fields, "refuse", refusing)
    whole = {
        key: value for key, value in body.items() if key not in ("stream", "tools", "tool_choice", "n", "logprobs")
    }
    read(json.dumps(body if path == "/v1/chat/completions" else whole).encode())
    known = set(there[2].document["components"]["schemas"][there[2].name_of_body(path)]["properties"])
    own = {key for key in asked - refused if "." not in key and "[" not in key}
    # What a whole plain answer has no place for is read to be refused.
    assert own - known <= {"stream", "stream_options", "n", "logprobs", "top_logprobs", "tools", "tool_choice"} | {
        "parallel_tool_calls",
        *OLDER,
    }
    assert path != "/v1/chat/completions" or own <= known


async def test_the_words_of_the_document_are_those_that_are_read(there) -> None:
    _, _, described, _ = there
    words = {
        ("Intent", "tier"): TIERS,
        ("Intent", "data_policy"): DATA_POLICIES,
        ("Intent", "stream_guarantee"): STREAM_GUARANTEES,
        ("Generate", "budget_tier"): TIERS,
        ("Chat", "reasoning_effort"): EFFORTS,
        ("Chat", "tool_choice"): CHOICES,
        ("ImageLink", "detail"): DETAILS,
        ("Embed", "encoding_format"): FORMATS,
        ("Embed", "input_type"): INPUT_TYPES,
    }
    for (shape, key), read in words.items():
        assert described.words(shape, key) == set(read), (shape, key)
    assert set(ROLES) == {"system", "developer", "user", "assistant", "tool", "function"}


@pytest.mark.parametrize(
    ("shape", "taken"), [(completion_create_params.CompletionCreateParamsBase, CHAT), (EmbeddingCreateParams, EMBED)]
)
def test_every_parameter_the_official_client_documents_is_taken(shape: Any, taken: Any) -> None:
    assert set(typing.get_type_hints(shape)) <= {*taken, *OLDER}


async def test_real_answers_are_of_their_schemas(there) -> None:
    client, router, described, _ = there
    call = chat_pb2.Part(tool_call=chat_pb2.ToolCall(id="c1", name="add", arguments_json="{}"))
    thought = chat_pb2.Part(reasoning=chat_pb2.Reasoning(text="hm"), provider_data=chat_pb2.ProviderData(vendor="acme"))
    source = chat_pb2.Citation(uri="https://x.test", title="x", start=0, end=2)
    sourced = chat_pb2.Part(text=chat_pb2.Text(text="hi", citations=[source]))
    router.answer = answer(thought, sourced, call)
    router.answer.completion.choices[0].logprobs.add(token="hi", logprob=-0.5).alternatives.add(token="ho", logprob=-1)
    for path in ("/v1/chat/completions", "/llm/generate", "/orchestrator/process"):
        body = {"task": "hi"} if path.endswith("process") else {"messages": HELLO}
        reply = await client.post(path, json=body)
        described.check_reply("POST", path, reply)
    router.answer = vectors([0.5, 1.0])
    for encoding in ("float", "base64"):
        reply = await client.post("/v1/embeddings", json={"input": "a", "encoding_format": encoding})
        described.check_reply("POST", "/v1/embeddings", reply)


async def test_the_events_of_a_real_stream_are_of_their_schema(there) -> None:
    client, router, described, _ = there
    named = chat_pb2.Delta(part_index=1, tool_call=chat_pb2.ToolCall(id="c1", name="add"))
    router.steps = [
        start(),
        deltas(chat_pb2.Delta(reasoning="hm"), "hi", named, chat_pb2.Delta(part_index=1, tool_arguments="{}")),
        finish(),
    ]
    body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
    reply = await client.post("/v1/chat/completions", json=body)
    events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    assert len(events) == 7
    for event in events:
        described.validate(described.events("/v1/chat/completions"), json.loads(event))


async def test_real_lists_and_health_are_of_their_schemas(there) -> None:
    client, router, described, _ = there
    vendor = router_pb2.Vendor(id="acme", reply_name="acme", group="speed", status="active")
    vendor.quotas.add(unit="nanodollars", period="once", limit=5_000_000_000, left=1)
    vendor.quotas.add(unit="requests", period="day", limit=9).resets_at.GetCurrentTime()
    vendor.breakers.add(subject="acme", state="open")
    lost = router_pb2.Vendor(id="globex", reply_name="globex", group="speed", status="inactive", reason="no API key")
    router.vendors = [vendor, lost]
    router.models = [
        router_pb2.Model(id="acme/one", vendor="acme", model="one", status="active", usable=True, input_price_nanos=1),
        router_pb2.Model(
            id="acme/old", vendor="acme", model="old", status="retired", usable=True, successor="acme/one"
        ),
    ]
    router.told = router_pb2.GetHealthResponse(can_serve=True, serving=["acme/one#1"], vendors=router.vendors)
    router.told.local_since.GetCurrentTime()
    paths = [path for path, item in described.document["paths"].items() if "get" in item and "{" not in path]
    for path in (*paths, "/v1/models/acme/one"):
        described.check_reply("GET", path.replace("acme/one", "{id}"), await client.get(path))
    router.trouble = "no vendor is active"
    described.check_reply("GET", "/health", await client.get("/health"))
    health = (await client.get("/api/health")).json()
    assert health["providers"][0]["quotas"][0]["limit"] == 5
    assert (health["providers"][0]["breaker"], health["providers"][1]["breaker"]) == ("open", "closed")


@pytest.mark.parametrize("reason", [Reason.BUDGET_EXHAUSTED, Reason.NO_OFFER, Reason.INTERNAL])
async def test_real_failures_are_of_their_schemas(there, reason: Reason) -> None:
    client, router, described, _ = there
    route = router_pb2.Route(
        attempts=[router_pb2.Attempt(offer="acme/one#1", outcome="failed", reason="VENDOR_SERVER")]
    )
    failure = router_pb2.RouteFailure(route=route, partial_usage=chat_pb2.Usage(input_tokens=3))
    router.answer = MeshError(reason, "nobody could serve", metadata={"a": "b"}, details=[failure])
    for path in ("/v1/chat/completions", "/llm/generate", "/orchestrator/process"):
        body = {"task": "hi"} if path.endswith("process") else {"messages": HELLO}
        described.check_reply("POST", path, await client.post(path, json=body))
        described.check_reply("POST", path, await client.post(path, content=b"{"))
