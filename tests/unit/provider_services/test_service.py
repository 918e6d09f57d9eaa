"""A provider service over gRPC, with the simulator or a vendor of the test's own behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from fixtures.prompts import prompt, user
from fixtures.provider import KEYS, provider
from fixtures.sandbox_mesh import ROOT
from fixtures.vendor_server import http_vendor
from llmmesh.chat.v1.chat_pb2 import Delta, FinishReason
from llmmesh.provider.v1.provider_pb2 import (
    AttemptFailure,
    CheckCredentialsRequest,
    DescribeRequest,
    DescribeResponse,
    EmbedRequest,
    GenerateRequest,
    Observation,
    StreamGenerateRequest,
    StreamGenerateResponse,
    Target,
)
from prometheus_client import REGISTRY

from meshkit import status
from meshkit.errors import MeshError, Reason
from provider_services.simulator.running import Simulator, running_simulator

VENDORS = {
    "openai": ("gpt-4o-mini", "/v1", "text-embedding-3-small"),
    "groq": ("openai/gpt-oss-20b", "/openai/v1", ""),
    "gemini": ("gemini-2.5-flash-lite", "/v1beta", "gemini-embedding-2"),
    "ollama": ("llama3.1:8b", "", "nomic-embed-text"),
}
ANSWERED, UNKNOWN = AttemptFailure.SENT_ANSWERED, AttemptFailure.SENT_UNKNOWN


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        for vendor in VENDORS:
            await running.set_limits(vendor, None)
        yield running


def serving(sim: Simulator, vendor: str) -> Any:
    return provider(vendor, sim.base_url(vendor) + VENDORS[vendor][1])


def asking(vendor: str, text: str = "tokens: 6", **limits: float) -> dict[str, Any]:
    target = Target(model=VENDORS[vendor][0])
    for name, seconds in limits.items():
        getattr(target, name).FromMilliseconds(int(seconds * 1000))
    return {"target": target, "prompt": prompt(user(text))}


async def streamed(stub: Any, vendor: str, text: str = "tokens: 6", **limits: float) -> list[StreamGenerateResponse]:
    call = stub.StreamGenerate(StreamGenerateRequest(**asking(vendor, text, **limits)), timeout=10)
    return [response async for response in call]


def deltas(responses: list[StreamGenerateResponse]) -> list[Delta]:
    return [delta for response in responses for delta in response.deltas.deltas]


async def failing(call: Any) -> tuple[MeshError, AttemptFailure]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    mesh_error = status.from_rpc_error(error.value)
    detail = mesh_error.detail(AttemptFailure)
    assert detail is not None
    return mesh_error, detail


@pytest.mark.parametrize("vendor", VENDORS)
async def test_every_dialect_generates_whole_and_streamed(sim: Simulator, vendor: str) -> None:
    async with serving(sim, vendor) as stub:
        whole = await stub.Generate(GenerateRequest(**asking(vendor, "say: two words")), timeout=10)
        said = "".join(part.text.text for part in whole.completion.choices[0].parts)
        assert said == "two words"
        assert whole.completion.choices[0].finish_reason == FinishReason.FINISH_REASON_STOP
        assert whole.completion.usage.output_tokens >= 2
        assert not whole.completion.usage.estimated
        responses = await streamed(stub, vendor, "say: two words")
        assert "".join(delta.text for delta in deltas(responses)) == "two words"
        assert [response.WhichOneof("event") for response in responses][-1] == "finish"
        assert responses[-1].finish.choices[0].reason == FinishReason.FINISH_REASON_STOP
        assert responses[-1].finish.usage.output_tokens == whole.completion.usage.output_tokens
        assert responses[-1].finish.usage.input_tokens == whole.completion.usage.input_tokens


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if VENDORS[vendor][2]])
async def test_every_dialect_with_vectors_gives_them(sim: Simulator, vendor: str) -> None:
    async with serving(sim, vendor) as stub:
        request = EmbedRequest(target=Target(model=VENDORS[vendor][2]), texts=["a", "b"])
        response = await stub.Embed(request, timeout=10)
    assert len(response.embeddings) == 2
    assert len(response.embeddings[0].values) > 1
    assert response.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("fault", "reason", "sent"),
    [
        ({"kind": "status", "status": 503}, Reason.VENDOR_OVERLOAD, ANSWERED),
        ({"kind": "cut", "after_tokens": 2}, Reason.VENDOR_INCOMPLETE, UNKNOWN),
        ({"kind": "end", "after_tokens": 2}, Reason.VENDOR_INCOMPLETE, UNKNOWN),
        ({"kind": "malformed", "after_tokens": 2}, Reason.VENDOR_SERVER, UNKNOWN),
        ({"kind": "refuse"}, Reason.VENDOR_INCOMPLETE, UNKNOWN),
        ({"kind": "hang"}, Reason.VENDOR_SILENT, UNKNOWN),
        ({"kind": "stall", "after_tokens": 2}, Reason.VENDOR_SILENT, UNKNOWN),
    ],
)
@pytest.mark.parametrize("vendor", ["groq", "gemini", "ollama"])
async def test_a_broken_stream_says_how_far_it_got(
    sim: Simulator, vendor: str, fault: dict[str, Any], reason: Reason, sent: AttemptFailure.Sent.ValueType
) -> None:
    await sim.set_faults(vendor, [fault])
    async with serving(sim, vendor) as stub:
        failed = failing(streamed(stub, vendor, first_token_timeout=1.0, idle_timeout=1.0))
        error, detail = await failed
    assert (error.reason, detail.sent) == (reason, sent)
    assert detail.retryable
    assert bool(detail.usage.output_tokens) == ("after_tokens" in fault)


@pytest.mark.parametrize("vendor", ["groq", "gemini", "ollama"])
async def test_an_error_inside_a_stream_is_an_error_with_what_was_received(sim: Simulator, vendor: str) -> None:
    await sim.set_faults(vendor, [{"kind": "error_in_stream", "after_tokens": 3}])
    async with serving(sim, vendor) as stub:
        error, detail = await failing(streamed(stub, vendor))
    assert error.reason is Reason.VENDOR_SERVER
    assert detail.sent == UNKNOWN
    assert detail.usage.output_tokens >= 3


@pytest.mark.parametrize("vendor", ["openai", "groq", "gemini"])
async def test_a_used_up_day_closes_the_model_and_says_until_when(sim: Simulator, vendor: str) -> None:
    await sim.set_limits(vendor, [{"unit": "requests", "per": "day", "amount": 1, "scope": "model"}])
    async with serving(sim, vendor) as stub:
        await stub.Generate(GenerateRequest(**asking(vendor)), timeout=10)
        error, detail = await failing(stub.Generate(GenerateRequest(**asking(vendor)), timeout=10))
    assert (error.reason, error.code) == (Reason.VENDOR_QUOTA, "RESOURCE_EXHAUSTED")
    assert (detail.sent, detail.http_status) == (ANSWERED, 429)
    closed = [seen for seen in detail.observations if seen.HasField("closed_for")]
    assert [(seen.scope, seen.model) for seen in closed] == [(Observation.SCOPE_MODEL, VENDORS[vendor][0])]
    assert error.retry_after is not None
    assert error.retry_after > 5


async def test_observations_travel_with_answers_and_with_the_finish(sim: Simulator) -> None:
    await sim.set_limits("groq", [{"unit": "requests", "per": "day", "amount": 50, "scope": "model"}])
    async with serving(sim, "groq") as stub:
        whole = await stub.Generate(GenerateRequest(**asking("groq")), timeout=10)
        responses = await streamed(stub, "groq")
    windows = {(seen.window, seen.limit, seen.remaining) for seen in whole.observations}
    assert ("day", 50, 49) in windows
    assert ("day", 50, 48) in {(seen.window, seen.limit, seen.remaining) for seen in responses[-1].finish.observations}


async def test_a_rejected_key_is_an_auth_fault_that_closes_the_slot_and_shows_no_key(sim: Simulator) -> None:
    env = KEYS | {"GROQ_API_KEY": "gsk_rejected_canary"}
    async with provider("groq", sim.base_url("groq") + "/openai/v1", env) as stub:
        error, detail = await failing(stub.Generate(GenerateRequest(**asking("groq")), timeout=10))
        checked = await stub.CheckCredentials(CheckCredentialsRequest(), timeout=10)
    assert error.reason is Reason.VENDOR_AUTH
    assert [seen.scope for seen in detail.observations if seen.HasField("closed_for")] == [Observation.SCOPE_SLOT]
    assert [(result.accepted, result.reason) for result in checked.results] == [(False, "VENDOR_AUTH")]
    assert "canary" not in error.message + checked.results[0].message


@pytest.mark.parametrize(("path", "accepted"), [(None, True), ("/key", False)])
async def test_where_the_list_of_models_is_open_to_all_a_path_of_the_row_proves_the_key(
    tmp_path: Path, path: str | None, accepted: bool
) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"data": []}, status=200 if request.path == "/models" else 401)

    row = (ROOT / "catalog" / "groq.yaml").read_text(encoding="utf-8")
    (tmp_path / "groq.yaml").write_text(row + (f"paths: {{check: {path}}}\n" if path else ""), encoding="utf-8")
    async with http_vendor(handler) as url, provider("groq", url, KEYS | {"MESH_CATALOG": str(tmp_path)}) as stub:
        checked = await stub.CheckCredentials(CheckCredentialsRequest(), timeout=10)
    (result,) = checked.results
    assert (result.accepted, result.reason) == (accepted, "" if accepted else "VENDOR_AUTH")
    assert asked == [path or "/models"]


async def test_a_vendor_that_repeats_the_key_in_its_error_is_scrubbed() -> None:
    async def handler(request: web.Request) -> web.Response:
        said = f"Incorrect API key provided: {request.headers['authorization']}"
        return web.json_response({"error": {"message": said, "code": "invalid_api_key"}}, status=401)

    async with http_vendor(handler) as url, provider("openai", url) as stub:
        error, _ = await failing(stub.Generate(GenerateRequest(**asking("openai")), timeout=10))
    assert "canary" not in error.message
    assert "***" in error.message


async def test_a_slot_without_a_key_was_sent_nothing(sim: Simulator) -> None:
    async with provider("groq", sim.base_url("groq"), {}) as stub:
        request = GenerateRequest(**asking("groq"))
        error, detail = await failing(stub.Generate(request, timeout=10))
        described = await stub.Describe(DescribeRequest(), timeout=10)
        checked = await stub.CheckCredentials(CheckCredentialsRequest(slot=1), timeout=10)
    assert (error.reason, detail.sent) == (Reason.VENDOR_NOT_CONFIGURED, AttemptFailure.SENT_NOTHING)
    assert [slot.state for slot in described.slots] == [DescribeResponse.STATE_MISSING]
    assert checked.results[0].reason == "VENDOR_NOT_CONFIGURED"


async def test_every_slot_is_described_and_used_with_its_own_key(sim: Simulator) -> None:
    env = KEYS | {"GROQ_API_KEY_2": "gsk_canary2222", "GROQ_API_KEY_3": "malformed"}
    async with provider("groq", sim.base_url("groq") + "/openai/v1", env) as stub:
        described = await stub.Describe(DescribeRequest(), timeout=10)
        asked = asking("groq")
        asked["target"].slot = 2
        await stub.Generate(GenerateRequest(**asked), timeout=10)
    assert (described.vendor, described.dialect, described.endpoint_host) == ("groq", "openai", "127.0.0.1")
    assert [(slot.slot, slot.state) for slot in described.slots] == [
        (1, DescribeResponse.STATE_CONFIGURED),
        (2, DescribeResponse.STATE_CONFIGURED),
        (3, DescribeResponse.STATE_MALFORMED),
    ]
    assert (await sim.arrivals("groq"))[-1]["key_last4"] == "2222"


async def test_a_local_server_is_described_with_its_models_and_as_unreachable_when_it_is(sim: Simulator) -> None:
    async with serving(sim, "ollama") as stub:
        described = await stub.Describe(DescribeRequest(), timeout=10)
    assert "llama3.1:8b" in [model.id for model in described.models]
    assert described.models[0].listed_at.seconds > 0
    async with provider("ollama", "http://127.0.0.1:1") as stub:
        described = await stub.Describe(DescribeRequest(), timeout=10)
    assert [slot.state for slot in described.slots] == [DescribeResponse.STATE_UNREACHABLE]


async def test_a_cancelled_call_closes_the_vendors_connection_at_once(sim: Simulator) -> None:
    await sim.set_latency("groq", 0, 20)
    async with serving(sim, "groq") as stub:
        call = stub.StreamGenerate(StreamGenerateRequest(**asking("groq", "tokens: 500")), timeout=30)
        async for _response in call:
            break
        call.cancel()
        loop = asyncio.get_running_loop()
        cancelled = loop.time()
        closed = False
        while not closed and loop.time() - cancelled < 5:
            closed = (await sim.arrivals("groq"))[-1]["outcome"] == "client_closed"
        assert closed  # long before the ten seconds of its answer


async def test_pieces_that_arrive_together_travel_together_and_the_first_at_once() -> None:
    go_on = asyncio.Event()

    def chunk(text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(chunk("a"))
        await go_on.wait()
        await response.write(b"".join(chunk(str(n)) for n in range(30)) + chunk("z", "stop"))
        return response

    async with http_vendor(handler) as url, provider("openai", url) as stub:
        call = stub.StreamGenerate(StreamGenerateRequest(**asking("openai")), timeout=10)
        responses = aiter(call)
        first = await anext(responses)
        assert [delta.text for delta in first.deltas.deltas] == ["a"]
        go_on.set()
        rest = [response async for response in responses]
    assert [len(response.deltas.deltas) for response in rest] == [31, 0]


async def test_what_the_vendor_cannot_take_is_warned_of_or_refused(sim: Simulator) -> None:
    async with serving(sim, "groq") as stub:
        asked = asking("groq") | {"prompt": prompt(sampling={"top_logprobs": 2, "top_k": 3})}
        whole = await stub.Generate(GenerateRequest(**asked), timeout=10)
        assert {warning.field for warning in whole.completion.warnings} == {"sampling.top_logprobs", "sampling.top_k"}
        refused = asking("groq") | {"prompt": prompt(sampling={"n": 2})}
        error, detail = await failing(stub.Generate(GenerateRequest(**refused), timeout=10))
    assert (error.reason, detail.sent) == (Reason.VENDOR_UNSUPPORTED, AttemptFailure.SENT_NOTHING)
    assert [violation.field for violation in error.fields] == ["sampling.n"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (GenerateRequest(target=Target(), prompt=prompt()), "target.model"),
        (GenerateRequest(target=Target(model="m")), "prompt.messages"),
    ],
)
async def test_a_request_without_what_is_required_names_the_field(
    sim: Simulator, request_: GenerateRequest, field: str
) -> None:
    async with serving(sim, "groq") as stub:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.Generate(request_, timeout=10)
    refused = status.from_rpc_error(error.value)
    assert (refused.reason, refused.fields[0].field) == (Reason.INVALID_REQUEST, field)


async def test_models_outside_the_catalogue_are_one_label_in_the_metrics(sim: Simulator) -> None:
    def series() -> int:
        return sum(len(family.samples) for family in REGISTRY.collect() if "vendor" in family.name)

    async with serving(sim, "openai") as stub:
        for number in range(40):
            asked = asking("openai")
            asked["target"].model = f"made-up-{number}"
            await failing(stub.Generate(GenerateRequest(**asked), timeout=10))
            if number == 0:
                before = series()
    assert series() == before
    labels = {"vendor": "openai", "model": "other", "outcome": "VENDOR_NOT_FOUND"}
    assert (REGISTRY.get_sample_value("mesh_vendor_requests_total", labels) or 0) >= 40


async def test_the_vendors_answer_to_a_redirect_is_a_fault_of_its_server() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})

    async with http_vendor(handler) as url, provider("openai", url) as stub:
        error, detail = await failing(stub.Generate(GenerateRequest(**asking("openai")), timeout=10))
    assert (error.reason, detail.http_status) == (Reason.VENDOR_SERVER, 302)
