"""Measures what each dialect costs: CPU for decoding one stream of the same content, beside the openai dialect."""

import asyncio
import sys
from statistics import median
from time import process_time

import aiohttp
from llmmesh.chat.v1.chat_pb2 import Message, Part, Prompt, Role, Text

from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, Dialect
from provider_services.simulator.rows import load_rows
from provider_services.simulator.running import running_simulator, without_latency

CHUNKS, STREAMS, ROUNDS = 50, 100, 9
VENDORS = {
    "openai": ("openai", "/v1", "gpt-4o", {"authorization": "Bearer sk-test0001"}),
    "anthropic": ("anthropic", "/v1", "claude-haiku-4-5", {"x-api-key": "sk-ant-test0001"}),
    "gemini": ("gemini", "/v1beta", "gemini-2.5-flash-lite", {"x-goog-api-key": "AIzaTest0001"}),
    "cohere": (
        "cohere",
        "",
        "command-r7b-12-2024",
        {"authorization": f"Bearer {'trial0' * 5}"},
    ),
    "responses": ("perplexity", "/v1", "perplexity/sonar", {"authorization": "Bearer pplx-test0001"}),
    "ollama": ("ollama", "", "llama3.1:8b", {}),
}


def asked(vendor: str, model: str) -> Call:
    """Return a call for an answer of fifty tokens."""
    said = Message(role=Role.ROLE_USER, parts=[Part(text=Text(text="say: " + " ".join(["harbour"] * CHUNKS)))])
    return Call(vendor=vendor, model=model, prompt=Prompt(messages=[said]), stream=True)


async def recorded(url: str, dialect: str) -> list[bytes]:
    """Return the lines of one simulated stream, an event at a time."""
    vendor, path, model, headers = VENDORS[dialect]
    request = DIALECTS[dialect].encode(asked(vendor, model))
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.post(f"{url}/{vendor}{path}{request.path}", data=request.body) as response,
    ):
        body = await response.read()
        if response.status != 200:
            raise SystemExit(f"{dialect}: {response.status} {body!r}")
    ending = b"\n" if dialect == "ollama" else b"\n\n"
    return [event + ending for event in body.replace(b"\r\n", b"\n").split(ending) if event]


def decoded(dialect: Dialect, call: Call, events: list[bytes]) -> str:
    """Decode a stream, and return its text."""
    decoder = dialect.stream(call)
    text = [delta.text for event in events for delta in decoder.feed(event)]
    return "".join([*text, *(delta.text for delta in decoder.finish().deltas)])


def cost(dialect: Dialect, call: Call, events: list[bytes]) -> float:
    """Return the microseconds of CPU one stream takes."""
    begun = process_time()
    for _ in range(STREAMS):
        decoded(dialect, call, events)
    return (process_time() - begun) / STREAMS * 1e6


async def main() -> None:
    """Print the table."""
    async with running_simulator(without_latency(load_rows())) as simulator:
        streams = {name: await recorded(simulator.url, name) for name in VENDORS}
    calls = {name: asked(row[0], row[2]) for name, row in VENDORS.items()}
    texts = {decoded(DIALECTS[name], calls[name], events) for name, events in streams.items()}
    rounds = [{name: cost(DIALECTS[name], calls[name], streams[name]) for name in VENDORS} for _ in range(ROUNDS)]
    costs = {name: median(one[name] for one in rounds) for name in VENDORS}
    sys.stdout.write(
        f"{'dialect':<10} {'events':>6} {'bytes':>7} {'us/stream':>10} {'ratio':>6}   same text: {len(texts) == 1}\n"
    )
    for name, spent in costs.items():
        size = sum(map(len, streams[name]))
        sys.stdout.write(
            f"{name:<10} {len(streams[name]):>6} {size:>7} {spent:>10.0f} {spent / costs['openai']:>6.2f}\n"
        )


if __name__ == "__main__":
    asyncio.run(main())
