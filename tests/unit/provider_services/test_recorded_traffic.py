"""Recorded exchanges of real vendors, read by a dialect and by a second, naive reader: both must find the same.

The recordings are no part of the project: $LLM_MESH_RECORDINGS names their directory.
"""

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from llmmesh.chat.v1.chat_pb2 import Delta

from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, HttpReply, VendorFault

DIRECTORY = os.environ.get("LLM_MESH_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not DIRECTORY, reason="LLM_MESH_RECORDINGS names no directory of recordings")
WIRES = {
    "openai_chat": "openai",
    "gemini_generate_content": "gemini",
    "gemini_stream_generate_content": "gemini",
    "ollama_chat": "ollama",
}


class Said(NamedTuple):
    """What one answer said, for comparison."""

    text: str
    reasoning: str
    calls: list[tuple[str, Any]]


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(Path(DIRECTORY).glob("*.jsonl")) if DIRECTORY else ():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record["dialect"] in WIRES:
                yield path.stem, record


RECORDS = list(records())
STREAMS = [row for row in RECORDS if "stream" in row[1]["kind"] and row[1]["response"]["status"] == 200]
WHOLES = [row for row in RECORDS if "stream" not in row[1]["kind"] and row[1]["response"]["status"] == 200]
ERRORS = [row for row in RECORDS if row[1]["response"]["status"] >= 400]


def ids(row: tuple[str, dict[str, Any]]) -> str:
    return f"{row[0]}-{row[1]['id']}"


def arguments(text: Any) -> Any:
    if not isinstance(text, str):
        return text or {}
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def texts(content: Any, kind: str = "text") -> str:
    if isinstance(content, dict):
        return "" if kind != "text" else json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    if isinstance(content, str) or content is None:
        return (content or "") if kind == "text" else ""
    found = [piece for piece in content if piece.get("type", "text") == kind]
    return "".join(piece.get("text") or texts(piece.get(kind)) for piece in found)


def chat(messages: list[dict[str, Any]]) -> Said:
    """Read whole messages, or deltas in their order."""
    calls: dict[Any, list[str]] = {}
    for message in messages:
        for number, called in enumerate(message.get("tool_calls") or ()):
            key = called.get("index", (id(message), number) if called.get("id") else next(reversed(calls), 0))
            name, text = calls.setdefault(key, ["", ""])
            function = called["function"]
            calls[key] = [name or function.get("name") or "", text + (function.get("arguments") or "")]
    reasoning = [
        message.get("reasoning_content") or message.get("reasoning") or texts(message.get("content"), "thinking")
        for message in messages
    ]
    said = "".join(texts(message.get("content")) for message in messages)
    return Said(said, "".join(reasoning), [(name, arguments(text)) for name, text in calls.values()])


def parts(listed: list[dict[str, Any]]) -> Said:
    """Read generate-content parts."""
    called = [part["functionCall"] for part in listed if "functionCall" in part]
    return Said(
        "".join(part.get("text") or "" for part in listed if not part.get("thought")),
        "".join(part.get("text") or "" for part in listed if part.get("thought")),
        [(call["name"], call.get("args") or {}) for call in called],
    )


def bodies(text: str) -> list[Any]:
    """Read every JSON value of a stream, whatever its framing."""
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    lines = [line.strip().removeprefix("data:").strip() for line in text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def expected(record: dict[str, Any], answers: list[Any]) -> Said:
    match WIRES[record["dialect"]]:
        case "openai":
            choices = [choice for body in answers for choice in body.get("choices") or ()]
            first = [choice for choice in choices if not choice.get("index")]
            shape = "delta" if "stream" in record["kind"] else "message"
            return chat([choice.get(shape) or {} for choice in first])
        case "gemini":
            candidates = [body["candidates"][0] for body in answers if body.get("candidates")]
            return parts([part for one in candidates for part in (one.get("content") or {}).get("parts") or ()])
        case _:
            messages = [body["message"] for body in answers]
            called = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
            return Said(
                "".join(message.get("content") or "" for message in messages),
                "".join(message.get("thinking") or "" for message in messages),
                [(call["name"], call["arguments"]) for call in called],
            )


def gathered(deltas: list[Delta]) -> Said:
    calls: dict[int, list[str]] = {}
    mine = [delta for delta in deltas if not delta.choice_index]
    for delta in mine:
        if delta.HasField("tool_call"):
            calls[delta.part_index] = [delta.tool_call.name, delta.tool_call.arguments_json]
        elif delta.tool_arguments:
            calls[delta.part_index][1] += delta.tool_arguments
    return Said(
        "".join(delta.text for delta in mine),
        "".join(delta.reasoning for delta in mine),
        [(name, arguments(text)) for name, text in calls.values()],
    )


def asked(vendor: str, record: dict[str, Any]) -> tuple[Call, HttpReply]:
    response = record["response"]
    model = (record["request"].get("json") or {}).get("model") or "m"
    return Call(vendor, model), HttpReply(response["status"], response["headers"], response["body"].encode())


def unusual(record: dict[str, Any]) -> bool:
    """Say whether the naive reader cannot read it: errors in a success, arguments path by path, legacy calls, audio."""
    body = record["response"]["body"]
    words = ("partialArgs", '"function_call":{', '"function_call": {', '"transcript"')
    return "error_in_2xx" in record["kind"] or any(word in body for word in words)


@pytest.mark.parametrize("row", STREAMS, ids=ids)
def test_a_recorded_stream_says_what_a_naive_reader_finds_however_it_is_cut(row: tuple[str, dict[str, Any]]) -> None:
    vendor, record = row
    call, reply = asked(vendor, record)
    dialect = DIALECTS[WIRES[record["dialect"]]]
    decoder, cut = dialect.stream(call), dialect.stream(call)
    try:
        deltas = decoder.feed(reply.body)
        finish = decoder.finish()
    except VendorFault:
        assert "error" in record["kind"]
        return
    step = max(7, len(reply.body) // 500)
    edges = [*range(0, len(reply.body), step), len(reply.body)]
    assert [delta for begin, end in pairwise(edges) for delta in cut.feed(reply.body[begin:end])] == deltas
    assert cut.finish() == finish
    if not unusual(record):
        assert gathered(deltas) == expected(record, bodies(reply.body.decode()))


@pytest.mark.parametrize("row", WHOLES, ids=ids)
def test_a_recorded_answer_says_what_a_naive_reader_finds(row: tuple[str, dict[str, Any]]) -> None:
    vendor, record = row
    call, reply = asked(vendor, record)
    body = json.loads(reply.body)
    if "choices" in body and WIRES[record["dialect"]] != "openai":
        pytest.skip("the recording is of another wire than it says")
    try:
        completion = DIALECTS[WIRES[record["dialect"]]].decode(call, reply)
    except VendorFault:
        assert "error" in record["kind"] or not body.get("candidates")
        return
    mine = completion.choices[0].parts
    read = Said(
        "".join(part.text.text for part in mine),
        "".join(part.reasoning.text for part in mine),
        [
            (part.tool_call.name, arguments(part.tool_call.arguments_json))
            for part in mine
            if part.HasField("tool_call")
        ],
    )
    if not unusual(record):
        assert read == expected(record, [body])


@pytest.mark.parametrize("row", ERRORS, ids=ids)
def test_a_recorded_error_is_told_with_a_message(row: tuple[str, dict[str, Any]]) -> None:
    vendor, record = row
    call, reply = asked(vendor, record)
    fault = DIALECTS[WIRES[record["dialect"]]].classify(call, reply)
    assert fault.message
    assert fault.http_status == reply.status
    if reply.status == 401:
        assert fault.reason == "VENDOR_AUTH"
