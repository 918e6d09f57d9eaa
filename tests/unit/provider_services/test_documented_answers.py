"""Answers in the shapes their vendors document, for vendors of whom fewer than ten exchanges are recorded."""

import json
from typing import Any

import pytest
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1.provider_pb2 import Target

from llm_mesh.conformance import rows
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import HttpReply
from provider_services.subjects import Subjects

PROMPT = chat_pb2.Prompt(
    messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=chat_pb2.Text(text="Hello"))])]
)
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"usage": counts | more}


# Name in the recordings, message, finish reason, the rest of the body; then text, reasoning, calls, finish and
# tokens (input, output, cached, reasoning). Field names are those of the vendors' public API references.
DOCUMENTED: tuple[tuple[str, dict[str, Any], str, dict[str, Any], tuple[Any, ...]], ...] = (
    ("ai21", {"content": "Hi."}, "stop", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
    (
        "ai21",
        {"content": "", "tool_calls": [CALL]},
        "tool_calls",
        usage(9, 8),
        ("", "", ["weather"], "TOOL_CALLS", (9, 8, 0, 0)),
    ),
    (
        "deepinfra",
        {"content": "Hi."},
        "stop",
        usage(9, 2, estimated_cost=1.5e-06),
        ("Hi.", "", [], "STOP", (9, 2, 0, 0)),
    ),
    (
        "deepinfra",
        {"content": "<think>Greet.</think>Hi."},
        "stop",
        usage(9, 7),
        ("Hi.", "Greet.", [], "STOP", (9, 7, 0, 0)),
    ),
    (
        "moonshot",
        {"content": "Hi.", "reasoning_content": "Greet."},
        "stop",
        usage(9, 7, cached_tokens=4),
        ("Hi.", "Greet.", [], "STOP", (9, 7, 4, 0)),
    ),
    (
        "moonshot",
        {"content": "", "tool_calls": [CALL]},
        "tool_calls",
        usage(9, 8),
        ("", "", ["weather"], "TOOL_CALLS", (9, 8, 0, 0)),
    ),
    ("github_models", {"content": "Hi."}, "length", usage(9, 2), ("Hi.", "", [], "LENGTH", (9, 2, 0, 0))),
    ("other_avian", {"content": "Hi."}, "stop", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
    ("other_cloudflare", {"content": "Hi."}, "stop", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
    ("other_crusoe", {"content": "Hi."}, "stop", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
    ("other_databricks", {"content": "Hi."}, "stop", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
    ("other_snowflake", {"content": "Hi."}, "stop", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
    ("other_together", {"content": "Hi.", "tool_calls": []}, "eos", usage(9, 2), ("Hi.", "", [], "STOP", (9, 2, 0, 0))),
)


@pytest.mark.parametrize(("name", "message", "finish", "rest", "meaning"), DOCUMENTED)
def test_an_answer_means_what_its_vendor_documents(
    name: str, message: dict[str, Any], finish: str, rest: dict[str, Any], meaning: tuple[Any, ...]
) -> None:
    call = Subjects(rows.vendor_of(name, "openai_chat", "openai")).call(Target(model="m"), PROMPT, stream=False)
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | rest
    completion = DIALECTS["openai"].decode(call, HttpReply(200, {}, json.dumps(body).encode()))
    (decoded,) = completion.choices
    assert (
        "".join(part.text.text for part in decoded.parts),
        "".join(part.reasoning.text for part in decoded.parts),
        [part.tool_call.name for part in decoded.parts if part.HasField("tool_call")],
        chat_pb2.FinishReason.Name(decoded.finish_reason).removeprefix("FINISH_REASON_"),
        (
            completion.usage.input_tokens,
            completion.usage.output_tokens,
            completion.usage.cached_input_tokens,
            completion.usage.reasoning_tokens,
        ),
    ) == meaning
