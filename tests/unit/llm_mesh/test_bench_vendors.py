"""`llm-mesh bench vendors`: what passes, what is measured, and how models stand beside one another."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures import fake_mesh
from fixtures.fake_mesh import FakeMesh
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.checks.ask import Question, Reply
from llm_mesh.checks.content import Call, Content
from llm_mesh.checks.figures import Measured, Times, relative_costs, times
from llm_mesh.checks.questions import questions, wrong
from llm_mesh.cli import bench
from llm_mesh.cli.bench import Wish
from llm_mesh.cli.outcome import Exit
from meshkit.errors import MeshError, Reason, StartError

Capture = pytest.CaptureFixture[str]
COUNTED = " ".join(map(str, range(1, 6)))


def reply(
    text: str = "", *, finish: str = "stop", tokens: int = 9, error: Exception | None = None, **more: Any
) -> Reply:
    calls = {0: Call("get_weather", more.pop("arguments"))} if "arguments" in more else {}
    return Reply(
        question=Question("alpha/a-1", chat_pb2.Prompt()),
        seconds=2.0,
        first_piece=0.5,
        content=Content(text=text, calls=calls),
        finish=finish,
        usage=chat_pb2.Usage(input_tokens=5, output_tokens=tokens),
        error=error,  # type: ignore[arg-type]
        **more,
    )


RIGHT = {
    "arithmetic": reply(" 391\n"),
    "echo": reply('zeta-47; Ωmega, 3 < 5 & "done"'),
    "json": reply('{"age": 36, "name": "Ada", "city": "Turin"}'),
    "stop": reply(f"{COUNTED} "),
    "list": reply("apple\n\npear\nplum\n"),
    "language": reply("eau"),
    "date": reply("2024-03-06"),
    "system": reply("PINEAPPLE"),
    "tool": reply(arguments='{"city": "Oslo, Norway"}', finish="tool_calls"),
    "limit": reply("one two three", finish="length", tokens=16),
}
WRONG = [
    ("arithmetic", reply("The answer is 391"), "is not what was asked for"),
    ("arithmetic", reply("401"), '"401" is not what was asked for'),
    ("echo", reply('zeta-47; Omega, 3 < 5 & "done"'), "is not what was asked for"),
    ("json", reply('```json\n{"age": 36, "name": "Ada", "city": "Turin"}\n```'), "is no JSON object"),
    ("json", reply('{"age": "36", "name": "Ada", "city": "Turin"}'), "with just name, age, city"),
    ("json", reply('{"age": 36, "name": "Ada"}'), "is no JSON object"),
    ("json", reply("[1]"), "is no JSON object"),
    ("stop", reply("1 2 3 4 5 6 7 8 9"), "is not what was asked for"),
    ("stop", reply(COUNTED, finish="length"), "it ended with `length` instead of `stop`"),
    ("list", reply("apple\npear"), "2 lines instead of 3"),
    ("language", reply("Wasser"), "is not what was asked for"),
    ("date", reply("2024-03-07"), "is not what was asked for"),
    ("system", reply("Paris"), "is not what was asked for"),
    ("tool", reply("It is cold."), "0 calls instead of one of get_weather"),
    ("tool", reply(arguments='{"city": "Bergen"}', finish="tool_calls"), 'the call\'s `city` is "Bergen"'),
    ("tool", reply(arguments="{", finish="tool_calls"), "the call's `city` is null"),
    ("limit", reply("one two", finish="stop"), "it ended with `stop` instead of `length`"),
    ("limit", reply("one two", finish="length", tokens=17), "17 output tokens, more than 16"),
    ("date", reply("2024-03-06", faults=("no usage",)), "no usage"),
    ("date", reply(error=MeshError(Reason.VENDOR_SERVER, "nonsense")), "VENDOR_SERVER: nonsense"),
]


def test_there_are_ten_questions_and_each_can_be_passed() -> None:
    assert set(RIGHT) == set(questions())
    assert len(RIGHT) == 10
    assert {name: wrong(questions()[name], good) for name, good in RIGHT.items()} == {name: [] for name in RIGHT}


def test_every_question_can_be_failed() -> None:
    assert {name for name, _, _ in WRONG} == set(questions())


@pytest.mark.parametrize(("name", "bad", "why"), WRONG)
def test_an_answer_is_wrong_when(name: str, bad: Reply, why: str) -> None:
    assert why in "; ".join(wrong(questions()[name], bad))


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100])
def test_the_95th_percentile_is_the_value_that_95_of_100_do_not_exceed(count: int) -> None:
    found = times([float(number) for number in range(count, 0, -1)])
    assert found is not None
    assert found.mean == pytest.approx((count + 1) / 2)
    assert sum(number <= found.p95 for number in range(1, count + 1)) >= 0.95 * count
    assert sum(number < found.p95 for number in range(1, count + 1)) < 0.95 * count


def test_nothing_measured_has_no_times() -> None:
    nothing = Measured("alpha/a-1", None)
    assert (times([]), nothing.total, nothing.first_token, nothing.tokens_per_second, nothing.quality) == (None,) * 5


def test_what_no_quota_had_room_for_neither_passes_nor_fails() -> None:
    measured = Measured("alpha/a-1", 1)
    measured.add("date", RIGHT["date"], [])
    measured.add("echo", reply("no"), ["no"])
    measured.add("json", reply(error=MeshError(Reason.VENDOR_THROTTLED, "slow down")), ["slow down"])
    assert (measured.asked, measured.passed, measured.unasked) == (2, 1, 1)
    assert (measured.pass_rate, measured.quality) == (0.5, 2.5)
    assert set(measured.wrong) == {"echo", "json"}


def test_failed_calls_count_as_not_passed_but_not_as_fast() -> None:
    measured = Measured("alpha/a-1", 1)
    measured.add("date", RIGHT["date"], [])
    measured.add("echo", reply(error=MeshError(Reason.VENDOR_SERVER, "nonsense"), cost_nanos=7), ["nonsense"])
    assert (measured.pass_rate, measured.total, measured.cost_nanos) == (0.5, Times(2.0, 2.0), 7)
    assert measured.tokens_per_second == 4.5


def test_relative_cost_is_the_list_price_beside_the_cheapest_that_has_one_and_local_is_free() -> None:
    measured = [Measured("a/dear", 900), Measured("a/cheap", 300), Measured("b/local", 0), Measured("b/unknown", None)]
    assert relative_costs(measured) == {"a/dear": 3.0, "a/cheap": 1.0, "b/local": 0.0, "b/unknown": None}
    assert relative_costs(measured[2:3]) == {"b/local": 0.0}


@pytest.fixture
async def mesh() -> AsyncIterator[FakeMesh]:
    async with fake_mesh.fake_mesh() as running:
        running.models = [model("alpha/a-1", 4), model("alpha/a-2", 2), model("home/h-1", 0, "local")]
        running.scripts = {each.id: right for each in running.models}
        yield running


def model(name: str, price: int, kind: str = "chat") -> router_pb2.Model:
    vendor, _, own = name.partition("/")
    nanos = price * 1_000_000_000
    return router_pb2.Model(
        id=name,
        vendor=vendor,
        model=own,
        status="active",
        model_class=kind,
        usable=True,
        input_price_nanos=nanos,
        output_price_nanos=nanos,
    )


def right(request: Any) -> list[Any]:
    """Answer as a good model would; a question this test does not know is answered badly."""
    asked = request.prompt.messages[-1].parts[0].text.text
    name = next(name for name, row in questions().items() if row.ask == asked)
    good = RIGHT[name]
    if good.content.calls:
        called = chat_pb2.ToolCall(id="c", name="get_weather", arguments_json=good.content.calls[0].arguments)
        begin, end = fake_mesh.stream("", request.intent.model, chat_pb2.FINISH_REASON_TOOL_CALLS)
        return [begin, fake_mesh.deltas(chat_pb2.Delta(tool_call=called)), end]
    ends = chat_pb2.FINISH_REASON_LENGTH if good.finish == "length" else chat_pb2.FINISH_REASON_STOP
    return fake_mesh.stream(good.content.text, request.intent.model, ends)


async def test_every_model_is_asked_every_question_in_every_round(mesh: FakeMesh, capsys: Capture) -> None:
    assert await bench.show(Wish(rounds=2), mesh.address, sandboxed=False, as_json=True) is Exit.DONE
    asked = [request for request in mesh.asked if isinstance(request, router_pb2.StreamGenerateRequest)]
    assert Counter(request.intent.model for request in asked) == {each.id: 20 for each in mesh.models}
    told = {f"{row['vendor']}/{row['model']}": row for row in json.loads(capsys.readouterr().out)["models"]}
    assert {name: (row["passed"], row["asked"], row["quality"]) for name, row in told.items()} == {
        each.id: (20, 20, 5.0) for each in mesh.models
    }
    assert [told[each.id]["relative_cost"] for each in mesh.models] == [2.0, 1.0, 0.0]
    row = told["alpha/a-1"]
    assert 0 < row["first_token_seconds"] <= row["seconds"] <= row["p95_seconds"]
    assert row["cost_nanos"] == 20 * 1_234_000


async def test_the_table_has_the_promised_columns(mesh: FakeMesh, capsys: Capture) -> None:
    mesh.scripts["alpha/a-2"] = lambda request: fake_mesh.stream("no idea", request.intent.model)
    await bench.show(Wish(), mesh.address, sandboxed=False, as_json=False)
    told = capsys.readouterr().out.splitlines()
    for column in ("vendor", "model", "first token", "seconds", "p95", "tokens/s", "quality", "cost", "relative cost"):
        assert column in told[0]
    lines = {line.split()[1]: line for line in told[1:4]}
    assert lines["h-1"].endswith("free")
    assert "10/10" in lines["a-1"]
    assert "0/10" in lines["a-2"]


async def test_a_model_that_never_answers_is_a_failure(mesh: FakeMesh) -> None:
    mesh.scripts["alpha/a-1"] = MeshError(Reason.VENDOR_SERVER, "nonsense")
    assert await bench.show(Wish(), mesh.address, sandboxed=False, as_json=True) is Exit.FAILED


async def test_no_model_to_ask_is_one_clear_line(mesh: FakeMesh) -> None:
    mesh.models = [model("alpha/vectors", 1, "embedding")]
    with pytest.raises(StartError, match=r"no model of alpha can be asked \(`llm-mesh vendors` says why\)"):
        await bench.show(Wish(("alpha",)), mesh.address, sandboxed=False, as_json=False)
