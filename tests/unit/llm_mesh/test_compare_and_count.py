"""`llm-mesh compare` and `llm-mesh count`, against a mesh that says what the test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures import fake_mesh
from fixtures.eventually import eventually
from fixtures.fake_mesh import FakeMesh
from llmmesh.router.v1 import router_pb2
from rich.console import Console

from llm_mesh.cli import compare, contenders, count, options
from llm_mesh.cli.contenders import Contender
from llm_mesh.cli.outcome import Exit
from meshkit.errors import MeshError, Reason

Capture = pytest.CaptureFixture[str]


@pytest.fixture
async def mesh() -> AsyncIterator[FakeMesh]:
    async with fake_mesh.fake_mesh() as running:
        yield running


def question(*models: str) -> router_pb2.CompareRequest:
    return router_pb2.CompareRequest(models=models, prompt=options.prompt("hi"))


async def test_each_model_has_its_latency_tokens_cost_and_the_beginning_of_its_answer(
    mesh: FakeMesh, capsys: Capture
) -> None:
    mesh.scripts["beta/b-1"] = "word " * 40
    assert await compare.show(question("alpha/a-1", "beta/b-1"), mesh.address) is Exit.DONE
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "latency", "first", "piece", "completion", "tokens", "cost", "answer"]
    assert first.rstrip().split(maxsplit=7) == [
        "alpha/a-1",
        "1.23",
        "s",
        "1.23",
        "s",
        "4",
        "$0.001234",
        "Hello, world.",
    ]
    assert second.split("$0.001234")[1].strip() == ("word " * 20).strip()


async def test_a_model_that_fails_shows_its_error_and_the_others_go_on(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["beta/b-1"] = MeshError(Reason.BUDGET_EXHAUSTED, "beta's day is used up", retry_after=7200)
    assert await compare.show(question("beta/b-1", "alpha/a-1"), mesh.address) is Exit.DONE
    _, failed, answered = capsys.readouterr().out.splitlines()
    assert "error: BUDGET_EXHAUSTED: beta's day is used up; try again in 2 h 0 min" in failed
    assert "Hello, world." in answered


async def test_when_none_answers_the_exit_code_says_so(mesh: FakeMesh) -> None:
    mesh.scripts["beta/b-1"] = MeshError(Reason.VENDOR_AUTH, "no")
    assert await compare.show(question("beta/b-1"), mesh.address, as_json=True) is Exit.FAILED


async def test_whole_answers_are_printed_when_wanted(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["alpha/a-1"] = "word " * 40
    await compare.show(question("alpha/a-1"), mesh.address, full=True)
    assert "word " * 40 in capsys.readouterr().out


async def test_in_json_every_model_is_an_object_with_its_answer_or_its_error(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["beta/b-1"] = MeshError(Reason.VENDOR_SERVER, "broken")
    await compare.show(question("alpha/a-1", "beta/b-1"), mesh.address, as_json=True)
    answered, failed = json.loads(capsys.readouterr().out)["models"]
    assert (answered["model"], answered["text"], answered["completion_tokens"]) == ("alpha/a-1", "Hello, world.", 4)
    assert (answered["cost_nanos"], answered["cost_usd"]) == (1_234_000, 0.001234)
    assert "error" not in answered
    assert (failed["error"]["reason"], failed["cost_nanos"]) == ("VENDOR_SERVER", None)


async def test_who_has_no_answer_when_the_mesh_gives_up_shows_why(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.fail_after, mesh.error = 99, MeshError(Reason.DEADLINE_EXCEEDED, "too late")
    models = question("alpha/a-1")
    told = [Contender("alpha/a-1"), Contender("beta/b-1")]
    async with compare.session.router(mesh.address) as way:
        await compare._ask(models, way, told, 5)
    assert [each.error for each in told] == ["", "DEADLINE_EXCEEDED: too late"]


async def test_what_the_mesh_refuses_is_an_error_and_no_table(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.error = MeshError(Reason.INVALID_REQUEST, "models: must be from 1 to 8, not 9")
    with pytest.raises(MeshError, match="from 1 to 8"):
        await compare.show(question("alpha/a-1"), mesh.address)
    assert capsys.readouterr().out == ""


async def test_an_interruption_shows_what_there_is(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.hang_after = 1
    running = asyncio.create_task(compare.show(question("alpha/a-1", "beta/b-1"), mesh.address))
    await eventually(lambda: mesh.asked)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    told = capsys.readouterr()
    assert [line.split()[0] for line in told.out.splitlines()] == ["model", "alpha/a-1", "beta/b-1"]
    assert "error: cancelled" in told.out
    assert told.err == "llm-mesh: interrupted; all calls were cancelled\n"


def test_growing_answers_stand_side_by_side(capsys: Capture) -> None:
    first, second = Contender("alpha/a-1"), Contender("beta/b-1")
    for event in fake_mesh.stream("Hello, world.", "alpha/a-1")[:-1]:
        told: Any = router_pb2.CompareResponse()
        getattr(told, event.WhichOneof("event")).CopyFrom(getattr(event, event.WhichOneof("event")))
        first.take(told)
    Console(width=60).print(contenders.side_by_side([first, second]))
    lines = capsys.readouterr().out.splitlines()
    assert any("alpha/a-1" in line and "beta/b-1" in line for line in lines)
    assert any("Hello, world." in line and "…" in line for line in lines)


async def test_counts_are_a_row_for_each_model(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.counts = [
        router_pb2.TokenCount(model="alpha/a-1", input_tokens=1_200, output_tokens=300, list_cost_nanos=1_500_000),
        router_pb2.TokenCount(model="beta/b-1", input_tokens=1_300, learned_from=9, left_out="no API key for beta"),
    ]
    assert await count.show(router_pb2.CountTokensRequest(), mesh.address, as_json=False) is Exit.DONE
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["alpha/a-1", "1,200", "300", "$0.0015", "unknown", "sizes", "alone"]
    assert "unknown" in second
    assert second.endswith("its last 9 answers  no API key for beta")


def test_labels_are_name_and_value() -> None:
    assert dict(options.intent(labels=["team=search", "job=a=b"]).labels) == {"team": "search", "job": "a=b"}
    for word, problem in (("team", "NAME=VALUE"), ("=x", "NAME=VALUE")):
        with pytest.raises(options.typer.BadParameter, match=problem):
            options.intent(labels=[word])
    with pytest.raises(options.typer.BadParameter, match="twice"):
        options.intent(labels=["a=1", "a=2"])
