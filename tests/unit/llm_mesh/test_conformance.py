"""The conformance kit over real sockets, with recordings of a few lines written here."""

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.provider import served
from typer.testing import CliRunner, Result

from llm_mesh.cli.app import command_line
from llm_mesh.conformance import records, rows, run
from llm_mesh.conformance.replay import Replay
from meshkit.errors import StartError

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
SAID = {"role": "assistant", "content": "hello", "reasoning_content": "hm"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
FIELDS = [
    *("id", "vendor", "dialect", "outcome", "text", "reasoning", "tool_calls"),
    *("finish_reason", "usage", "error", "warnings"),
]


def record(name: str, body: str, *, kind: tuple[str, ...] = (), status: int = 200, **more: Any) -> dict[str, Any]:
    stream = "text/event-stream" if "stream" in kind else "application/json"
    response = {"status": status, "headers": {"content-type": stream}, "body": body, **more}
    request = {"method": "POST", "url": "https://vendor.test/v1/chat/completions", "json": {"model": "m"}}
    return {
        "id": name,
        "vendor": "other_acme",
        "dialect": "openai_chat",
        "kind": list(kind),
        "finish_reasons": [],
        "request": request,
        "response": response,
    }


def whole(message: dict[str, Any], finish: str = "stop") -> str:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE})


def streamed(*deltas: dict[str, Any]) -> str:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def written(directory: Path, *listed: dict[str, Any]) -> Path:
    (directory / "recorded.jsonl").write_text("".join(json.dumps(one) + "\n" for one in listed))
    return directory


def conformance(*words: Any) -> Result:
    return CliRunner().invoke(command_line(), ["conformance", *map(str, words)])


def test_each_record_is_printed_with_exactly_the_promised_fields(tmp_path: Path) -> None:
    odd = {**record("r3", "{}"), "dialect": "moderations"}
    called = record("r2", whole({"content": None, "tool_calls": [CALL]}, "tool_calls"))
    done = conformance(written(tmp_path, record("r1", whole(SAID)), called, odd), "--json")
    assert done.exit_code == 0
    first, second, third = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda one: one["id"])
    assert list(first) == FIELDS
    assert (first["outcome"], first["text"], first["reasoning"], first["finish_reason"]) == (
        "ok",
        "hello",
        "hm",
        "stop",
    )
    assert first["usage"] == {"input": 3, "output": 2, "cached": 0, "reasoning": 0}
    assert second["tool_calls"] == [{"id": "c1", "name": "look", "arguments": '{"a": 1}'}]
    assert third["outcome"] == "unsupported"


def test_an_error_is_printed_with_its_class_and_its_time(tmp_path: Path) -> None:
    throttled = record("r1", '{"error": {"message": "slow down"}}', kind=("error",), status=429)
    throttled["response"]["headers"]["retry-after"] = "7"
    done = conformance(written(tmp_path, throttled), "--json")
    (said,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert said["outcome"] == "fault"
    assert said["error"] == {"reason": "throttled", "retryable": True, "retry_after_s": 7.0}


def test_a_stream_is_served_in_the_chunks_it_came_in(tmp_path: Path) -> None:
    body = streamed({"content": "grüß"}, {"content": "e"})
    sizes = [7, 40, len(body.encode()) - 47]
    (read,) = records.read(written(tmp_path, record("r1", body, kind=("stream",), chunk_sizes=sizes)))
    assert [len(piece) for piece in read.pieces] == sizes
    assert conformance(tmp_path).exit_code == 0


def test_what_differs_from_the_expectation_is_told_and_fails(tmp_path: Path) -> None:
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps({"id": "r1", "outcome": "ok", "text": "good bye"}))
    done = conformance(written(tmp_path, record("r1", whole(SAID))), "--expected", expected)
    assert done.exit_code == 1
    assert "other_acme r1 openai_chat: text:" in done.stdout


def test_nonsense_in_a_good_answer_fails_without_any_expectation(tmp_path: Path) -> None:
    done = conformance(written(tmp_path, record("r1", '{"choices": [{"message": 7}]}')))
    assert done.exit_code == 1
    assert "a fault in a good answer" in done.stdout


def test_a_vendor_with_few_records_is_called_unproven(tmp_path: Path) -> None:
    few = conformance(written(tmp_path, record("r1", whole(SAID)))).stdout.splitlines()
    assert few[1].split() == ["other_acme", "1", "1", "0", "0", "unproven"]
    many = conformance(written(tmp_path, *(record(f"r{n}", whole(SAID)) for n in range(10)))).stdout.splitlines()
    assert many[1].split() == ["other_acme", "10", "10", "0", "0"]


def test_one_vendor_can_be_chosen_by_our_name_or_the_recordings(tmp_path: Path) -> None:
    ours = {**record("r2", whole(SAID)), "vendor": "moonshot"}
    written(tmp_path, record("r1", whole(SAID)), ours)
    for name in ("kimi", "moonshot"):
        done = conformance(tmp_path, "--vendor", name, "--json")
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["r2"]
    assert conformance(tmp_path, "--vendor", "nobody").exit_code == 1


async def test_anybodys_provider_service_is_compared_with_the_meshs_own_reading(tmp_path: Path) -> None:
    body = streamed({"content": "a"}, {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]})
    theirs = [
        {**record("r1", whole(SAID)), "vendor": "groq"},
        {**record("r2", body, kind=("stream",)), "vendor": "groq"},
    ]
    listed = records.read(written(tmp_path, *theirs))
    async with Replay() as free:
        url = free.url
    async with served("groq", url) as address:
        heard: list[str] = []
        found = [one async for one in run.elsewhere(address, url.removeprefix("http://"), listed, {}, heard.append)]
    assert [(one.outcome.kind, one.wrong) for one in found] == [("ok", ()), ("ok", ())]
    assert url in heard[0]


@pytest.mark.parametrize("line", ["{}", "[]", "no json", '{"id": "x", "response": {"body": "", "chunk_sizes": [3]}}'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(StartError, match=r"a\.jsonl:1"):
        records.read(tmp_path)


def test_every_row_of_a_recorded_vendor_can_be_built() -> None:
    for name, row in rows.recorded().vendors.items():
        for wire in row.wires:
            assert rows.vendor_of(name, wire, rows.dialect_of(name, wire)).id == rows.id_of(name)
