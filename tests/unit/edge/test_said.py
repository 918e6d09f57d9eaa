"""Errors of the router name the field as its caller sent it."""

import json
from typing import Any

import aiohttp
import pytest
from fixtures.fake_router import FakeRouter

from meshkit.errors import FieldViolation, MeshError, Reason, invalid
from router_service.edge.server import EdgeServer

HI = {"role": "user", "content": "hi"}
NAMES: list[tuple[dict[str, Any], dict[str, str], str, str]] = [
    ({"model": "use_case:x"}, {}, "intent.use_case", "model"),
    ({"model": "x/economy"}, {"x-llm-mesh-use-case": "y"}, "intent.use_case", "model"),
    ({}, {"x-llm-mesh-use-case": "y"}, "intent.use_case", "x-llm-mesh-use-case"),
    ({"llm_mesh": {"use_case": "x"}}, {"x-llm-mesh-use-case": "y"}, "intent.use_case", "llm_mesh.use_case"),
    ({}, {}, "intent.use_case", "model"),
    ({"llm_mesh": {"tier": "free"}}, {}, "intent.tier", "llm_mesh.tier"),
    ({}, {"x-llm-mesh-tier": "free"}, "intent.tier", "x-llm-mesh-tier"),
    ({"model": "gpt-9"}, {}, "intent.model", "model"),
    ({"provider": "acme", "model": "gpt-9"}, {}, "intent.model", "model"),
    ({"provider": "acme"}, {}, "intent.model", "provider"),
    ({"model": "gpt-9", "fallback": True}, {}, "intent.preferred_model", "model"),
    ({"llm_mesh": {"preferred_model": "gpt-9"}}, {}, "intent.preferred_model", "llm_mesh.preferred_model"),
    ({"models": ["a", "b"]}, {}, "intent.candidates[1]", "models[1]"),
    ({"model": "m", "models": ["a", "b"]}, {}, "intent.candidates[0]", "model"),
    ({"model": "m", "models": ["a", "b"]}, {}, "intent.candidates[2]", "models[1]"),
    ({"model": "m", "models": ["a", "b"]}, {}, "intent.candidates", "models"),
    ({"llm_mesh": {"requirements": ["x"]}}, {}, "intent.requirements", "llm_mesh.requirements"),
    ({"llm_mesh": {"max_cost_usd": 1}}, {}, "intent.max_cost_nanos", "llm_mesh.max_cost_usd"),
    ({}, {"x-llm-mesh-labels": "a=b"}, "intent.labels.a", "x-llm-mesh-labels"),
    ({"max_tokens": 5}, {}, "prompt.sampling.max_output_tokens", "max_tokens"),
    ({"max_completion_tokens": 5}, {}, "prompt.sampling.max_output_tokens", "max_completion_tokens"),
    ({}, {}, "prompt.messages[0].parts[0]", "messages[0].parts[0]"),
    ({"system_message": "s"}, {}, "prompt.messages[0]", "system_message"),
    ({"system_message": "s"}, {}, "prompt.messages[1].parts[0]", "messages[0].parts[0]"),
    ({"tools": []}, {}, "prompt.tools", "tools"),
]


async def told(error: MeshError, body: dict[str, Any], headers: dict[str, str], path: str) -> dict[str, Any]:
    router = FakeRouter(answer=error, steps=[error])
    async with (
        EdgeServer("127.0.0.1:0", router) as edge,
        aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as http,
        http.post(path, data=json.dumps(body), headers=headers) as response,
    ):
        found: dict[str, Any] = (await response.json())["error"]
    return found


@pytest.mark.parametrize(("body", "headers", "field", "param"), NAMES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_error_of_the_router_names_what_the_caller_sent(
    body: dict[str, Any], headers: dict[str, str], field: str, param: str, stream: bool
) -> None:
    asked = {"messages": [HI], **body, "stream": stream}
    error = await told(invalid(field, "must be otherwise"), asked, headers, "/v1/chat/completions")
    assert (error["param"], error["message"]) == (param, f"{param}: must be otherwise")


async def test_an_unknown_use_case_behind_a_models_name_is_the_models_mistake() -> None:
    unknown = MeshError(
        Reason.UNKNOWN_USE_CASE, "unknown use case `x`", fields=[FieldViolation("intent.use_case", "must be one")]
    )
    error = await told(unknown, {"messages": [HI], "model": "use_case:x"}, {}, "/v1/chat/completions")
    assert (error["code"], error["param"]) == ("unknown_use_case", "model")


async def test_texts_are_the_input_of_embeddings() -> None:
    error = await told(invalid("texts[3]", "is too long"), {"input": ["a"]}, {}, "/v1/embeddings")
    assert (error["param"], error["message"]) == ("input[3]", "input[3]: is too long")
