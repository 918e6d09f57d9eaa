"""Conversations of the messages dialect: tools, reasoning that goes back signed, a change of vendor midway."""

from collections.abc import AsyncIterator

import pytest
from fixtures.prompts import call, prompt, user, warned
from llmmesh.chat.v1.chat_pb2 import Delta, FinishReason, Message, Part, ProviderData, Reasoning, Role, ToolResult

from meshkit.secret import Secret
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, HttpReply
from provider_services.simulator.running import running_simulator
from provider_services.upstream import Upstream
from provider_services.watch import Patience
from router_service.edge.assembly import GrowingPart

DIALECT = DIALECTS["anthropic"]
KEY = Secret("sk-ant-test0001")
PATIENCE = Patience(connect=5.0, first=5.0, idle=5.0, total=10.0)
SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}}'
TOOLS = [{"name": name, "parameters_json": SCHEMA} for name in ("weather", "news")]
ASKED = user("call weather and call news")
BY_BUDGET = ("claude-sonnet-4-5", ())
BY_EFFORT = ("claude-opus-5", ("adaptive_thinking", "no_sampling"))
MODELS = pytest.mark.parametrize(("model", "quirks"), [BY_BUDGET, BY_EFFORT])
STREAMED = pytest.mark.parametrize("stream", [True, False])


@pytest.fixture
async def vendor() -> AsyncIterator[Upstream]:
    async with running_simulator() as simulator:
        headers = {"anthropic-version": "2023-06-01"}
        endpoint = f"{simulator.url}/anthropic/v1"
        async with Upstream(endpoint, headers=headers, key_header="x-api-key") as upstream:
            yield upstream


def asking(model: str, quirks: tuple[str, ...], stream: bool, *turns: Message) -> Call:
    asked = prompt(*turns, tools=TOOLS, reasoning_effort="REASONING_EFFORT_LOW")
    return call(asked, vendor="acme", model=model, quirks=quirks, stream=stream)


async def said(vendor: Upstream, asked: Call) -> tuple[list[Part], FinishReason.ValueType]:
    """Ask, and return the answer's parts as a caller keeps them."""
    async with vendor.open(DIALECT.encode(asked), KEY, PATIENCE) as response:
        assert response.status == 200, await response.read()
        if not asked.stream:
            completion = DIALECT.decode(asked, HttpReply(200, response.headers, await response.read()))
            return list(completion.choices[0].parts), completion.choices[0].finish_reason
        decoder = DIALECT.stream(asked)
        deltas = [delta async for chunk in response.chunks() for delta in decoder.feed(chunk)]
        return grown(deltas), decoder.finish().choices[0].reason


def grown(deltas: list[Delta]) -> list[Part]:
    parts: dict[int, GrowingPart] = {}
    for delta in deltas:
        parts.setdefault(delta.part_index, GrowingPart()).add(delta)
    return [part.grown() for part in parts.values()]


def spoken(parts: list[Part]) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def answers(parts: list[Part]) -> Message:
    called = [part.tool_call for part in parts if part.HasField("tool_call")]
    results = [ToolResult(tool_call_id=one.id, name=one.name, text="fine") for one in called]
    return Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=result) for result in results])


@MODELS
@STREAMED
async def test_tools_are_called_together_and_reasoning_goes_back_signed(
    vendor: Upstream, model: str, quirks: tuple[str, ...], stream: bool
) -> None:
    parts, finish = await said(vendor, asking(model, quirks, stream, ASKED))
    assert [part.WhichOneof("kind") for part in parts] == ["reasoning", "tool_call", "tool_call"]
    assert finish == FinishReason.FINISH_REASON_TOOL_CALLS
    assert parts[0].reasoning.text
    turns = [ASKED, spoken(parts), answers(parts)]
    asked = asking(model, quirks, stream, *turns)
    assert warned(DIALECT.encode(asked)) == set()
    more, finish = await said(vendor, asked)
    assert finish == FinishReason.FINISH_REASON_STOP
    assert [part.WhichOneof("kind") for part in more] == ["reasoning", "text"]
    again, _ = await said(vendor, asking(model, quirks, stream, *turns, spoken(more), user("call news")))
    assert [part.WhichOneof("kind") for part in again] == ["reasoning", "tool_call"]


@STREAMED
async def test_a_turn_without_its_thought_is_refused_by_the_vendor_if_it_is_sent_as_if_thinking(
    vendor: Upstream, stream: bool
) -> None:
    parts, _ = await said(vendor, asking(*BY_BUDGET, stream, ASKED))
    request = DIALECT.encode(asking(*BY_BUDGET, stream, ASKED, spoken(parts), answers(parts)))
    for lost in (b'"signature":"EqQB', b'"thinking":"'):
        body = request.body.replace(lost, lost + b"x")
        tampered = type(request)("POST", request.path, body, request.accept)
        async with vendor.open(tampered, KEY, PATIENCE) as response:
            assert response.status == 400
            assert b"signature" in await response.read()


@MODELS
@STREAMED
async def test_a_conversation_moved_here_midway_goes_on_without_the_other_vendors_state(
    vendor: Upstream, model: str, quirks: tuple[str, ...], stream: bool
) -> None:
    parts, _ = await said(vendor, asking(model, quirks, stream, ASKED))
    for number, part in enumerate(parts):
        part.provider_data.CopyFrom(ProviderData(vendor="elsewhere", data=b'{"fields": {"signature": "theirs"}}'))
        if part.HasField("tool_call"):
            part.tool_call.id = f"functions.{part.tool_call.name}:{number}"
    parts.insert(1, Part(reasoning=Reasoning(text="without any state")))
    asked = asking(model, quirks, stream, ASKED, spoken(parts), answers(parts))
    warnings = warned(DIALECT.encode(asked))
    assert ("foreign_state", "messages[1].parts[0].provider_data") in warnings
    assert (("dropped", "reasoning_effort") in warnings) is (model == BY_BUDGET[0])
    more, finish = await said(vendor, asked)
    assert finish == FinishReason.FINISH_REASON_STOP
    assert more[-1].text.text
