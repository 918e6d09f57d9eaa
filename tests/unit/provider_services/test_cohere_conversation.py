"""The v2 chat dialect against the strict simulator: calls that need their plan or thoughts back, and turns moved."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fixtures.gathered_parts import gathered
from fixtures.prompts import SCHEMA_JSON, call, prompt, user, warned
from llmmesh.chat.v1.chat_pb2 import Completion, Message, Part, ProviderData, Role, Text, ToolCall, ToolResult

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, EmbedCall, HttpReply, HttpRequest, Subject, VendorFault
from provider_services.simulator.running import Simulator, running_simulator

DIALECT = DIALECTS["cohere"]
KEY = {"authorization": "Bearer trialkey0000000000000000000000000000acctone"}
PLANS, THINKS = "command-a-03-2025", "command-a-plus-05-2026"
NUMBER = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
TOOLS = [{"name": "add-up", "parameters_json": NUMBER}, {"name": "now"}]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        await running.set_limits("cohere", None)
        yield running


def asking(model: str, *turns: Message, stream: bool = False, **fields: Any) -> Call:
    asked = prompt(*turns, **({"tools": TOOLS} | fields))
    return call(asked, vendor="cohere", model=model, stream=stream, reasons=model == THINKS)


async def sent(sim: Simulator, request: HttpRequest) -> HttpReply:
    async with httpx.AsyncClient(timeout=5) as client:
        url = sim.base_url("cohere") + request.path
        response = await client.request(request.method, url, content=request.body, headers=KEY)
    return HttpReply(response.status_code, dict(response.headers), response.content)


async def answered(sim: Simulator, made: Call) -> list[Part]:
    reply = await sent(sim, DIALECT.encode(made))
    if reply.status != 200:
        raise VendorFault(DIALECT.classify(made, reply))
    if not made.stream:
        return list(DIALECT.decode(made, reply).choices[0].parts)
    decoder = DIALECT.stream(made)
    deltas = [delta for at in range(0, len(reply.body), 37) for delta in decoder.feed(reply.body[at : at + 37])]
    return gathered([*deltas, *decoder.finish().deltas])


def spoken(parts: list[Part]) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def results(parts: list[Part]) -> Message:
    called = [part.tool_call for part in parts if part.HasField("tool_call")]
    told = [Part(tool_result=ToolResult(tool_call_id=one.id, name=one.name, text="7")) for one in called]
    return Message(role=Role.ROLE_TOOL, parts=told)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", [PLANS, THINKS])
async def test_turns_with_reasoning_and_parallel_calls_go_on_with_their_state(
    sim: Simulator, model: str, stream: bool
) -> None:
    turns = [user("call add_up and call now")]
    first = await answered(sim, asking(model, *turns, stream=stream))
    assert first[0].reasoning.text
    called = [part.tool_call for part in first if part.HasField("tool_call")]
    assert [(one.name, one.arguments_json) for one in called] == [("add-up", '{"a":3}'), ("now", "{}")]
    turns += [spoken(first), results(first)]
    second = await answered(sim, asking(model, *turns, stream=stream))
    assert "".join(part.text.text for part in second)
    turns += [spoken(second), user("call add_up again")]
    third = await answered(sim, asking(model, *turns, stream=stream))
    turns += [spoken(third), results(third)]
    assert "".join(part.text.text for part in await answered(sim, asking(model, *turns, stream=stream)))


@pytest.mark.parametrize("model", [PLANS, THINKS])
async def test_calls_without_what_they_were_made_with_are_refused(sim: Simulator, model: str) -> None:
    first = await answered(sim, asking(model, user("call now")))
    forgotten = [part for part in first if not part.HasField("reasoning")]
    with pytest.raises(VendorFault) as refused:
        await answered(sim, asking(model, user("call now"), spoken(forgotten), results(first)))
    assert refused.value.fault.reason is Reason.VENDOR_BAD_REQUEST


@pytest.mark.parametrize("model", [PLANS, THINKS])
async def test_a_conversation_begun_elsewhere_goes_on_without_the_others_state(sim: Simulator, model: str) -> None:
    begun = [
        Part(provider_data=ProviderData(vendor="other", data=b"sealed"), text=Text(text="Let me see.")),
        Part(tool_call=ToolCall(id="call_1", name="now", arguments_json="{}")),
    ]
    made = asking(model, user("what time is it?"), spoken(begun), results(begun))
    assert warned(DIALECT.encode(made)) == {("foreign_state", "messages[1].parts[0].provider_data")}
    assert "".join(part.text.text for part in await answered(sim, made))


async def test_a_plan_moves_to_another_dialect_as_nothing_but_a_warning(sim: Simulator) -> None:
    first = await answered(sim, asking(PLANS, user("call now")))
    moved = prompt(user("call now"), spoken(first), results(first), tools=TOOLS)
    for name in ("openai", "anthropic", "gemini", "ollama"):
        request = DIALECTS[name].encode(call(moved, vendor="other", model="m"))
        assert ("foreign_state", "messages[1].parts[0].provider_data") in warned(request), name


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": {"mode": "MODE_REQUIRED"}},
        {"tool_choice": {"mode": "MODE_NONE"}},
        {"tool_choice": {"mode": "MODE_NAMED", "name": "now"}},
        {"tools": [], "response_format": {"json_object": {}}},
        {"tools": [], "response_format": {"json_schema": {"schema_json": SCHEMA_JSON}}},
        {"sampling": {"temperature": 2, "top_p": 1, "top_k": 1000, "frequency_penalty": 2, "presence_penalty": -2}},
        {"sampling": {"max_output_tokens": 5, "stop": ["a", "b"], "seed": 4, "top_logprobs": 3}},
        {"reasoning_effort": "REASONING_EFFORT_LOW"},
        {"reasoning_effort": "REASONING_EFFORT_NONE"},
        {"tools": [{"name": "9-lives", "strict": True}], "parallel_tool_calls": True, "web_search": True},
    ],
)
@pytest.mark.parametrize("model", [PLANS, THINKS])
async def test_whatever_is_asked_for_the_vendor_takes(sim: Simulator, model: str, fields: dict[str, Any]) -> None:
    reply = await sent(sim, DIALECT.encode(asking(model, user("hello"), **fields)))
    assert reply.status == 200, reply.body
    assert isinstance(DIALECT.decode(asking(model), reply), Completion)


async def test_a_stream_that_breaks_tells_what_came_and_why(sim: Simulator) -> None:
    await sim.set_faults("cohere", [{"kind": "error_in_stream", "after_tokens": 2}])
    made = asking(PLANS, user("tokens: 6"), stream=True)
    decoder = DIALECT.stream(made)
    reply = await sent(sim, DIALECT.encode(made))
    assert len(decoder.feed(reply.body)) == 2
    with pytest.raises(VendorFault) as broken:
        decoder.finish()
    assert broken.value.fault.reason is Reason.VENDOR_SERVER
    assert decoder.partial_usage().estimated


async def test_limits_are_seen_in_headers_and_in_denials(sim: Simulator) -> None:
    made = asking(PLANS, user("hello"))
    await sim.set_limits("cohere", [{"unit": "requests", "per": "minute", "amount": 5, "scope": "model"}])
    (seen,) = DIALECT.observe(made, (await sent(sim, DIALECT.encode(made))).headers)
    assert (seen.window, seen.limit, seen.remaining) == ("minute", 5, 4)
    await sim.set_limits("cohere", [{"unit": "requests", "per": "month", "amount": 1}])
    fault = DIALECT.classify(made, await sent(sim, DIALECT.encode(made)))
    assert fault.reason is Reason.VENDOR_QUOTA
    assert fault.retry_after


async def test_vectors_and_models_are_read(sim: Simulator) -> None:
    asked = EmbedCall("cohere", "embed-v4.0", texts=["a", "b"], dimensions=256)
    read = DIALECT.decode_embed(asked, await sent(sim, DIALECT.encode_embed(asked)))
    assert [len(one.values) for one in read.embeddings] == [256, 256]
    assert not read.usage.estimated
    listed = DIALECT.decode_models(await sent(sim, DIALECT.encode_models(Subject("cohere"))))
    assert {PLANS, THINKS, "embed-v4.0"} <= {model.id for model in listed}
