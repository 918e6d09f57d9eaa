"""`llm-mesh vendors check` against a mesh that says what the test tells it to."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fixtures import fake_mesh
from fixtures.eventually import eventually
from fixtures.fake_mesh import FakeMesh
from llmmesh.router.v1 import router_pb2
from typer.testing import CliRunner

from llm_mesh.checks.ask import Question, ask
from llm_mesh.cli import check, session
from llm_mesh.cli.app import command_line
from llm_mesh.cli.check import Streams, Wish
from llm_mesh.cli.outcome import Exit, UnreachableError
from llm_mesh.ports import free_addresses
from meshkit.errors import MeshError, Reason, StartError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
async def mesh() -> AsyncIterator[FakeMesh]:
    async with fake_mesh.fake_mesh() as running:
        running.keys = [key("beta", 1), key("alpha", 2), key("alpha", 1)]
        running.models = [model("alpha/a-1", 2.0), model("alpha/a-2", 0.5), model("beta/b-1", 1.0)]
        yield running


def key(vendor: str, slot: int, state: str = "well_formed", reason: str = "", message: str = "") -> Any:
    told = router_pb2.CheckVendorsResponse(vendor=vendor, slot=slot, key=state, reason=reason, message=message)
    told.accepted = not reason
    if not reason:
        told.latency.FromMilliseconds(30)
    return told


def model(name: str, price: float = 1.0, kind: str = "chat") -> router_pb2.Model:
    nanos = int(price * 1_000_000_000)
    return router_pb2.Model(
        id=name,
        vendor=name.partition("/")[0],
        model=name.partition("/")[2],
        status="active",
        model_class=kind,
        usable=True,
        input_price_nanos=nanos,
        output_price_nanos=nanos,
    )


async def checked(
    mesh: FakeMesh, *vendors: str, report: Path | None = None, as_json: bool = False, **wish: Any
) -> Exit:
    return await check.show(Wish(vendors, **wish), report, mesh.address, sandboxed=False, as_json=as_json)


async def test_every_key_is_a_row_and_all_working_is_success(mesh: FakeMesh, capsys: Capture) -> None:
    assert await checked(mesh) is Exit.DONE
    told = capsys.readouterr()
    head, *rows = told.out.splitlines()
    assert head.split() == ["vendor", "slot", "key", "accepted", "latency", "why", "not"]
    assert [row.split()[:5] for row in rows] == [
        ["alpha", "1", "well-formed", "yes", "30"],
        ["alpha", "2", "well-formed", "yes", "30"],
        ["beta", "1", "well-formed", "yes", "30"],
    ]
    assert told.err == ""
    assert len(mesh.asked) == 1, "only the keys are asked about"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (key("beta", 1, reason="VENDOR_AUTH", message="no such key"), "no VENDOR_AUTH: no such key"),
        (key("beta", 1, "malformed", "VENDOR_NOT_CONFIGURED", "too short"), "no VENDOR_NOT_CONFIGURED: too short"),
        (key("beta", 0, "unreachable", "VENDOR_UNREACHABLE", "gone"), "no VENDOR_UNREACHABLE: gone"),
    ],
)
async def test_one_key_that_does_not_work_is_a_failure_with_its_reason(
    mesh: FakeMesh, capsys: Capture, bad: Any, words: str
) -> None:
    mesh.keys = [key("alpha", 1), bad]
    assert await checked(mesh) is Exit.FAILED
    assert words in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("state", ["missing", "disabled"])
async def test_a_vendor_without_a_key_matters_only_when_it_is_named(
    mesh: FakeMesh, capsys: Capture, state: str
) -> None:
    mesh.keys = [key("alpha", 1), key("beta", 1, state, "VENDOR_NOT_CONFIGURED", "no API key")]
    assert await checked(mesh) is Exit.DONE
    assert "beta" not in capsys.readouterr().out
    assert await checked(mesh, "beta") is Exit.FAILED
    assert "no API key" in capsys.readouterr().out


async def test_a_local_server_that_is_down_is_shown_and_fails_only_when_it_is_named(
    mesh: FakeMesh, capsys: Capture
) -> None:
    mesh.keys = [key("alpha", 1), key("beta", 1, "unreachable", "VENDOR_UNREACHABLE", "connection refused")]
    assert await checked(mesh) is Exit.DONE
    assert "connection refused" in capsys.readouterr().out
    assert await checked(mesh, "beta") is Exit.FAILED


async def test_a_key_of_a_vendor_that_ended_is_shown_and_fails_only_when_it_is_named(
    mesh: FakeMesh, capsys: Capture
) -> None:
    mesh.keys = [key("alpha", 1), key("beta", 1, reason="VENDOR_RETIRED", message="ended on 2026-07-30")]
    assert await checked(mesh) is Exit.DONE
    assert "ended on 2026-07-30" in capsys.readouterr().out
    assert await checked(mesh, "beta") is Exit.FAILED


async def test_no_key_at_all_is_a_failure_that_says_what_to_do(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.keys = [key("alpha", 1, "missing", "VENDOR_NOT_CONFIGURED", "no API key")]
    assert await checked(mesh) is Exit.FAILED
    assert "no key is configured: put one into .env" in capsys.readouterr().out


async def test_a_vendor_that_is_named_gets_one_short_call_to_its_cheapest_model(
    mesh: FakeMesh, capsys: Capture
) -> None:
    assert await checked(mesh, "alpha") is Exit.DONE
    assert "alpha/a-2: ok" in capsys.readouterr().out.splitlines()
    (asked,) = [request for request in mesh.asked if isinstance(request, router_pb2.GenerateRequest)]
    assert (asked.intent.model, asked.intent.strict) == ("alpha/a-2", True)
    assert 0 < asked.prompt.sampling.max_output_tokens <= 64


async def test_of_models_that_cost_the_same_one_that_answers_without_thinking_is_called(
    mesh: FakeMesh, capsys: Capture
) -> None:
    mesh.models = [model("alpha/a-0", 0.5, "reasoning"), *mesh.models, model("alpha/a-9", 0.1, "embedding")]
    await checked(mesh, "alpha")
    assert "alpha/a-2: ok" in capsys.readouterr().out


async def test_a_cheaper_model_without_room_gives_way_to_the_next(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.plans = {"alpha/a-2": fake_mesh.plan(room=False)}
    await checked(mesh, "alpha")
    assert "alpha/a-1: ok" in capsys.readouterr().out


async def test_a_vendor_whose_keys_are_rejected_is_not_called(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.keys = [key("alpha", 1, reason="VENDOR_AUTH", message="no such key")]
    assert await checked(mesh, "alpha") is Exit.FAILED
    assert not any(isinstance(request, router_pb2.GenerateRequest) for request in mesh.asked)


async def test_every_model_is_asked_both_ways_and_told_in_two_summaries(mesh: FakeMesh, capsys: Capture) -> None:
    assert await checked(mesh, all_models=True) is Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    for name in ("non-streaming", "streaming"):
        at = lines.index(f"{name}: 3 of 3 models ok")
        assert lines[at + 1 : at + 4] == ["alpha/a-1: ok", "alpha/a-2: ok", "beta/b-1: ok"]


async def test_a_model_that_makes_vectors_is_asked_for_one_and_never_streamed(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.models = [model("alpha/vectors", 0.1, "embedding")]
    assert await checked(mesh, all_models=True) is Exit.DONE
    told = capsys.readouterr().out
    assert "non-streaming: 1 of 1 model ok\nalpha/vectors: ok\n" in told
    assert "\nstreaming: " not in told
    (asked,) = [request for request in mesh.asked if isinstance(request, router_pb2.EmbedRequest)]
    assert (asked.intent.model, asked.intent.strict, len(asked.texts)) == ("alpha/vectors", True, 1)
    await checked(mesh, all_models=True, streams=Streams.STREAM)
    assert "alpha/vectors: not asked: it makes vectors, which are never streamed\n" in capsys.readouterr().out


async def test_a_vector_of_zeros_is_a_fault_of_form(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.models = [model("alpha/vectors", 0.1, "embedding")]
    mesh.scripts["alpha/vectors"] = fake_mesh.vectors("alpha/vectors", 0.0)
    assert await checked(mesh, all_models=True) is Exit.FAILED
    assert "alpha/vectors: wrong form: a vector of 1 numbers that are all zero" in capsys.readouterr().out


@pytest.mark.parametrize(("streams", "kinds"), [(Streams.WHOLE, {False}), (Streams.STREAM, {True})])
async def test_one_way_of_asking_can_be_chosen(
    mesh: FakeMesh, capsys: Capture, streams: Streams, kinds: set[bool]
) -> None:
    await checked(mesh, all_models=True, streams=streams, as_json=True)
    assert {one["streamed"] for one in json.loads(capsys.readouterr().out)["models"]} == kinds


BROKEN = MeshError(Reason.VENDOR_SERVER, "alpha spoke nonsense")


async def test_a_model_that_fails_is_told_with_its_reason_and_the_others_go_on(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["alpha/a-1"] = BROKEN
    assert await checked(mesh, all_models=True) is Exit.FAILED
    told = capsys.readouterr().out
    assert told.count("alpha/a-1: VENDOR_SERVER: alpha spoke nonsense\n") == 2
    assert "streaming: 2 of 3 models ok, 1 failed\n" in told


def denial(**skipped: int) -> MeshError:
    failure = router_pb2.RouteFailure(route=router_pb2.Route(skipped=skipped))
    return MeshError(Reason.BUDGET_EXHAUSTED, "no budget has room", retry_after=90, details=[failure])


NOT_IN_PLAN = MeshError(
    Reason.NO_OFFER,
    "the free plan of alpha does not include a-1",
    details=[router_pb2.RouteFailure(route=router_pb2.Route(skipped={"plan": 1}))],
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (denial(budget=1), "no quota: no budget has room; try again in 1 min 30 s"),
        (NOT_IN_PLAN, "no quota: the free plan of alpha does not include a-1"),
        (MeshError(Reason.VENDOR_THROTTLED, "slow down"), "no quota: slow down"),
    ],
)
async def test_a_quota_denial_is_told_as_one_and_fails_nothing(
    mesh: FakeMesh, capsys: Capture, error: MeshError, words: str
) -> None:
    mesh.scripts["alpha/a-1"] = error
    assert await checked(mesh, all_models=True, streams=Streams.WHOLE) is Exit.DONE
    told = capsys.readouterr().out
    assert f"alpha/a-1: {words}\n" in told
    assert "non-streaming: 2 of 3 models ok, 1 without quota\n" in told


async def test_a_rejected_key_is_no_quota_denial_though_no_budget_has_room(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["alpha/a-1"] = denial(key_rejected=1)
    assert await checked(mesh, all_models=True, streams=Streams.WHOLE) is Exit.FAILED
    assert "alpha/a-1: BUDGET_EXHAUSTED: no budget has room" in capsys.readouterr().out


async def test_denied_everywhere_proves_nothing(mesh: FakeMesh) -> None:
    mesh.scripts = {each.id: denial(budget=1) for each in mesh.models}
    assert await checked(mesh, all_models=True) is Exit.FAILED


async def test_who_waits_is_asked_again_when_a_quota_has_room(mesh: FakeMesh) -> None:
    answers: list[Any] = ["Blue.", MeshError(Reason.VENDOR_THROTTLED, "slow down", retry_after=0.001)]
    mesh.scripts["alpha/a-1"] = lambda _: answers.pop()
    question = Question("alpha/a-1", check.PROMPT, streamed=False, patience=1)
    async with session.router(mesh.address) as way:
        assert (await ask(way, question)).outcome == "ok"
        answers[:] = ["Blue.", MeshError(Reason.VENDOR_THROTTLED, "slow down", retry_after=2)]
        assert (await ask(way, question)).outcome == "denied"


async def test_an_answer_of_the_wrong_form_is_a_failure_with_each_fault(mesh: FakeMesh, capsys: Capture) -> None:
    begin, *deltas, end = fake_mesh.stream("Blue.", "beta/b-1")
    end.finish.usage.input_tokens = 0
    mesh.scripts["beta/b-1"] = lambda request: (
        [*deltas, begin, end] if isinstance(request, router_pb2.StreamGenerateRequest) else "Blue."
    )
    assert await checked(mesh, all_models=True) is Exit.FAILED
    told = capsys.readouterr().out
    assert "beta/b-1: wrong form: the stream begins with deltas instead of start; usage: 0 input tokens" in told
    assert "non-streaming: 3 of 3 models ok\n" in told


async def test_a_stream_without_its_finish_is_a_failure(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["beta/b-1"] = fake_mesh.stream("Blue.", "beta/b-1")[:-1]
    assert await checked(mesh, "beta", all_models=True, streams=Streams.STREAM) is Exit.FAILED
    assert "beta/b-1: STREAM_INCOMPLETE" in capsys.readouterr().out


async def test_the_report_has_both_summaries_and_the_faults_of_form(
    mesh: FakeMesh, tmp_path: Path, capsys: Capture
) -> None:
    mesh.scripts["alpha/a-1"] = MeshError(Reason.VENDOR_SERVER, "a | b")
    mesh.scripts["beta/b-1"] = lambda request: (
        fake_mesh.stream(" ", "beta/b-1") if isinstance(request, router_pb2.StreamGenerateRequest) else "Blue."
    )
    report = tmp_path / "report.md"
    await checked(mesh, all_models=True, report=report)
    page = report.read_text(encoding="utf-8")
    sections = dict(part.partition("\n")[::2] for part in page.split("\n## "))
    assert set(sections) >= {"Keys", "Non-streaming", "Streaming", "Faults of form"}
    assert "2 of 3 models ok, 1 failed." in sections["Non-streaming"]
    assert "| alpha/a-1 | VENDOR_SERVER: a \\| b |" in sections["Non-streaming"]
    assert "1 of 3 models ok, 1 failed, 1 of the wrong form." in sections["Streaming"]
    assert "- `beta/b-1`, streaming: the answer is empty and gives no reason" in sections["Faults of form"]


async def test_a_report_that_cannot_be_written_is_refused_before_anything_is_asked(
    mesh: FakeMesh, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match=r"no/such/report\.md: cannot be written"):
        await checked(mesh, all_models=True, report=tmp_path / "no" / "such" / "report.md")
    assert mesh.asked == []


async def test_json_is_one_object_with_keys_and_models(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["alpha/a-1"] = BROKEN
    await checked(mesh, all_models=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["finished"]) == (False, True)
    assert [(each["vendor"], each["slot"], each["accepted"]) for each in told["keys"]] == [
        ("alpha", 1, True),
        ("alpha", 2, True),
        ("beta", 1, True),
    ]
    by_model = {(each["model"], each["streamed"]): each for each in told["models"]}
    assert by_model["alpha/a-1", True]["outcome"] == "failed"
    good = by_model["beta/b-1", True]
    assert (good["outcome"], good["finish_reason"], good["cost_usd"]) == ("ok", "stop", 0.001234)
    assert good["tokens_per_second"] > 0
    assert 0 < good["first_token_seconds"] <= good["seconds"]


async def test_at_most_two_models_of_a_vendor_are_asked_at_once_and_vendors_at_the_same_time(mesh: FakeMesh) -> None:
    mesh.models = [model(f"{vendor}/m-{number}") for vendor in ("alpha", "beta", "gamma") for number in range(6)]
    running: Counter[str] = Counter()
    highest: Counter[str] = Counter()
    together = asyncio.Event()

    async def slowly(request: Any) -> str:
        vendor = request.intent.model.partition("/")[0]
        for whose in (vendor, "all"):
            running[whose] += 1
            highest[whose] = max(highest[whose], running[whose])
        if running["all"] == 6:
            together.set()
        await asyncio.wait_for(together.wait(), 30)
        await asyncio.sleep(0.01)  # for a seventh, were there one
        running.subtract((vendor, "all"))
        return "Blue."

    mesh.scripts = {each.id: slowly for each in mesh.models}
    await checked(mesh, all_models=True, streams=Streams.WHOLE)
    assert highest == {"alpha": 2, "beta": 2, "gamma": 2, "all": 6}


async def test_an_interruption_tells_what_is_done_so_far(mesh: FakeMesh, tmp_path: Path, capsys: Capture) -> None:
    mesh.scripts["beta/b-1"] = lambda _: asyncio.Event().wait()
    report = tmp_path / "report.md"
    running = asyncio.create_task(checked(mesh, all_models=True, streams=Streams.WHOLE, report=report))
    await eventually(lambda: sum(isinstance(request, router_pb2.GenerateRequest) for request in mesh.asked) == 3)
    await asyncio.sleep(0.1)  # for the two answers to arrive
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    told = capsys.readouterr().out
    assert "alpha/a-1: ok" in told
    assert "Interrupted: 2 of 3 calls were made, 3 keys checked." in told
    assert "Interrupted: 2 of 3 calls were made" in report.read_text(encoding="utf-8")


async def test_a_mesh_that_is_not_there_is_told_apart() -> None:
    with pytest.raises(UnreachableError, match="start it with `llm-mesh up`"):
        await check.show(Wish(), None, free_addresses(1)[0], sandboxed=False, as_json=False)


@pytest.mark.parametrize("group", ["vendors", "providers"])
def test_both_spellings_have_the_same_commands(group: str) -> None:
    told = CliRunner().invoke(command_line(), [group, "--help"])
    assert told.exit_code == 0
    for command in ("check", "new"):
        assert f"\n  {command} " in told.stdout


def test_options_before_the_subcommand_are_refused_instead_of_ignored() -> None:
    told = CliRunner().invoke(command_line(), ["vendors", "--json", "check"])
    assert told.exit_code == 2
    assert "options go behind `check`" in told.stderr
