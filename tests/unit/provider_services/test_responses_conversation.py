"""The responses dialect against the strict simulator: turns that need their state back, and turns moved elsewhere."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from fixtures.gathered_parts import gathered
from fixtures.prompts import call, prompt, user
from llmmesh.chat.v1.chat_pb2 import Message, Part, Role, ToolResult

from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, EmbedCall, HttpReply, Subject, VendorFault
from provider_services.simulator.rows import VendorRow, load_rows
from provider_services.simulator.running import Simulator, running_simulator, without_latency

DIALECT = DIALECTS["responses"]
SIGNED = {"id": "think-1", "reasoning": True, "signed": True}
AUTH = {"header": "authorization", "scheme": "Bearer"}
REFUSED = ["temperature", "top_p", "top_logprobs"]
HOSTS: dict[str, dict[str, Any]] = {
    "stateful": {"least_output": 16, "refused_on_reasoning": REFUSED, "unknown_fields": ["frequency_penalty"]},
    "changing": {"named_events": False, "done": True, "item_ids_change": True, "always_shows_reasoning": True},
}
QUIRKS: dict[str, set[str]] = {
    "stateful": {"reasoning_models_fix_sampling", "reasoning_summaries", "at_least_16_output_tokens"},
    "changing": set(),
    "perplexity": {"plain_input", "results_named", "vectors_of_bytes"},
}
MODELS = {"stateful": "think-1", "changing": "think-1", "perplexity": "google/gemini-3.5-flash"}
PATHS: dict[str, dict[str, str]] = {
    "perplexity": {"chat": "/v1/agent", "embed": "/v1/embeddings", "models": "/v1/models"}
}
NUMBER = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
TOOLS = [{"name": "add", "parameters_json": NUMBER}, {"name": "weather"}]


def host(name: str, quirks: dict[str, Any]) -> VendorRow:
    row = {"name": name, "dialect": "responses", "prefix": "", "auth": AUTH, "models": [SIGNED], "quirks": quirks}
    return msgspec.convert(row, VendorRow)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    rows = (*(host(name, quirks) for name, quirks in HOSTS.items()), *load_rows())
    async with running_simulator(without_latency(rows)) as running:
        await running.set_limits("perplexity", None)
        yield running


def asking(vendor: str, *turns: Message, stream: bool = False, **fields: Any) -> Call:
    asked = prompt(*turns, **({"tools": TOOLS} | fields))
    named: dict[str, Any] = {
        "vendor": vendor,
        "model": MODELS[vendor],
        "paths": PATHS.get(vendor, {}),
        "quirks": QUIRKS[vendor],
    }
    return call(asked, stream=stream, reasons=True, **named)


async def post(sim: Simulator, vendor: str, path: str, body: bytes) -> HttpReply:
    key = {"authorization": "Bearer pplx-test-0001"}
    async with httpx.AsyncClient(timeout=5) as client:
        response = await client.post(sim.base_url(vendor) + path, content=body, headers=key)
    return HttpReply(response.status_code, dict(response.headers), response.content)


def grown(made: Call, body: bytes) -> list[Part]:
    """Read a stream in small pieces and put its parts together."""
    decoder = DIALECT.stream(made)
    deltas = [delta for at in range(0, len(body), 37) for delta in decoder.feed(body[at : at + 37])]
    decoder.finish()
    return gathered(deltas)


async def answered(sim: Simulator, made: Call) -> list[Part]:
    request = DIALECT.encode(made)
    reply = await post(sim, made.vendor, request.path, request.body)
    if reply.status != 200:
        raise VendorFault(DIALECT.classify(made, reply))
    return grown(made, reply.body) if made.stream else list(DIALECT.decode(made, reply).choices[0].parts)


def results(parts: list[Part]) -> Message:
    called = [part.tool_call for part in parts if part.HasField("tool_call")]
    told = [Part(tool_result=ToolResult(tool_call_id=one.id, name=one.name, text="7")) for one in called]
    return Message(role=Role.ROLE_TOOL, parts=told)


def spoken(parts: list[Part]) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", QUIRKS)
async def test_turns_with_reasoning_and_parallel_calls_go_on_with_their_state(
    sim: Simulator, vendor: str, stream: bool
) -> None:
    turns = [user("call add and call weather")]
    first = await answered(sim, asking(vendor, *turns, stream=stream))
    assert [part.tool_call.name for part in first if part.HasField("tool_call")] == ["add", "weather"]
    assert next(part.tool_call.arguments_json for part in first if part.HasField("tool_call")) == '{"a":3}'
    assert any(part.provider_data.vendor == vendor for part in first)
    turns += [spoken(first), results(first)]
    second = await answered(sim, asking(vendor, *turns, stream=stream))
    assert "".join(part.text.text for part in second)
    turns += [spoken(second), user("call add")]
    third = await answered(sim, asking(vendor, *turns, stream=stream))
    turns += [spoken(third), results(third)]
    assert "".join(part.text.text for part in await answered(sim, asking(vendor, *turns, stream=stream)))


@pytest.mark.parametrize("vendor", ["stateful", "perplexity"])
async def test_a_turn_of_the_vendors_own_without_its_state_is_refused(sim: Simulator, vendor: str) -> None:
    first = await answered(sim, asking(vendor, user("call add")))
    for part in first:
        part.ClearField("provider_data")
    with pytest.raises(VendorFault) as refused:
        await answered(sim, asking(vendor, user("call add"), spoken(first), results(first)))
    assert refused.value.fault.reason == "VENDOR_BAD_REQUEST"


@pytest.mark.parametrize(("began", "goes_on"), [("stateful", "perplexity"), ("perplexity", "stateful")])
async def test_a_conversation_goes_on_at_another_vendor_without_the_foreign_state(
    sim: Simulator, began: str, goes_on: str
) -> None:
    first = await answered(sim, asking(began, user("call add")))
    made = asking(goes_on, user("call add"), spoken(first), results(first))
    assert {warning.code for warning in DIALECT.encode(made).warnings} == {"foreign_state"}
    assert "".join(part.text.text for part in await answered(sim, made))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_a_search_found_is_cited(sim: Simulator, stream: bool) -> None:
    made = asking("perplexity", user("say: a river"), web_search=True, stream=stream)
    request = DIALECT.encode(made)
    reply = await post(sim, "perplexity", request.path, request.body)
    if stream:
        cited = [delta.citation.uri for delta in DIALECT.stream(made).feed(reply.body) if delta.HasField("citation")]
    else:
        parts = DIALECT.decode(made, reply).choices[0].parts
        cited = [source.uri for part in parts for source in part.text.citations]
    assert cited == ["https://example.com/river"]


async def test_the_end_of_the_tokens_ends_the_answer_with_length(sim: Simulator) -> None:
    made = asking("stateful", user("tokens: 90"), sampling={"max_output_tokens": 5, "temperature": 0.5})
    request = DIALECT.encode(made)
    completion = DIALECT.decode(made, await post(sim, "stateful", request.path, request.body))
    assert completion.choices[0].finish_reason == 2
    assert completion.usage.output_tokens == 16
    assert {(warning.code, warning.field) for warning in request.warnings} == {
        ("clamped", "sampling.max_output_tokens"),
        ("dropped", "sampling.temperature"),
    }


async def test_a_path_that_ended_is_retired_and_a_wrong_key_is_told(sim: Simulator) -> None:
    subject = Subject("perplexity")
    reply = await post(sim, "perplexity", "/chat/completions", b"{}")
    assert DIALECT.classify(subject, reply).reason == "VENDOR_RETIRED"
    async with httpx.AsyncClient(timeout=5) as client:
        wrong = await client.post(sim.base_url("perplexity") + "/v1/agent", json={}, headers={"authorization": "x"})
    assert DIALECT.classify(subject, HttpReply(wrong.status_code, {}, wrong.content)).reason == "VENDOR_AUTH"


@pytest.mark.parametrize("vendor", QUIRKS)
async def test_an_error_inside_a_stream_ends_it_as_what_it_is(sim: Simulator, vendor: str) -> None:
    told = {"error": {"code": "rate_limit_exceeded", "message": "Slow down, please try again in 2s."}}
    await sim.set_faults(vendor, [{"kind": "error_in_stream", "status": 429, "body": told, "after_tokens": 30}])
    made = asking(vendor, user("tokens: 80"), stream=True)
    request = DIALECT.encode(made)
    reply = await post(sim, vendor, request.path, request.body)
    decoder = DIALECT.stream(made)
    assert decoder.feed(reply.body)
    with pytest.raises(VendorFault) as broken:
        decoder.finish()
    assert broken.value.fault.reason == "VENDOR_THROTTLED"
    assert broken.value.fault.retry_after == 2
    assert decoder.partial_usage().estimated


async def test_vectors_of_bytes_are_numbers(sim: Simulator) -> None:
    made = EmbedCall(
        "perplexity", "pplx-embed-v1-0.6b", frozenset({"vectors_of_bytes"}), PATHS["perplexity"], texts=["a", "b"]
    )
    request = DIALECT.encode_embed(made)
    read = DIALECT.decode_embed(made, await post(sim, "perplexity", request.path, request.body))
    assert [len(vector.values) for vector in read.embeddings] == [1024, 1024]
    assert max(abs(number) for number in read.embeddings[0].values) == 127
    assert read.usage.input_tokens > 0
