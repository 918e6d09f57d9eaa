"""Recorded exchanges of the v2 chat wire: the dialect and a naive reader find the same, however the bytes are cut."""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures import naive_blocks
from fixtures.naive_blocks import Heard
from llmmesh.chat.v1.chat_pb2 import Citation, Delta, FinishReason, Usage

from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Call, EmbedCall, Finish, HttpReply, StreamDecoder, VendorFault

DIRECTORY = os.environ.get("LLM_MESH_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not DIRECTORY, reason="LLM_MESH_RECORDINGS names no directory of recordings")
DIALECT = DIALECTS["cohere"]
CHATS = ("cohere_chat_v1", "cohere_chat_v2")  # the first wire is not spoken here, but its errors are the same
Record = dict[str, Any]


def records() -> Iterator[Record]:
    for path in sorted(Path(DIRECTORY).rglob("*.jsonl")) if DIRECTORY else ():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record["dialect"] in CHATS or (record["vendor"], record["dialect"]) == ("cohere", "embeddings"):
                yield record


def called(record: Record) -> str:
    return f"{record['vendor']}-{record['id']}"


def streams(record: Record) -> bool:
    return "stream" in record["kind"]


RECORDS = list(records())
GOOD = [record for record in RECORDS if record["response"]["status"] == 200]
STREAMS = [record for record in GOOD if record["dialect"] == "cohere_chat_v2" and streams(record)]
WHOLES = [record for record in GOOD if record["dialect"] == "cohere_chat_v2" and not streams(record)]
VECTORS = [record for record in GOOD if record["dialect"] == "embeddings"]
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
        "reasoning": usage.reasoning_tokens,
    }


def sources(record: Record) -> dict[str, str]:
    """Return the title each source is told by: its own, else its id."""
    found: dict[str, str] = {}
    for line in record["response"]["body"].splitlines() if streams(record) else [record["response"]["body"]]:
        text = line.removeprefix("data:").strip()
        body = json.loads(text) if text.startswith("{") else {}
        message = body.get("message") or (body.get("delta") or {}).get("message") or {}
        listed = message.get("citations") or []
        for citation in listed if isinstance(listed, list) else [listed]:
            for source in citation["sources"]:
                about = source.get("document") or source.get("tool_output") or {}
                found[source["id"]] = about.get("title") or source["id"]
    return found


def cites(record: Record, citations: list[Citation], text: str) -> list[tuple[str, str]]:
    """Return (id, words) of citations, after making sure that they stand where they say."""
    ids = {title: identity for identity, title in sources(record).items()}
    for citation in citations:
        assert text[citation.start : citation.end] == citation.quote
    return [(ids[citation.title], citation.quote) for citation in citations]


def gathered(record: Record, deltas: list[Delta], finish: Finish) -> Heard:
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        if delta.HasField("tool_call"):
            begun = delta.tool_call
            calls[delta.part_index] = {"id": begun.id, "name": begun.name, "arguments": begun.arguments_json}
        elif delta.tool_arguments:
            calls[delta.part_index]["arguments"] += delta.tool_arguments
    text = "".join(delta.text for delta in deltas)
    return Heard(
        text,
        "".join(delta.reasoning for delta in deltas),
        [call | {"arguments": naive_blocks.parsed(call["arguments"])} for call in calls.values()],
        cites(record, [delta.citation for delta in deltas if delta.HasField("citation")], text),
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
    heard = naive_blocks.streamed(reply.body.decode())
    if heard is None:
        assert finish == "VENDOR_SERVER"
    else:
        assert isinstance(finish, Finish)
        assert gathered(record, deltas, finish) == heard


@pytest.mark.parametrize("record", STREAMS, ids=called)
def test_a_recorded_stream_says_the_same_however_it_is_cut(record: Record) -> None:
    call, reply = asked(record)
    deltas, finish = read(DIALECT.stream(call), iter([reply.body]))
    for seed, most in enumerate((1, 3, 17, 200, 5000)):
        pieces = cut(reply.body, seed, max(most, len(reply.body) // 3000))
        again, end = read(DIALECT.stream(call), pieces)
        assert end == finish
        assert again == deltas


@pytest.mark.parametrize("record", WHOLES, ids=called)
def test_a_recorded_answer_says_what_a_naive_reader_finds(record: Record) -> None:
    call, reply = asked(record)
    completion = DIALECT.decode(call, reply)
    parts = completion.choices[0].parts
    text = "".join(part.text.text for part in parts)
    assert naive_blocks.whole(reply.body.decode()) == Heard(
        text,
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
        cites(record, [citation for part in parts for citation in part.text.citations], text),
        finish_word(completion.choices[0].finish_reason),
        counted(completion.usage),
    )


@pytest.mark.parametrize("record", VECTORS, ids=called)
def test_recorded_vectors_are_read(record: Record) -> None:
    call, reply = asked(record)
    body = json.loads(reply.body)
    read = DIALECT.decode_embed(EmbedCall(call.vendor, call.model, texts=body["texts"]), reply)
    (vectors,) = body["embeddings"].values()
    assert [list(one.values) for one in read.embeddings] == [pytest.approx(vector) for vector in vectors]
    assert read.usage.input_tokens == body["meta"]["billed_units"]["input_tokens"]


@pytest.mark.parametrize("record", ERRORS, ids=called)
def test_a_recorded_error_means_what_a_naive_reader_finds(record: Record) -> None:
    call, reply = asked(record)
    fault = DIALECT.classify(call, reply)
    meant = naive_blocks.error(reply.status, reply.body.decode())
    assert fault.reason.removeprefix("VENDOR_").lower() == meant
    assert fault.message in reply.body.decode()
    assert fault.http_status == reply.status
