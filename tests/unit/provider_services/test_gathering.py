"""Whole answers of models that think in streams only: asked for as a stream, put together, told as one."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fixtures.prompts import prompt, user
from fixtures.provider import provider
from llmmesh.chat.v1.chat_pb2 import Completion, FinishReason
from llmmesh.provider.v1.provider_pb2 import GenerateRequest, Target

from meshkit import status
from meshkit.errors import Reason
from provider_services.simulator.running import Simulator, running_simulator

KEYS = {"QWEN_API_KEY": "sk-canary0004"}
TOOLS = [{"name": "weather", "parameters_json": '{"type":"object"}'}]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        await running.set_limits("qwen", None)
        yield running


async def whole(sim: Simulator, text: str, **fields: Any) -> Completion:
    request = GenerateRequest(target=Target(model="qwen3.8-max"), prompt=prompt(user(text), **fields))
    endpoint = sim.base_url("qwen") + "/compatible-mode/v1"
    async with provider("qwen", endpoint, KEYS) as stub:
        return (await stub.Generate(request, timeout=10)).completion


async def test_a_whole_answer_of_a_model_that_thinks_in_streams_only_has_its_thoughts(sim: Simulator) -> None:
    completion = await whole(sim, "say: all is well", reasoning_effort="REASONING_EFFORT_LOW")
    (choice,) = completion.choices
    thought, said = choice.parts
    assert thought.reasoning.text
    assert said.text.text == "all is well"
    assert choice.finish_reason == FinishReason.FINISH_REASON_STOP
    assert completion.usage.output_tokens >= completion.usage.reasoning_tokens > 0
    assert not completion.usage.estimated
    assert completion.vendor_model == "qwen3.8-max"


async def test_calls_that_came_in_pieces_are_whole(sim: Simulator) -> None:
    completion = await whole(sim, "call weather", tools=TOOLS)
    (called,) = [part.tool_call for part in completion.choices[0].parts if part.HasField("tool_call")]
    assert called.name == "weather"
    assert called.arguments_json.startswith("{")
    assert called.arguments_json.endswith("}")
    assert completion.choices[0].finish_reason == FinishReason.FINISH_REASON_TOOL_CALLS


async def test_a_stream_that_is_cut_is_no_whole_answer(sim: Simulator) -> None:
    await sim.set_faults("qwen", [{"kind": "end", "after_tokens": 7, "times": 1}])
    with pytest.raises(grpc.aio.AioRpcError) as cut:
        await whole(sim, "tokens: 40")
    assert status.from_rpc_error(cut.value).reason is Reason.VENDOR_INCOMPLETE
