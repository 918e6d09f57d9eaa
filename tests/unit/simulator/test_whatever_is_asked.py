"""Whatever a prompt asks for, a shipped row makes of it what its vendor takes, or refuses it before it is sent."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fixtures.prompts import SCHEMA_JSON, prompt, user
from fixtures.simulated_vendors import ROWS, Guest, admitted

from meshkit.errors import MeshError, Reason
from provider_services.dialects.interface import Call
from provider_services.gathering import STREAMS
from provider_services.simulator.running import Simulator

REFUSALS = {Reason.VENDOR_UNSUPPORTED, Reason.VENDOR_BAD_REQUEST}
TOOL, NEWS = {"name": "weather", "parameters_json": SCHEMA_JSON}, {"name": "news"}
NAMED = {"mode": "MODE_NAMED", "name": "weather"}
EFFORTS = ("none", "minimal", "low", "medium", "high", "extra_high")
ASKED: dict[str, dict[str, Any]] = {
    "nothing more": {},
    "hot": {"sampling": {"temperature": 2, "top_p": 1, "top_k": 50}},
    "cold": {"sampling": {"temperature": 0, "top_p": 0.5, "seed": 7}},
    "penalties": {"sampling": {"frequency_penalty": 1.5, "presence_penalty": -1.5}},
    "probabilities": {"sampling": {"top_logprobs": 20}},
    "two answers": {"sampling": {"n": 2}},
    "two answers, tools": {"sampling": {"n": 2}, "tools": [TOOL]},
    "one stop": {"sampling": {"stop": ["END"]}},
    "five stops": {"sampling": {"stop": list("abcde")}},
    "short": {"sampling": {"max_output_tokens": 100}},
    "tools": {"tools": [TOOL, NEWS], "parallel_tool_calls": False},
    "no tool": {"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}},
    "a tool": {"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}},
    "any tool": {"tools": [TOOL, NEWS], "tool_choice": {"mode": "MODE_REQUIRED"}},
    "this tool": {"tools": [TOOL, NEWS], "tool_choice": NAMED},
    "json": {"response_format": {"json_object": {}}},
    "a schema": {"response_format": {"json_schema": {"name": "a", "schema_json": SCHEMA_JSON, "strict": True}}},
    "json, tools": {"tools": [TOOL], "response_format": {"json_object": {}}},
    "search": {"web_search": True},
    **{f"effort {word}": {"reasoning_effort": f"REASONING_EFFORT_{word.upper()}"} for word in EFFORTS},
}


def models(each: Guest) -> list[str]:
    known = each.vendor.models
    return [model.id for model in each.row.models if model.kind == "chat" and model.id in known]


async def refused(each: Guest, made: Call) -> str:
    """Return how the vendor refuses a request that the dialect lets through."""
    try:
        request = each.dialect.encode(made)
    except MeshError as error:
        return "" if error.reason in REFUSALS else str(error)
    reply = await each.send(request)
    return "" if reply.status == 200 else reply.body.decode()[:200]


@pytest.mark.parametrize("name", sorted(ROWS))
async def test_whatever_is_asked_the_vendor_takes(sim: Simulator, http: httpx.AsyncClient, name: str) -> None:
    each = await admitted(name, sim, http)
    wrong: dict[str, str] = {}
    for model in models(each):
        for about, fields in ASKED.items():
            asked = prompt(user("say: {} as JSON"), **fields)
            for stream in (False, True):
                made = each.call(model, asked, stream=stream)
                made = replace(made, stream=stream or (STREAMS in made.quirks and made.reasons is not False))
                if error := await refused(each, made):
                    wrong[f"{model}, {about}{', streamed' * stream}"] = error
    assert wrong == {}
