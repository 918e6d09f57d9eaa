"""Tool conversations with every vendor that wants a model's state back, at home and moved from each to each."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import cache
from itertools import permutations
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from fixtures.prompts import prompt, user
from fixtures.shipped import shipped
from fixtures.simulated_vendors import Guest, guest
from llmmesh.chat.v1.chat_pb2 import Message, Part, Role, ToolResult

from meshkit.errors import Reason
from provider_services.dialects.interface import Call, VendorFault
from provider_services.simulator.rows import ModelRow, VendorRow, load_rows
from provider_services.simulator.running import running_simulator, without_latency

TOOLS = [{"name": "weather", "parameters_json": '{"type":"object"}'}, {"name": "news"}]
ASKED = user("call weather and call news")


class Host(NamedTuple):
    """A vendor and one of its models."""

    vendor: str
    model: str


HOSTS = {
    "anthropic": Host("anthropic", "claude-sonnet-4-5"),
    "gemini": Host("gemini", "gemini-flash-latest"),
    "cohere": Host("cohere", "command-a-plus-05-2026"),
    "cohere plans": Host("cohere", "command-a-03-2025"),
    "responder": Host("responder", "think-1"),
    "perplexity": Host("perplexity", "google/gemini-3.5-flash"),
    "ollama": Host("ollama", "gpt-oss:20b"),
    "deepseek": Host("deepseek", "deepseek-flash"),
    "kimi": Host("kimi", "kimi-k2.6"),
    "openrouter": Host("openrouter", "anthropic/claude-sonnet-4.5"),
    "mistral": Host("mistral", "magistral-medium-latest"),
}
# Such as keep no state: a model that does not think, and one whose thoughts are nobody's business but its reader's.
STATELESS = {"openai": Host("openai", "gpt-4o"), "xai": Host("xai", "grok-4.5")}
# Made up, for want of a row: a host of encrypted reasoning, and a local model that thinks.
RESPONDER = msgspec.convert(
    {
        "name": "responder",
        "dialect": "responses",
        "prefix": "",
        "auth": {"header": "authorization", "scheme": "Bearer"},
        "models": [{"id": "think-1", "reasoning": True, "signed": True}],
    },
    VendorRow,
)
THINKER = ModelRow(id="gpt-oss:20b", reasoning=True)
# These refuse calls of their own that come back bare; the others make less of them, or are not asked to think then.
STRICT = [name for name in HOSTS if name not in {"anthropic", "gemini", "mistral", "ollama"}]
EACH = pytest.mark.parametrize("name", HOSTS)
MOVES = [(one, other) for one, other in permutations(HOSTS, 2) if HOSTS[one].vendor != HOSTS[other].vendor]
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@cache
def hosted() -> tuple[VendorRow, ...]:
    return (RESPONDER, *rows())


def rows() -> Iterator[VendorRow]:
    for row in without_latency(load_rows()):
        local = row.name == "ollama"
        yield msgspec.structs.replace(row, models=(*row.models, THINKER) if local else row.models, limits=())


@cache
def stranger(vendor: str) -> Guest:
    """Return somebody who knows the vendor by its rows and has not come anywhere yet."""
    nowhere: Any = None
    if vendor != "responder":
        return replace(guest(vendor, nowhere, nowhere), row=next(row for row in hosted() if row.name == vendor))
    like = shipped().vendors["openai"]
    made_up = replace(like, id="responder", dialect="responses", quirks=("reasoning_summaries",), models={})
    return Guest(RESPONDER, made_up, nowhere, nowhere, "sk-test0001", "")


class Street:
    """The vendors' houses, and somebody who goes from one to the next."""

    def __init__(self, **going: Any) -> None:
        self._going = going

    def at(self, host: Host) -> Guest:
        """Return whom to ask there."""
        return replace(stranger(host.vendor), **self._going)


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with running_simulator(hosted()) as sim, httpx.AsyncClient(timeout=5, verify=False) as http:  # noqa: S501
        yield Street(sim=sim, http=http)


def asking(host: Host, *turns: Message, stream: bool = False) -> Call:
    made = prompt(*turns, tools=TOOLS, reasoning_effort="REASONING_EFFORT_LOW")
    return stranger(host.vendor).call(host.model, made, stream=stream)


def encoded(host: Host, turns: list[Message]) -> Any:
    return stranger(host.vendor).dialect.encode(asking(host, *turns))


async def answered(street: Street, host: Host, made: Call) -> list[Part]:
    return (await street.at(host).ask(made)).parts


def spoken(parts: list[Part]) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def results(parts: list[Part]) -> Message:
    called = [part.tool_call for part in parts if part.HasField("tool_call")]
    assert called
    told = [Part(tool_result=ToolResult(tool_call_id=one.id, name=one.name, text="fine")) for one in called]
    return Message(role=Role.ROLE_TOOL, parts=told)


def said(parts: list[Part]) -> str:
    return "".join(part.text.text for part in parts)


async def go_on(street: Street, host: Host, turns: list[Message], stream: bool) -> None:
    """Let a host answer what the conversation has come to, and add what it says and what its calls return."""
    parts = await answered(street, host, asking(host, *turns, stream=stream))
    turns.append(spoken(parts))
    if any(part.HasField("tool_call") for part in parts):
        turns.append(results(parts))


@EACH
@STREAMED
async def test_calls_go_on_with_the_state_they_were_made_with(street: Street, name: str, stream: bool) -> None:
    host, turns = HOSTS[name], [ASKED]
    await go_on(street, host, turns, stream)
    assert len(turns[2].parts) == 2
    assert any(part.reasoning.text for part in turns[1].parts) is (name != "perplexity")  # which tells no thoughts
    assert any(part.provider_data.vendor == host.vendor for part in turns[1].parts)
    await go_on(street, host, turns, stream)
    assert said(list(turns[3].parts))
    turns.append(user("call news"))
    await go_on(street, host, turns, stream)
    await go_on(street, host, turns, stream)
    assert said(list(turns[-1].parts))
    assert "foreign_state" not in {warning.code for warning in encoded(host, turns).warnings}


@pytest.mark.parametrize("name", STRICT)
async def test_calls_of_its_own_without_their_state_are_refused_by_the_vendor(street: Street, name: str) -> None:
    host = HOSTS[name]
    first = await answered(street, host, asking(host, ASKED))
    bare = [part for part in first if part.HasField("tool_call")]
    for part in bare:
        part.ClearField("provider_data")
    made = asking(host, ASKED, spoken(bare), results(bare))
    careless = replace(made, quirks=made.quirks - {"reasoning_content_required"})
    with pytest.raises(VendorFault) as refused:
        await answered(street, host, careless)
    assert refused.value.fault.reason is Reason.VENDOR_BAD_REQUEST


@STREAMED
@pytest.mark.parametrize(("begun", "moved"), MOVES)
async def test_a_conversation_goes_on_wherever_it_is_moved_and_back_again(
    street: Street, begun: str, moved: str, stream: bool
) -> None:
    here, there = HOSTS[begun], HOSTS[moved]
    turns = [ASKED]
    await go_on(street, here, turns, stream)
    await go_on(street, here, turns, stream)
    turns.append(user("call news"))
    await go_on(street, here, turns, stream)
    left_behind(there, turns, here.vendor)
    await go_on(street, there, turns, stream)
    assert said(list(turns[-1].parts))
    turns.append(user("call weather"))
    await go_on(street, there, turns, stream)
    left_behind(here, turns, there.vendor)
    await go_on(street, here, turns, stream)
    assert said(list(turns[-1].parts))


@STREAMED
@pytest.mark.parametrize("begun", STATELESS)
@EACH
async def test_a_conversation_begun_without_any_state_goes_on_everywhere(
    street: Street, begun: str, name: str, stream: bool
) -> None:
    turns = [ASKED]
    await go_on(street, STATELESS[begun], turns, stream)
    await go_on(street, STATELESS[begun], turns, stream)
    turns.append(user("call news"))
    await go_on(street, STATELESS[begun], turns, stream)
    assert not any(part.HasField("provider_data") for message in turns for part in message.parts)
    await go_on(street, HOSTS[name], turns, stream)
    assert said(list(turns[-1].parts))


def left_behind(host: Host, turns: list[Message], other: str) -> None:
    """Make sure that the state of the other vendor stays behind with a warning, and so does its reasoning."""
    request = encoded(host, turns)
    foreign = [
        (f"messages[{number}].parts[{place}].provider_data", part)
        for number, message in enumerate(turns)
        for place, part in enumerate(message.parts)
        if part.provider_data.vendor == other
    ]
    assert foreign
    noted = {warning.field for warning in request.warnings if warning.code == "foreign_state"}
    assert noted == {field for field, _ in foreign}
    words = " ".join(part.text.text + part.reasoning.text for part in parts_of(turns, but=other))
    for _, part in foreign:
        if part.reasoning.text not in words:  # by chance two vendors may have said the same
            assert part.reasoning.text.encode() not in request.body


def parts_of(turns: list[Message], but: str) -> Iterator[Part]:
    return (part for message in turns for part in message.parts if part.provider_data.vendor != but)
