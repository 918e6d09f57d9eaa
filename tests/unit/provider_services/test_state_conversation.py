"""Tool conversations with every vendor that wants a model's state back, at home and moved from each to each."""

from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import permutations
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from fixtures.gathered_parts import gathered
from fixtures.prompts import call, prompt, user
from llmmesh.chat.v1.chat_pb2 import Message, Part, Role, ToolResult

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, HttpReply, VendorFault
from provider_services.simulator.rows import ModelRow, VendorRow, load_rows
from provider_services.simulator.running import Simulator, running_simulator, without_latency

TOOLS = [{"name": "weather", "parameters_json": '{"type":"object"}'}, {"name": "news"}]
ASKED = user("call weather and call news")


class Host(NamedTuple):
    """A vendor that wants its state back, and how it is asked."""

    vendor: str
    dialect: str
    path: str
    model: str
    key: dict[str, str]
    quirks: tuple[str, ...] = ()
    chat: str = ""
    reasons: bool = True

    @property
    def asked(self) -> dict[str, Any]:
        """Return what a call to it says of it."""
        return {
            "vendor": self.vendor,
            "model": self.model,
            "quirks": self.quirks,
            "paths": {"chat": self.chat} if self.chat else {},
            "reasons": self.reasons,
        }


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


CLAUDE = {"x-api-key": "sk-ant-test0001", "anthropic-version": "2023-06-01"}
COHERE = bearer("trialkey0000000000000000000000000000acctone")
HOSTS = {
    "anthropic": Host("anthropic", "anthropic", "/v1", "claude-sonnet-4-5", CLAUDE),
    "gemini": Host(
        "gemini",
        "gemini",
        "/v1beta",
        "gemini-flash-latest",
        {"x-goog-api-key": "AIzaTest0001"},
        ("signatures_required",),
    ),
    "cohere": Host("cohere", "cohere", "", "command-a-plus-05-2026", COHERE),
    "cohere plans": Host("cohere", "cohere", "", "command-a-03-2025", COHERE, reasons=False),
    "responder": Host("responder", "responses", "", "think-1", bearer("sk-test0001"), ("reasoning_summaries",)),
    "perplexity": Host(
        "perplexity",
        "responses",
        "",
        "google/gemini-3.5-flash",
        bearer("pplx-test0001"),
        ("plain_input", "results_named"),
        "/v1/agent",
    ),
    "ollama": Host("ollama", "ollama", "", "gpt-oss:20b", {}, ("think_levels",)),
    "deepseek": Host(
        "deepseek",
        "openai",
        "",
        "deepseek-flash",
        bearer("sk-test0001"),
        ("thinking_switch", "effort_low_high_max", "reasoning_content_required", "text_as_one_string"),
    ),
    "kimi": Host(
        "kimi",
        "openai",
        "/v1",
        "kimi-k2.6",
        bearer("sk-test0001"),
        ("thinking_switch", "no_reasoning_effort", "reasoning_content_required"),
    ),
    "openrouter": Host(
        "openrouter",
        "openai",
        "/api/v1",
        "anthropic/claude-sonnet-4.5",
        bearer("sk-or-test0001"),
        ("reasoning_object",),
    ),
    "mistral": Host(
        "mistral",
        "openai",
        "/v1",
        "magistral-medium-latest",
        bearer("m" * 32),
        (
            "no_reasoning_effort",
            "no_stream_options",
            "no_message_names",
            "refusals_as_text",
            "thinking_returns_in_content",
            "tool_ids_of_nine",
        ),
    ),
}
# Such as keep no state: a model that does not think, and one whose thoughts are nobody's business but its reader's.
STATELESS = {
    "openai": Host(
        "openai", "openai", "/v1", "gpt-4o", bearer("sk-test0001"), ("effort_needs_reasoning",), reasons=False
    ),
    "groq": Host("groq", "openai", "/openai/v1", "openai/gpt-oss-20b", bearer("gsk_test0001")),
}
# Made up, for want of a shipped row: a host of encrypted reasoning, and a local model that thinks.
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


class Street(NamedTuple):
    """The vendors' houses, and somebody who goes from one to the next."""

    sim: Simulator
    client: httpx.AsyncClient


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with running_simulator(hosted()) as running, httpx.AsyncClient(timeout=5, verify=False) as client:  # noqa: S501
        yield Street(running, client)


def asking(host: Host, *turns: Message, stream: bool = False) -> Call:
    made = prompt(*turns, tools=TOOLS, reasoning_effort="REASONING_EFFORT_LOW")
    return call(made, stream=stream, **host.asked)


async def answered(street: Street, host: Host, made: Call) -> list[Part]:
    dialect = DIALECTS[host.dialect]
    request = dialect.encode(made)
    url = street.sim.base_url(host.vendor) + host.path + request.path
    got = await street.client.request(request.method, url, content=request.body, headers=host.key)
    reply = HttpReply(got.status_code, dict(got.headers), got.content)
    if reply.status != 200:
        raise VendorFault(dialect.classify(made, reply))
    if not made.stream:
        return list(dialect.decode(made, reply).choices[0].parts)
    decoder = dialect.stream(made)
    deltas = [delta for at in range(0, len(reply.body), 37) for delta in decoder.feed(reply.body[at : at + 37])]
    return gathered([*deltas, *decoder.finish().deltas])


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
    assert {code for message in turns for code in warned_of(host, message)} == set()


def warned_of(host: Host, message: Message) -> list[str]:
    """Return the warnings about the state of one message."""
    warnings = DIALECTS[host.dialect].encode(asking(host, ASKED, message)).warnings
    return [warning.code for warning in warnings if warning.code == "foreign_state"]


@pytest.mark.parametrize("name", STRICT)
async def test_calls_of_its_own_without_their_state_are_refused_by_the_vendor(street: Street, name: str) -> None:
    host = HOSTS[name]
    first = await answered(street, host, asking(host, ASKED))
    bare = [part for part in first if part.HasField("tool_call")]
    for part in bare:
        part.ClearField("provider_data")
    careless = host._replace(quirks=tuple(quirk for quirk in host.quirks if quirk != "reasoning_content_required"))
    with pytest.raises(VendorFault) as refused:
        await answered(street, careless, asking(careless, ASKED, spoken(bare), results(bare)))
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
    request = DIALECTS[host.dialect].encode(asking(host, *turns))
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
