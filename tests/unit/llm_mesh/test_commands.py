"""The commands, against a mesh that says what the test tells it to."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures import fake_mesh
from fixtures.fake_mesh import FakeMesh
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import chat, explain, models, options, outcome, status, vendors
from llm_mesh.cli.outcome import Exit, UnreachableError
from llm_mesh.ports import free_addresses
from meshkit.errors import MeshError, Reason

Capture = pytest.CaptureFixture[str]


@pytest.fixture
async def mesh() -> AsyncIterator[FakeMesh]:
    async with fake_mesh.fake_mesh() as running:
        yield running


def question(prompt: str = "hi", **choices: Any) -> chat.Question:
    request = router_pb2.StreamGenerateRequest(intent=options.intent(), prompt=options.prompt(prompt))
    return chat.Question(request, **choices)


async def test_chat_prints_the_answer_then_the_route_and_the_cost(mesh: FakeMesh, capsys: Capture) -> None:
    assert await chat.ask(question(), mesh.address, as_json=False) is Exit.DONE
    answer, *rest = capsys.readouterr().out.splitlines()
    assert answer == "Hello, world."
    assert "1. alpha/a-1#1: served" in rest[0]
    assert any("cost: $0.001234" in line for line in rest)
    assert any("warning: sampling.seed dropped: alpha takes no seed" in line for line in rest)


async def test_chat_prints_pieces_as_they_come(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.fail_after, mesh.error = 2, MeshError(Reason.STREAM_INCOMPLETE, "alpha broke off")
    with pytest.raises(MeshError):
        await chat.ask(question(), mesh.address, as_json=False)
    assert capsys.readouterr().out.startswith("Hello, \n")


async def test_a_quiet_chat_prints_the_answer_alone(mesh: FakeMesh, capsys: Capture) -> None:
    await chat.ask(question(quiet=True), mesh.address, as_json=False)
    assert capsys.readouterr().out == "Hello, world.\n"


async def test_a_whole_answer_looks_like_a_streamed_one(mesh: FakeMesh, capsys: Capture) -> None:
    await chat.ask(question(whole=True), mesh.address, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("Hello, world.", "  cost: $0.001234")


@pytest.mark.parametrize("whole", [False, True])
async def test_chat_in_json_is_one_object(mesh: FakeMesh, capsys: Capture, whole: bool) -> None:
    await chat.ask(question(whole=whole), mesh.address, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "Hello, world."
    assert told["finish_reason"] == "stop"
    assert told["route"]["offer"] == "alpha/a-1#1"
    assert told["usage"]["cost_usd"] == 0.001234


async def test_chat_asks_for_what_the_options_say(mesh: FakeMesh) -> None:
    intent = options.intent("code_generation", options.Tier.ULTRA_ECONOMY, ["alpha/a-1"], strict=True)
    prompt = options.prompt("hi", "be brief", max_tokens=5, temperature=0.5)
    request = router_pb2.StreamGenerateRequest(intent=intent, prompt=prompt)
    await chat.ask(chat.Question(request), mesh.address, as_json=True)
    asked = mesh.asked[0]
    assert (asked.intent.use_case, asked.intent.tier) == ("code_generation", router_pb2.TIER_ULTRA_ECONOMY)
    assert (asked.intent.model, asked.intent.strict) == ("alpha/a-1", True)
    assert [message.parts[0].text.text for message in asked.prompt.messages] == ["be brief", "hi"]
    assert (asked.prompt.sampling.max_output_tokens, asked.prompt.sampling.temperature) == (5, 0.5)


async def test_the_key_of_the_environment_is_sent(mesh: FakeMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_API_KEY", "client-key")
    await vendors.show(mesh.address, as_json=True)
    assert mesh.metadata[0]["authorization"] == "Bearer client-key"


async def test_a_failed_stream_shows_the_route_and_what_was_used(mesh: FakeMesh, capsys: Capture) -> None:
    failure = router_pb2.RouteFailure(route=fake_mesh.route(), partial_usage=fake_mesh.usage())
    mesh.error = MeshError(Reason.STREAM_INCOMPLETE, "alpha broke off", details=[failure])
    mesh.fail_after = 2
    with pytest.raises(MeshError):
        await chat.ask(question(), mesh.address, as_json=False)
    told = capsys.readouterr().out
    assert "1. alpha/a-1#1" in told
    assert "tokens: 12 in, 4 out" in told


async def test_a_failed_stream_in_json_has_the_error_and_what_was_received(mesh: FakeMesh, capsys: Capture) -> None:
    failure = router_pb2.RouteFailure(route=fake_mesh.route(), partial_usage=fake_mesh.usage())
    mesh.error = MeshError(Reason.STREAM_INCOMPLETE, "alpha broke off", details=[failure], retry_after=2)
    mesh.fail_after = 2
    assert await chat.ask(question(), mesh.address, as_json=True) is Exit.FAILED
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "Hello, "
    assert told["error"]["reason"] == "STREAM_INCOMPLETE"
    assert told["error"]["retry_after_seconds"] == 2
    assert told["error"]["partial_usage"]["input_tokens"] == 12


async def test_nobody_there_is_told_apart_from_a_refusal() -> None:
    address = free_addresses(1)[0]
    with pytest.raises(UnreachableError, match=f"cannot reach the mesh at {address}: start it with `llm-mesh up`"):
        await vendors.show(address, as_json=False)


def test_an_error_line_says_when_to_try_again_and_where_to_look() -> None:
    error = MeshError(Reason.BUDGET_EXHAUSTED, "alpha's day is used up", retry_after=7200)
    assert (
        outcome.sentence(error)
        == "alpha's day is used up; try again in 2 h 0 min (`llm-mesh status` shows the budgets)"
    )


async def test_explain_shows_the_plan_and_who_was_left_out(mesh: FakeMesh, capsys: Capture) -> None:
    assert await explain.show(router_pb2.ExplainRouteRequest(), mesh.address, as_json=False) is Exit.DONE
    told = capsys.readouterr().out
    assert "use case default, tier economy (at most $0.4 per million tokens), strategy priority" in told
    assert "alpha/a-1#1" in told
    assert "no API key for beta" in told


async def test_explain_names_the_budget_that_has_no_room(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.plan = fake_mesh.plan(room=False)
    await explain.show(router_pb2.ExplainRouteRequest(), mesh.address, as_json=False)
    assert "no: alpha/default/requests/day is used up, again in 60 min" in capsys.readouterr().out


async def test_explain_fails_when_there_is_no_plan(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.plan = router_pb2.ExplainRouteResponse(use_case="private")
    assert await explain.show(router_pb2.ExplainRouteRequest(), mesh.address, as_json=True) is Exit.FAILED
    assert json.loads(capsys.readouterr().out)["offers"] == []


async def test_status_says_who_serves_what_is_used_and_what_was_spent(mesh: FakeMesh, capsys: Capture) -> None:
    assert await status.show(mesh.address, mesh.address) is Exit.DONE
    told = capsys.readouterr().out
    assert "serving now (use case default): alpha/a-1#1" in told
    assert "warning: beta: beta rejected the key" in told
    assert "local fallback: none" in told
    assert "alpha/default/requests/day" in told
    assert "no API key for beta" in told
    assert "$0.0000015" in told


@pytest.mark.parametrize("as_json", [False, True])
async def test_status_fails_when_nothing_can_serve(mesh: FakeMesh, capsys: Capture, as_json: bool) -> None:
    mesh.plan = fake_mesh.plan(room=False)
    assert await status.show(mesh.address, mesh.address, as_json=as_json) is Exit.FAILED
    told = capsys.readouterr().out
    if as_json:
        assert json.loads(told)["can_serve"] is False
    else:
        assert "nothing can serve: alpha/a-1#1: alpha/default/requests/day" in told


async def test_status_without_a_quota_service_still_tells_the_rest(mesh: FakeMesh, capsys: Capture) -> None:
    address = free_addresses(1)[0]
    assert await status.show(mesh.address, address) is Exit.DONE
    told = capsys.readouterr().out
    assert f"cannot reach the quota service at {address}" in told.replace("\n", " ")


async def test_vendors_are_counted_by_what_they_can_do_now(mesh: FakeMesh, capsys: Capture) -> None:
    assert await vendors.show(mesh.address, as_json=False) is Exit.DONE
    assert "1 of 2 vendors active, 2 models" in capsys.readouterr().out
    await vendors.show(mesh.address, as_json=True)
    assert [vendor["status"] for vendor in json.loads(capsys.readouterr().out)["vendors"]] == ["active", "inactive"]


async def test_retired_models_are_listed_with_their_successors(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.models = [
        router_pb2.Model(id="alpha/old", status="retired", retired_on="2026-01-01", successor="alpha/new"),
        router_pb2.Model(id="alpha/new", status="active", input_price_nanos=150_000_000),
    ]
    await models.show(router_pb2.ListModelsRequest(all=True), mesh.address, retired=True, as_json=False)
    told = capsys.readouterr().out
    assert "2026-01-01" in told
    assert "1 model\n" in told
    await models.show(router_pb2.ListModelsRequest(), mesh.address, retired=False, as_json=False)
    assert "$0.15" in capsys.readouterr().out
