"""What every dialect encodes is what the vendors' own clients would send, by the types of their requests."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures import prompts
from llmmesh.chat.v1.chat_pb2 import Message, Part, Prompt, Role, Text, ToolCall, ToolResult
from llmmesh.provider.v1.provider_pb2 import Target

from llm_mesh.conformance import rows
from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.subjects import Subjects
from tools.real_programs import find

PYTHON = find("sdk-python")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON, reason="the vendors' clients are not installed: make test-real"),
]
CHECKER = Path(__file__).parents[1] / "fixtures" / "sdk_types.py"
# (vendor in the recordings, wire, model, the client whose types count)
VENDORS = (
    ("openai", "openai_chat", "gpt-4o-mini", "openai"),
    ("openai", "openai_chat", "gpt-5.6-sol", "openai"),
    ("azure_openai", "openai_chat", "gpt-4o", "openai"),
    ("xai", "openai_chat", "grok-4.3", "openai"),
    ("deepseek", "openai_chat", "deepseek-v4-pro", "openai"),
    ("openrouter", "openai_chat", "openai/gpt-5.4", "openai"),
    ("zhipu", "openai_chat", "glm-5.3", "openai"),
    ("moonshot", "openai_chat", "kimi-k3", "openai"),
    ("qwen_dashscope", "openai_chat", "qwen3.8-max", "openai"),
    ("huggingface", "openai_chat", "meta-llama/x", "openai"),
    ("deepinfra", "openai_chat", "meta-llama/x", "openai"),
    ("ai21", "openai_chat", "jamba-large-1.7", "openai"),
    ("github_models", "openai_chat", "openai/gpt-4.1", "openai"),
    ("groq", "openai_chat", "openai/gpt-oss-120b", "groq"),
    ("groq", "openai_chat", "qwen/qwen3.8-27b", "groq"),
    ("mistral", "openai_chat", "mistral-small-latest", "mistralai"),
    ("openai", "openai_responses", "gpt-5.6-sol", "responses"),
    ("perplexity", "openai_responses", "perplexity/sonar", "responses"),
    ("anthropic", "anthropic_messages", "claude-sonnet-4-5", "anthropic"),
    ("gemini", "gemini_generate_content", "gemini-2.5-flash", "gemini"),
    ("gemini", "gemini_generate_content", "gemini-3.1-pro-preview", "gemini"),
    ("cohere", "cohere_chat_v2", "command-a-03-2025", "cohere"),
    ("ollama", "ollama_chat", "llama3.1:8b", "ollama"),
)
STREAM_TYPES = {"openai", "responses", "anthropic"}
# Fields a vendor documents that the types do not know: those of a neighbour's client, used for want of an own one; the
# question for usage in a stream, which is recorded; and what only older models than the client's still take.
OWN_FIELDS: dict[str, set[str]] = {
    "openrouter": {"top_k", "reasoning"},
    "deepseek": {"thinking"},
    "zhipu": {"thinking"},
    "qwen_dashscope": {"top_k", "enable_thinking", "thinking_budget"},
    "groq": {"stream_options"},
    "anthropic": {"temperature", "top_p", "top_k"},
}
# The same, of a turn: where reasoning goes back, and a result that carries its tool's name.
OWN_TURN_FIELDS = {
    ("deepseek", "assistant"): {"reasoning_content"},
    ("moonshot", "assistant"): {"reasoning_content"},
    ("perplexity", "function_call_output"): {"name"},
}
# An image without its detail, which a neighbour's client wants and this vendor does not take.
UNLIKE = {("perplexity", "image")}
TOOL = {"name": "look", "description": "looks", "parameters_json": prompts.SCHEMA_JSON}
CALL = Part(tool_call=ToolCall(id="call_12345", name="look", arguments_json='{"city": "Oslo"}'))
RESULT = Part(tool_result=ToolResult(tool_call_id="call_12345", name="look", text="rain"))
PNG = "iVBORw0KGgo="


def asked() -> dict[str, Prompt]:
    """Return prompts that between them use everything a prompt has."""
    system = Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="be brief"))])
    turn = Message(role=Role.ROLE_ASSISTANT, parts=[Part(text=Text(text="I look.")), CALL])
    answered = Message(role=Role.ROLE_TOOL, parts=[RESULT])
    image = {"messages": [{"role": "ROLE_USER", "parts": [{"image": {"data": PNG, "mime_type": "image/png"}}]}]}
    schema = {"json_schema": {"name": "answer", "schema_json": prompts.SCHEMA_JSON, "strict": True}}
    sampling = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 100, "seed": "7", "stop": ["END"]}
    return {
        "plain": prompts.prompt(),
        "system": prompts.prompt(system, prompts.user("a", "b")),
        "sampling": prompts.prompt(sampling=sampling),
        "penalties": prompts.prompt(sampling={"frequency_penalty": 0.5, "presence_penalty": 0.5, "top_k": 5}),
        "logprobs": prompts.prompt(sampling={"top_logprobs": 2}),
        "tools": prompts.prompt(tools=[TOOL], tool_choice={"mode": "MODE_AUTO"}, parallel_tool_calls=False),
        "forced": prompts.prompt(tools=[TOOL], tool_choice={"mode": "MODE_REQUIRED"}),
        "named": prompts.prompt(tools=[TOOL], tool_choice={"mode": "MODE_NAMED", "name": "look"}),
        "conversation": prompts.prompt(prompts.user("weather?"), turn, answered, tools=[TOOL]),
        "object": prompts.prompt(prompts.user("JSON please"), response_format={"json_object": {}}),
        "schema": prompts.prompt(response_format=schema),
        "image": prompts.prompt(prompts.user("what is it?"), **image),
        "effort": prompts.prompt(reasoning_effort="REASONING_EFFORT_HIGH"),
        "no effort": prompts.prompt(reasoning_effort="REASONING_EFFORT_NONE"),
        "search": prompts.prompt(web_search=True),
    }


def requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every request: what it is, the type to check, the body; what a dialect refuses is no request."""
    for vendor, wire, model, sdk in VENDORS:
        dialect = rows.dialect_of(vendor, wire)
        subjects = Subjects(rows.vendor_of(vendor, wire, dialect))
        for name, prompt in asked().items():
            for stream in (False, True) if (vendor, name) not in UNLIKE else ():
                try:
                    call = subjects.call(Target(model=model), prompt, stream=stream)
                    body = json.loads(DIALECTS[dialect].encode(call).body)
                except MeshError as refused:
                    if refused.reason is Reason.VENDOR_UNSUPPORTED:
                        continue
                    raise
                kept = {key: value for key, value in body.items() if key not in OWN_FIELDS.get(vendor, ())}
                for turn in (*kept.get("messages", ()), *kept.get("input", ())):
                    for own in OWN_TURN_FIELDS.get((vendor, turn.get("role") or turn.get("type", "")), ()):
                        turn.pop(own, None)
                kind = f"{sdk}-stream" if stream and sdk in STREAM_TYPES else sdk
                yield f"{vendor} {model} {name}{' stream' if stream else ''}", kind, kept


def test_every_request_validates_against_the_official_clients_types() -> None:
    listed = list(requests())
    lines = "".join(json.dumps({"sdk": sdk, "body": body}) + "\n" for _, sdk, body in listed)
    done = subprocess.run(
        [str(PYTHON), str(CHECKER)], input=lines, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = {name: verdict for (name, _, _), verdict in zip(listed, verdicts, strict=True) if verdict}
    assert wrong == {}
    assert len(listed) > 300
