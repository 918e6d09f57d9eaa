"""A recorded chat-completions request, read by the edge and written again for the same vendor, means the same.

The recordings are no part of the project: $LLM_MESH_RECORDINGS names their directory.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fixtures import naive
from llmmesh.provider.v1.provider_pb2 import Target

from llm_mesh.conformance import rows
from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.subjects import Subjects
from router_service.edge.openai_request import read_chat

DIRECTORY = os.environ.get("LLM_MESH_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not DIRECTORY, reason="LLM_MESH_RECORDINGS names no directory of recordings")
Json = dict[str, Any]
ROLES = {"developer": "system", "function": "tool"}
# What each field is called where the prompt's fields are named, for the warning that it was changed.
OURS = {
    **{name: f"sampling.{name}" for name in ("temperature", "top_p", "top_k", "seed", "n", "stop")},
    **{name: f"sampling.{name}" for name in ("frequency_penalty", "presence_penalty", "top_logprobs")},
    "logprobs": "sampling.top_logprobs",
    "limit": "sampling.max_output_tokens",
}
REFUSALS = {Reason.INVALID_REQUEST, Reason.VENDOR_UNSUPPORTED, Reason.VENDOR_BAD_REQUEST}
SMALLEST = 1e-6  # a temperature below it is zero, which some vendors do not take as such
SAME = (*OURS, "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort")


def listed() -> list[Json]:
    records = naive.records(Path(DIRECTORY)) if DIRECTORY else ()
    chats = [record for record in records if record["dialect"] == "openai_chat"]
    return [record for record in chats if isinstance(record["request"].get("json"), dict)]


RECORDS = listed()


def meaning(body: Json) -> Json:
    """Return what a request asks for, however it is spelled."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    stop = body.get("stop")
    wanted = {
        **body,
        "limit": limit,
        "seed": body.get("seed", body.get("random_seed")),
        "stop": [stop] if isinstance(stop, str) else stop,
        "tools": [tool(one) for one in body.get("tools") or ()],
        "tool_choice": {"any": "required", "auto": None}.get(str(body.get("tool_choice")), body.get("tool_choice")),
        "response_format": format_of(body.get("response_format")),
        "n": None if body.get("n") == 1 else body.get("n"),
        "logprobs": body.get("logprobs") or None,
        "top_logprobs": body.get("top_logprobs") or None,
        "temperature": None if (body.get("temperature") or 0) < SMALLEST else body["temperature"],
        "parallel_tool_calls": body.get("parallel_tool_calls") if body.get("tools") else None,
    }
    return {name: value for name in SAME if (value := wanted.get(name)) not in (None, [], {})}


def effort(body: Json) -> Any:
    """Return how long the model shall think, in whichever of the vendors' spellings we write it."""
    if body.get("enable_thinking") is False or body.get("thinking") == {"type": "disabled"}:
        return "none"
    return body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")


def tool(row: Json) -> Json:
    function = row.get("function") or {}
    return {name: function.get(name) or None for name in ("name", "description", "parameters")}


def format_of(wanted: Json | None) -> Json | None:
    if not wanted or wanted["type"] == "text":
        return None
    schema = wanted.get("json_schema") or {}
    return {"type": wanted["type"], "schema": schema.get("schema")}


def turns(body: Json) -> list[Any]:
    """Return the conversation: who says what, which calls it makes and which it answers; ids by their order."""
    ids: dict[str, int] = {}
    found: list[Any] = []
    for message in body["messages"]:
        role = ROLES.get(message["role"], message["role"])
        calls = [
            (ids.setdefault(call["id"], len(ids)), call["function"]["name"], arguments(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        answered = ids.get(message.get("tool_call_id") or "", message.get("tool_call_id"))
        found.append((role, said(message.get("content")), calls, answered))
    return found


def arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def said(content: Any) -> list[Any]:
    if isinstance(content, str) or content is None:
        return [content] if content else []
    texts = [part.get("text") for part in content if part["type"] == "text" and part.get("text")]
    images = [part["image_url"] for part in content if part["type"] == "image_url"]
    urls = [image if isinstance(image, str) else image["url"] for image in images]
    return [*(["".join(texts)] if texts else ()), *urls]


def again(record: Json) -> tuple[Json, set[str]] | None:
    """Return the request the provider service would send, and the fields it warns of; None when it is refused."""
    body = {"model": "m", **record["request"]["json"]}
    if "random_seed" in body:  # one vendor's words, which no client of the edge would use
        body["seed"] = body.pop("random_seed")
    if body.get("tool_choice") == "any":
        body["tool_choice"] = "required"
    subjects = Subjects(rows.vendor_of(record["vendor"], "openai_chat", "openai"))
    try:
        asked = read_chat(json.dumps(body).encode(), {}, "r1")
        call = subjects.call(Target(model=body["model"]), asked.prompt, stream=asked.stream)
        request = DIALECTS["openai"].encode(call)
    except MeshError as refused:
        if refused.reason in REFUSALS and refused.fields:
            return None
        raise
    return json.loads(request.body), {warning.field for warning in (*asked.warnings, *request.warnings)}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record['vendor']}-{record['id']}")
def test_a_recorded_request_means_the_same_when_it_is_sent_again(record: Json) -> None:
    written = again(record)
    if written is None:
        return
    mine, warned = written
    before, after = meaning(record["request"]["json"]), meaning({**mine, "reasoning_effort": effort(mine)})
    for name in SAME:
        if before.get(name) != after.get(name):
            assert {name, OURS.get(name, name)} & warned, (name, before.get(name), after.get(name), warned)
    assert [turn[0] for turn in turns(mine)] == [turn[0] for turn in turns(record["request"]["json"])]
    if not any(field.startswith("messages[") and "name" not in field for field in warned):
        assert turns(mine) == turns(record["request"]["json"])


def test_most_recorded_requests_are_taken() -> None:
    refused = [record["id"] for record in RECORDS if again(record) is None]
    assert len(refused) < len(RECORDS) / 10, len(refused)
