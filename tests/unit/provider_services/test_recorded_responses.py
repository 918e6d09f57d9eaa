"""Recorded responses of real vendors, read by the dialect and by a second, naive reader: both must find the same.

The recordings are no part of the project: $LLM_MESH_RECORDINGS names their directory.
"""

import json
import os
import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fixtures import naive_responses
from fixtures.gathered_parts import gathered
from llmmesh.chat.v1.chat_pb2 import Completion, Delta, FinishReason, Part, Usage

from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, Finish, HttpReply, VendorFault

DIRECTORY = os.environ.get("LLM_MESH_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not DIRECTORY, reason="LLM_MESH_RECORDINGS names no directory of recordings")
DIALECT = DIALECTS["responses"]


def records() -> list[tuple[str, dict[str, Any]]]:
    paths = sorted(Path(DIRECTORY).glob("*.jsonl")) if DIRECTORY else []
    read = [(path.stem, json.loads(line)) for path in paths for line in path.read_text().splitlines()]
    return [(vendor, record) for vendor, record in read if record["dialect"] == "openai_responses"]


def another_wire(record: dict[str, Any]) -> bool:
    """Say whether the recording is of another wire than it says."""
    body = record["response"]["body"]
    return '"choices"' in body and '"output"' not in body


RECORDS = [row for row in records() if not another_wire(row[1])]
STREAMS = [row for row in RECORDS if "stream" in row[1]["kind"]]


def ids(row: tuple[str, dict[str, Any]]) -> str:
    return f"{row[0]}-{row[1]['id']}"


def asked(vendor: str, record: dict[str, Any]) -> tuple[Call, HttpReply]:
    response = record["response"]
    model = (record["request"].get("json") or {}).get("model") or "m"
    return Call(vendor, model), HttpReply(response["status"], response["headers"], response["body"].encode())


def streamed(call: Call, chunks: Iterable[bytes]) -> tuple[list[Delta], Finish]:
    decoder = DIALECT.stream(call)
    deltas = [delta for chunk in chunks for delta in decoder.feed(chunk)]
    return deltas, decoder.finish()


def shown(parts: list[Part], finish: FinishReason.ValueType, used: Usage) -> dict[str, Any]:
    called = [part.tool_call for part in parts if part.HasField("tool_call")]
    return {
        "text": "".join(part.text.text for part in parts),
        "reasoning": "".join(part.reasoning.text for part in parts),
        "calls": [(one.id, one.name, json.loads(one.arguments_json or "{}")) for one in called],
        "finish": FinishReason.Name(finish).removeprefix("FINISH_REASON_").lower(),
        "usage": None
        if used.estimated
        else (
            used.input_tokens,
            used.output_tokens,
            used.cached_input_tokens,
            used.cache_write_tokens,
            used.reasoning_tokens,
        ),
        "citations": [citation.uri for part in parts for citation in part.text.citations],
    }


def whole(completion: Completion) -> dict[str, Any]:
    choice = completion.choices[0]
    return shown(list(choice.parts), choice.finish_reason, completion.usage)


def read(call: Call, reply: HttpReply, *, stream: bool) -> dict[str, Any]:
    if reply.status >= 400:
        return {"error": DIALECT.classify(call, reply).reason.removeprefix("VENDOR_").lower()}
    try:
        if not stream:
            return whole(DIALECT.decode(call, reply))
        deltas, finish = streamed(call, [reply.body])
    except VendorFault as broken:
        return {"error": broken.fault.reason.removeprefix("VENDOR_").lower()}
    return shown(gathered(deltas), finish.choices[0].reason, finish.usage)


@pytest.mark.parametrize("row", RECORDS, ids=ids)
def test_a_recorded_response_says_what_a_naive_reader_finds(row: tuple[str, dict[str, Any]]) -> None:
    vendor, record = row
    call, reply = asked(vendor, record)
    stream = "stream" in record["kind"] and reply.status == 200
    assert read(call, reply, stream=stream) == naive_responses.read(
        reply.status, record["response"]["body"], stream=stream
    )


@pytest.mark.parametrize("row", STREAMS, ids=ids)
def test_a_recorded_stream_is_the_same_however_it_is_cut(row: tuple[str, dict[str, Any]]) -> None:
    vendor, record = row
    call, reply = asked(vendor, record)
    if "error" in record["kind"]:
        pytest.skip("an error ends it")
    once = streamed(call, [reply.body])
    chance = random.Random(record["id"])  # noqa: S311 - cuts, not secrets
    for _ in range(3):
        edges = sorted({0, len(reply.body), *(chance.randrange(len(reply.body)) for _ in range(200))})
        assert streamed(call, (reply.body[a:b] for a, b in pairwise(edges))) == once


@pytest.mark.parametrize("row", STREAMS, ids=ids)
def test_a_recorded_stream_cut_short_is_incomplete(row: tuple[str, dict[str, Any]]) -> None:
    vendor, record = row
    call, reply = asked(vendor, record)
    if "error" in record["kind"]:
        pytest.skip("an error ends it")
    end = max(reply.body.rfind(b"response.completed"), reply.body.rfind(b"response.incomplete"))
    with pytest.raises(VendorFault) as broken:
        streamed(call, [reply.body[: reply.body.rfind(b"\n\n", 0, end) + 2]])
    assert broken.value.fault.reason == "VENDOR_INCOMPLETE"
