"""The three ways a request is sent: to the router over gRPC, to its HTTP edge, and straight to the simulated vendor."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2, router_pb2_grpc

DEADLINE = 60.0
TOKENS = 50
USE_CASE = "conversation"
SAID = re.compile(rb'"(content|reasoning|reasoning_content)": ?"[^"]')
# Ten messages; the simulator takes the last one's first words for an order.
TALK = (
    ("system", "You are a careful assistant. Answer in plain words and keep it short."),
    ("user", "I am planning a walk along the river tomorrow morning, before the market opens."),
    ("assistant", "That sounds pleasant. How long would you like it to be?"),
    ("user", "About two hours, with a place to sit down somewhere on the way."),
    ("assistant", "Start at the old bridge; after an hour there is a garden with benches."),
    ("user", "Is the path paved all the way? I will have a pram with me."),
    ("assistant", "Mostly. The last part before the harbour is gravel, but wide enough."),
    ("user", "And if it rains?"),
    ("assistant", "Then turn back at the garden: the arcades on the north bank are covered."),
    ("user", f"tokens: {TOKENS} please, describe the walk in one paragraph."),
)
ROLES = {"system": chat_pb2.ROLE_SYSTEM, "user": chat_pb2.ROLE_USER, "assistant": chat_pb2.ROLE_ASSISTANT}


@dataclass(frozen=True)
class Answer:
    """One answer as the caller saw it; moments are seconds of `perf_counter`."""

    began: float
    first_token: float
    ended: float
    messages: int


Call = Callable[[], Awaitable[Answer]]


@asynccontextmanager
async def over_grpc(address: str, *, stream: bool) -> AsyncIterator[Call]:
    """Call the router's gRPC address."""
    intent, prompt = router_pb2.Intent(use_case=USE_CASE), chat_pb2.Prompt()
    for role, text in TALK:
        prompt.messages.add(role=ROLES[role]).parts.add().text.text = text
    async with grpc.aio.insecure_channel(address) as channel:
        stub = router_pb2_grpc.RouterServiceStub(channel)

        async def whole() -> Answer:
            began = time.perf_counter()
            response = await stub.Generate(router_pb2.GenerateRequest(intent=intent, prompt=prompt), timeout=DEADLINE)
            ended = time.perf_counter()
            if response.completion.usage.output_tokens != TOKENS:
                raise RuntimeError(f"{response.completion.usage.output_tokens} tokens instead of {TOKENS}")
            return Answer(began, ended, ended, 1)

        async def streamed() -> Answer:
            began = time.perf_counter()
            first, messages, finished = 0.0, 0, False
            request = router_pb2.StreamGenerateRequest(intent=intent, prompt=prompt)
            async for event in stub.StreamGenerate(request, timeout=DEADLINE):
                if event.HasField("deltas"):
                    first = first or time.perf_counter()
                    messages += 1
                finished = event.HasField("finish") and event.finish.usage.output_tokens == TOKENS
            if not finished:
                raise RuntimeError("the stream ended without its finish")
            return Answer(began, first, time.perf_counter(), messages)

        yield streamed if stream else whole


@asynccontextmanager
async def over_http(url: str, model: str, key: str, *, stream: bool) -> AsyncIterator[Call]:
    """Call an address that speaks chat completions: the router's edge, or a vendor."""
    messages = [{"role": role, "content": text} for role, text in TALK]
    body: dict[str, Any] = {"model": model, "messages": messages}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, raise_for_status=True) as session:

        async def whole() -> Answer:
            began = time.perf_counter()
            async with session.post(url, json=body) as response:
                answered = await response.json()
            ended = time.perf_counter()
            if answered["usage"]["completion_tokens"] != TOKENS:
                raise RuntimeError(f"{answered['usage']} instead of {TOKENS} tokens")
            return Answer(began, ended, ended, 1)

        async def streamed() -> Answer:
            began = time.perf_counter()
            first, pieces, tail = 0.0, 0, b""
            async with session.post(url, json=body) as response:
                async for data in response.content.iter_any():
                    if not first and SAID.search(data):
                        first = time.perf_counter()
                    pieces += 1
                    tail = (tail + data)[-64:]
            if not tail.endswith(b"data: [DONE]\n\n"):
                raise RuntimeError(f"the stream ended with {tail!r}")
            return Answer(began, first, time.perf_counter(), pieces)

        yield streamed if stream else whole
