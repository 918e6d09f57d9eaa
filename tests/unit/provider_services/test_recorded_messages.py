"""Recorded exchanges of the messages wire: the dialect and a naive reader find the same, however the bytes are cut."""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures import naive_messages
from fixtures.naive_messages import Heard
from llmmesh.chat.v1.chat_pb2 import Delta, FinishReason, Usage

from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, Finish, HttpReply, StreamDecoder, VendorFault

DIRECTORY = os.environ.get("LLM_MESH_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not DIRECTORY, reason="LLM_MESH_RECORDINGS names no directory of recordings")
DIALECT = DIALECTS["anthropic"]
Record = dict[str, Any]


def records() -> Iterator[Record]:
    for path in sorted(Path(DIRECTORY).rglob("*.jsonl")) if DIRECTORY else ():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record["dialect"] == "anthropic_messages":
                yield record


def called(record: Record) -> str:
    return f"{record['vendor']}-{record['id']}"


def streams(record: Record) -> bool:
    return "stream" in record["kind"]


RECORDS = list(records())
GOOD = [record for record in RECORDS if record["response"]["status"] == 200]
STREAMS = [record for record in GOOD if streams(record)]
WHOLES = [record for record in GOOD if not streams(record)]
ERRORS = [record for record in RECORDS if record["response"]["status"] != 200]


def asked(record: Record) -> tuple[Call, HttpReply]:
    response = record["response"]
    model = (record["request"].get("json") or {}).get("model") or "m"
    call = Call(record["vendor"], model, stream=streams(record))
    return call, HttpReply(response["status"], response["headers"], response["body"].encode())


def finish_word(reason: FinishReason.ValueType) -> str:
    return FinishReason.Name(reason).removeprefix("FINISH_REASON_").lower()


def counted(usage: Usage) -> dict[str, int]:
    assert not usage.estimated
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cached_input_tokens,
        "written": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def gathered(deltas: list[Delta], finish: Finish) -> Heard:
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        if delta.HasField("tool_call"):
            begun = delta.tool_call
            calls[delta.part_index] = {"id": begun.id, "name": begun.name, "arguments": begun.arguments_json}
        elif delta.tool_arguments:
            calls[delta.part_index]["arguments"] += delta.tool_arguments
    return Heard(
        "".join(delta.text for delta in deltas),
        "".join(delta.reasoning for delta in deltas),
        [call | {"arguments": naive_messages.parsed(call["arguments"])} for call in calls.values()],
        finish_word(finish.choices[0].reason),
        counted(finish.usage),
    )


def read(decoder: StreamDecoder, pieces: Iterator[bytes]) -> tuple[list[Delta], Finish | str]:
    deltas: list[Delta] = []
    try:
        for piece in pieces:
            deltas.extend(decoder.feed(piece))
        finish = decoder.finish()
        return [*deltas, *finish.deltas], replace(finish, deltas=())
    except VendorFault as broken:
        return deltas, broken.fault.reason


def cut(body: bytes, seed: int, most: int) -> Iterator[bytes]:
    chance, at = random.Random(seed), 0  # noqa: S311 - cuts, not secrets
    while at < len(body):
        size = chance.randint(1, most)
        yield body[at : at + size]
        at += size


@pytest.mark.parametrize("record", STREAMS, ids=called)
def test_a_recorded_stream_says_what_a_naive_reader_finds(record: Record) -> None:
    call, reply = asked(record)
    deltas, finish = read(DIALECT.stream(call), iter([reply.body]))
    heard = naive_messages.streamed(reply.body.decode())
    if heard is None:
        assert finish == "VENDOR_INCOMPLETE"
    else:
        assert isinstance(finish, Finish)
        assert gathered(deltas, finish) == heard


@pytest.mark.parametrize("record", STREAMS, ids=called)
def test_a_recorded_stream_says_the_same_however_it_is_cut(record: Record) -> None:
    call, reply = asked(record)
    deltas, finish = read(DIALECT.stream(call), iter([reply.body]))
    for seed, most in enumerate((3, 17, 200, 5000)):
        pieces = cut(reply.body, seed, max(most, len(reply.body) // 3000))
        assert read(DIALECT.stream(call), pieces) == (deltas, finish)


@pytest.mark.parametrize("record", WHOLES, ids=called)
def test_a_recorded_answer_says_what_a_naive_reader_finds(record: Record) -> None:
    call, reply = asked(record)
    completion = DIALECT.decode(call, reply)
    parts = completion.choices[0].parts
    assert naive_messages.whole(reply.body.decode()) == Heard(
        "".join(part.text.text for part in parts),
        "".join(part.reasoning.text for part in parts),
        [
            {
                "id": part.tool_call.id,
                "name": part.tool_call.name,
                "arguments": json.loads(part.tool_call.arguments_json),
            }
            for part in parts
            if part.HasField("tool_call")
        ],
        finish_word(completion.choices[0].finish_reason),
        counted(completion.usage),
    )


@pytest.mark.parametrize("record", ERRORS, ids=called)
def test_a_recorded_error_means_what_a_naive_reader_finds(record: Record) -> None:
    call, reply = asked(record)
    fault = DIALECT.classify(call, reply)
    assert fault.reason.removeprefix("VENDOR_").lower() == naive_messages.error(reply.body.decode())
    assert fault.message in reply.body.decode()
    assert fault.http_status == reply.status
