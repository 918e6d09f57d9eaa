"""Tool conversations with vendors that want a model's state back: signatures, reasoning text, reasoning details."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import msgspec
import pytest
from fixtures.gathered_parts import gathered
from fixtures.prompts import call, prompt, user, warned
from llmmesh.chat.v1.chat_pb2 import Message, Part, Role, ToolResult

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, HttpReply, VendorFault
from provider_services.simulator.rows import VendorRow, load_rows
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


BEARER = {"authorization": "Bearer sk-test0001"}
SIGNED = Host(
    "gemini",
    "gemini",
    "/v1beta",
    "gemini-flash-latest",
    {"x-goog-api-key": "AIzaTest0001"},
    ("signatures_required",),
)
TEXT = Host("texthost", "openai", "/v1", "thinker", BEARER, ("reasoning_returns_as_reasoning_content",))
DETAILS = Host("detailhost", "openai", "/v1", "thinker", BEARER)
HOSTS = [SIGNED, TEXT, DETAILS]
EACH = pytest.mark.parametrize("host", HOSTS, ids=[host.vendor for host in HOSTS])
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def row(name: str, field: str, wanted: str) -> VendorRow:
    return msgspec.convert(
        {
            "name": name,
            "dialect": "openai",
            "prefix": "/v1",
            "auth": {"header": "authorization", "scheme": "Bearer", "pattern": "^sk-"},
            "models": [{"id": "thinker", "reasoning": True, "signed": True}],
            "quirks": {
                "reasoning_field": field,
                "reasoning_details": wanted == "reasoning_details",
                "refused": {"calls_without": wanted},
            },
        },
        VendorRow,
    )


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    more = (
        row("texthost", "reasoning_content", "reasoning_content"),
        row("detailhost", "reasoning", "reasoning_details"),
    )
    async with running_simulator((*without_latency(load_rows()), *more)) as running:
        await running.set_limits("gemini", None)
        yield running


def asking(host: Host, *turns: Message, stream: bool = False) -> Call:
    made = prompt(*turns, tools=TOOLS, reasoning_effort="REASONING_EFFORT_LOW")
    return call(made, vendor=host.vendor, model=host.model, quirks=host.quirks, stream=stream, reasons=True)


async def answered(sim: Simulator, host: Host, made: Call) -> list[Part]:
    dialect = DIALECTS[host.dialect]
    request = dialect.encode(made)
    async with httpx.AsyncClient(timeout=5) as client:
        url = sim.base_url(host.vendor) + host.path + request.path
        got = await client.request(request.method, url, content=request.body, headers=host.key)
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
    told = [Part(tool_result=ToolResult(tool_call_id=one.id, name=one.name, text="fine")) for one in called]
    return Message(role=Role.ROLE_TOOL, parts=told)


@EACH
@STREAMED
async def test_calls_go_on_with_the_state_they_were_made_with(sim: Simulator, host: Host, stream: bool) -> None:
    turns = [ASKED]
    first = await answered(sim, host, asking(host, *turns, stream=stream))
    assert len([part for part in first if part.HasField("tool_call")]) == 2
    assert any(part.reasoning.text for part in first)
    turns += [spoken(first), results(first)]
    second = await answered(sim, host, asking(host, *turns, stream=stream))
    assert "".join(part.text.text for part in second)
    turns += [spoken(second), user("call news")]
    third = await answered(sim, host, asking(host, *turns, stream=stream))
    turns += [spoken(third), results(third)]
    assert "".join(part.text.text for part in await answered(sim, host, asking(host, *turns, stream=stream)))


@EACH
async def test_calls_without_their_state_are_refused(sim: Simulator, host: Host) -> None:
    first = await answered(sim, host, asking(host, ASKED))
    kept = [part for part in first if part.HasField("tool_call")]
    for part in kept:
        part.ClearField("provider_data")
    lax = host._replace(quirks=tuple(quirk for quirk in host.quirks if quirk != "signatures_required"))
    with pytest.raises(VendorFault) as refused:
        await answered(sim, lax, asking(lax, ASKED, spoken(kept), results(first)))
    assert refused.value.fault.reason is Reason.VENDOR_BAD_REQUEST


@STREAMED
@pytest.mark.parametrize("begun", [TEXT, DETAILS], ids=["texthost", "detailhost"])
async def test_a_conversation_moved_to_a_vendor_of_signatures_goes_on(
    sim: Simulator, begun: Host, stream: bool
) -> None:
    first = await answered(sim, begun, asking(begun, ASKED))
    moved = asking(SIGNED, ASKED, spoken(first), results(first), stream=stream)
    codes = {code for code, _ in warned(DIALECTS["gemini"].encode(moved))}
    assert codes & {"foreign_state", "dropped"}
    assert "".join(part.text.text for part in await answered(sim, SIGNED, moved))


@STREAMED
async def test_a_signed_conversation_moved_to_a_vendor_of_reasoning_text_goes_on(sim: Simulator, stream: bool) -> None:
    first = await answered(sim, SIGNED, asking(SIGNED, ASKED))
    moved = asking(TEXT, ASKED, spoken(first), results(first), stream=stream)
    assert "foreign_state" in {code for code, _ in warned(DIALECTS["openai"].encode(moved))}
    assert "".join(part.text.text for part in await answered(sim, TEXT, moved))
