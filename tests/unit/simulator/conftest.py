"""A simulator on a free port with every vendor answering at once, and a plain client with a deadline."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from provider_services.simulator.running import Simulator, running_simulator

GROQ = {"authorization": "Bearer gsk_test_0001"}
OPENAI = {"authorization": "Bearer sk-test-0002"}
GEMINI = {"x-goog-api-key": "AIzaTest0003"}
CHAT = {
    "groq": ("/groq/openai/v1/chat/completions", GROQ),
    "openai": ("/openai/v1/chat/completions", OPENAI),
    "gemini": ("/gemini/v1beta/models/gemini-2.5-flash-lite:generateContent", GEMINI),
    "ollama": ("/ollama/api/chat", {}),
}
MODELS = {"groq": "qwen/qwen3.8-27b", "openai": "gpt-4o", "ollama": "llama3.1:8b"}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        yield running


@pytest.fixture
async def http(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    # Certificates would take longer to load than most of these tests; nobody here has one.
    async with httpx.AsyncClient(base_url=sim.url, timeout=5, limits=limits, verify=False) as client:  # noqa: S501
        yield client


def chat_body(vendor: str, text: str, *, stream: bool = False) -> dict[str, Any]:
    if vendor == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return {"model": MODELS[vendor], "messages": [{"role": "user", "content": text}], "stream": stream}


def chat_path(vendor: str, *, stream: bool = False) -> str:
    path = CHAT[vendor][0]
    return path.replace(":generateContent", ":streamGenerateContent?alt=sse") if stream else path


@pytest.fixture
def ask(http: httpx.AsyncClient) -> Callable[..., Any]:
    """Ask any vendor for text, in its own words."""

    async def send(vendor: str, text: str = "hello", *, stream: bool = False, **changes: Any) -> httpx.Response:
        body = chat_body(vendor, text, stream=stream) | changes
        return await http.post(chat_path(vendor, stream=stream), json=body, headers=CHAT[vendor][1])

    return send
