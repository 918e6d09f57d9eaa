"""`functions` and `function_call`: what tools were called before; asked so, answered so, whole and streamed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from fixtures.fake_router import FakeRouter, answer, deltas, finish, start
from llmmesh.chat.v1 import chat_pb2

from router_service.edge import state
from router_service.edge.openai_request import ChatRequest, read_chat
from router_service.edge.server import EdgeServer

HELLO: list[Any] = [{"role": "user", "content": "hi"}]
FUNCTIONS: list[Any] = [
    {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}},
    {"name": "sub"},
]


def read(**fields: Any) -> ChatRequest:
    return read_chat(json.dumps({"messages": HELLO, "functions": FUNCTIONS} | fields).encode(), {}, "r1")


def called(name: str, arguments: str, call_id: str = "toolu_1") -> chat_pb2.Part:
    return chat_pb2.Part(tool_call=chat_pb2.ToolCall(id=call_id, name=name, arguments_json=arguments))


def test_functions_are_tools_of_which_one_is_called_at_a_time() -> None:
    request = read()
    assert [(tool.name, tool.description) for tool in request.prompt.tools] == [("add", "adds"), ("sub", "")]
    assert json.loads(request.prompt.tools[0].parameters_json) == FUNCTIONS[0]["parameters"]
    assert request.prompt.parallel_tool_calls is False
    assert not request.prompt.HasField("tool_choice")
    assert (request.functions, request.warnings) == (True, ())


@pytest.mark.parametrize(
    ("said", "mode", "name"),
    [
        ("auto", chat_pb2.ToolChoice.MODE_AUTO, ""),
        ("none", chat_pb2.ToolChoice.MODE_NONE, ""),
        ({"name": "sub"}, chat_pb2.ToolChoice.MODE_NAMED, "sub"),
    ],
)
def test_a_function_call_is_a_tool_choice(said: Any, mode: Any, name: str) -> None:
    choice = read(function_call=said).prompt.tool_choice
    assert (choice.mode, choice.name) == (mode, name)


def test_nulls_say_nothing_and_a_request_with_tools_is_answered_as_ever() -> None:
    assert read(functions=None, function_call=None).functions is False


def test_a_wish_for_several_calls_at_once_is_told_to_be_left_out() -> None:
    assert [warning.field for warning in read(parallel_tool_calls=True).warnings] == ["parallel_tool_calls"]


def test_a_past_call_and_its_result_belong_together_by_the_name_of_the_last_call() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a":1}'}}
    result = {"role": "function", "name": "add", "content": "3"}
    _, one, two, three, four = read(messages=[*HELLO, call, result, call, result]).prompt.messages
    assert [one.parts[0].tool_call.id, three.parts[0].tool_call.id] == ["call_0", "call_1"]
    assert two.parts[0].tool_result == chat_pb2.ToolResult(tool_call_id="call_0", name="add", text="3")
    assert four.parts[0].tool_result.tool_call_id == "call_1"


def test_what_a_vendor_needs_back_survives_a_call_without_an_id() -> None:
    thought = chat_pb2.Part(
        reasoning=chat_pb2.Reasoning(text="hm"), provider_data=chat_pb2.ProviderData(vendor="acme", data=b"signed")
    )
    original = [thought, called("add", "{}")]
    turn = {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "add", "arguments": "{}"},
        "llm_mesh_state": state.pack(original),
    }
    request = read(messages=[*HELLO, turn, {"role": "function", "name": "add", "content": "3"}])
    assert list(request.prompt.messages[1].parts) == original
    assert request.prompt.messages[2].parts[0].tool_result.tool_call_id == "toolu_1"
    assert request.warnings == ()


@pytest.fixture
async def there() -> AsyncIterator[tuple[openai.AsyncOpenAI, FakeRouter]]:
    router = FakeRouter()
    async with (
        EdgeServer("127.0.0.1:0", router) as edge,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{edge.port}/v1", api_key="k", max_retries=0) as client,
    ):
        yield client, router


async def test_a_whole_answer_has_a_function_call_and_no_tool_calls(there: Any) -> None:
    client, router = there
    router.answer = answer(called("add", '{"a":1}'), reason=chat_pb2.FINISH_REASON_TOOL_CALLS)
    reply = await client.chat.completions.create(model="auto", messages=HELLO, functions=FUNCTIONS)
    choice = reply.choices[0]
    assert choice.finish_reason == "function_call"
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == ("add", '{"a":1}')
    assert choice.message.tool_calls is None
    assert reply.llm_mesh["warnings"] == []


async def test_calls_beyond_the_first_are_left_out_and_told_of(there: Any) -> None:
    client, router = there
    router.answer = answer(called("add", "{}"), called("sub", "{}", "toolu_2"))
    reply = await client.chat.completions.create(model="auto", messages=HELLO, functions=FUNCTIONS)
    assert reply.choices[0].message.function_call.name == "add"
    assert [warning["field"] for warning in reply.llm_mesh["warnings"]] == ["function_call"]


async def test_a_stream_has_the_name_first_and_then_the_arguments(there: Any) -> None:
    client, router = there
    router.steps = [
        start(),
        deltas(chat_pb2.Delta(tool_call=chat_pb2.ToolCall(id="c1", name="add"))),
        deltas(chat_pb2.Delta(tool_arguments='{"a"'), chat_pb2.Delta(tool_arguments=":1}")),
        deltas(chat_pb2.Delta(part_index=1, tool_call=chat_pb2.ToolCall(id="c2", name="sub"))),
        deltas(chat_pb2.Delta(part_index=1, tool_arguments="{}")),
        finish(chat_pb2.FINISH_REASON_TOOL_CALLS),
    ]
    stream = await client.chat.completions.create(model="auto", messages=HELLO, functions=FUNCTIONS, stream=True)
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.function_call for chunk in chunks if chunk.choices[0].delta.function_call]
    assert [piece.name for piece in pieces] == ["add", None, None]
    assert "".join(piece.arguments for piece in pieces) == '{"a":1}'
    assert not [chunk for chunk in chunks if chunk.choices[0].delta.tool_calls]
    assert chunks[-1].choices[0].finish_reason == "function_call"
    assert [warning["field"] for warning in chunks[-1].llm_mesh["warnings"]] == ["function_call"]
