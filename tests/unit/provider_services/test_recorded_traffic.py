"""Recorded exchanges of real vendors, read by the dialects and by a second, naive reader: both must find the same.

The recordings are no part of the project: $LLM_MESH_RECORDINGS names their directory.
"""

import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fixtures import naive
from llmmesh.chat.v1.chat_pb2 import Message, Part, Prompt, Role, Text
from llmmesh.provider.v1.provider_pb2 import EmbedRequest, Target

from llm_mesh.conformance import judge, rows
from llm_mesh.conformance.gathering import Gathering
from llm_mesh.conformance.outcome import Outcome
from llm_mesh.conformance.records import Record, read
from provider_services import failures
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import HttpReply, VendorFault
from provider_services.subjects import Subjects

DIRECTORY = os.environ.get("LLM_MESH_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not DIRECTORY, reason="LLM_MESH_RECORDINGS names no directory of recordings")
PROMPT = Prompt(messages=[Message(role=Role.ROLE_USER, parts=[Part(text=Text(text="Go on."))])])
FEW = 50


def listed() -> list[tuple[Record, Any]]:
    if not DIRECTORY:
        return []
    said = {row["id"]: row for record in naive.records(Path(DIRECTORY)) if (row := naive.expected(record))}
    return [(record, said[record.id]) for record in read(Path(DIRECTORY)) if record.id in said]


RECORDS = listed()
STREAMS = [record for record, _ in RECORDS if record.streamed and record.status == 200]
SHORT = sorted(STREAMS, key=lambda record: len(record.body))


def spread(records: list[Record], count: int) -> list[Record]:
    """Return that many records from all over the list: short and long, and so of all vendors."""
    return records[:: max(1, len(records) // count)][:count]


def name(row: tuple[Record, Any] | Record) -> str:
    record = row if isinstance(row, Record) else row[0]
    return f"{record.vendor}-{record.id}"


def outcome(record: Record, pieces: Iterable[bytes]) -> Outcome:
    """Read a record with the dialect and the rows its vendor has."""
    dialect = rows.dialect_of(record.vendor, record.dialect)
    vendor = rows.vendor_of(record.vendor, record.dialect, dialect)
    gathering = Gathering()
    try:
        return decoded(record, pieces, DIALECTS[dialect], Subjects(vendor), gathering)
    except VendorFault as broken:
        return gathering.fail(failures.explained(broken.fault, failures.UNKNOWN))


def decoded(record: Record, pieces: Iterable[bytes], dialect: Any, subjects: Subjects, gathering: Gathering) -> Outcome:
    target = Target(model=record.model)
    reply = HttpReply(record.status, {key.lower(): value for key, value in record.headers.items()}, b"".join(pieces))
    call = subjects.call(target, PROMPT, stream=record.streamed)
    if record.status >= 300:
        raise VendorFault(dialect.classify(call, reply))
    if record.dialect == "embeddings":
        response = dialect.decode_embed(subjects.embed_call(EmbedRequest(target=target, texts=["a"])), reply)
        return gathering.end(0, response.usage, ())
    if not record.streamed:
        completion = dialect.decode(call, reply)
        gathering.parts(next(choice for choice in completion.choices if not choice.index).parts)
        return gathering.end(completion.choices[0].finish_reason, completion.usage, completion.warnings)
    decoder = dialect.stream(call)
    for piece in pieces:
        gathering.deltas(decoder.feed(piece))
    finish = decoder.finish()
    gathering.deltas(finish.deltas)
    return gathering.end(finish.choices[0].reason, finish.usage, finish.warnings)


def cut(body: bytes, edges: Iterable[int]) -> list[bytes]:
    return [body[begin:end] for begin, end in pairwise(sorted({0, len(body), *edges}))]


@pytest.mark.parametrize("row", RECORDS, ids=name)
def test_a_recorded_answer_says_what_a_naive_reader_finds(row: tuple[Record, Any]) -> None:
    record, expected = row
    found = outcome(record, record.pieces)
    assert judge.faults(record, found, found, expected) == []


@pytest.mark.parametrize("record", STREAMS, ids=name)
def test_a_recorded_stream_is_the_same_however_it_is_cut(record: Record) -> None:
    random = Random(record.id)  # noqa: S311 - a cut that can be repeated, no secret
    size = len(record.body)
    for pieces in (2, 9, size // 40):
        edges = [random.randrange(size + 1) for _ in range(pieces)]
        assert outcome(record, cut(record.body, edges)) == outcome(record, [record.body])


@pytest.mark.parametrize("record", spread(SHORT, FEW), ids=name)
def test_a_recorded_stream_is_the_same_byte_by_byte(record: Record) -> None:
    assert outcome(record, cut(record.body, range(len(record.body)))) == outcome(record, [record.body])


@pytest.mark.nightly
@pytest.mark.parametrize("record", SHORT[:FEW], ids=name)
def test_a_recorded_stream_is_the_same_cut_in_two_at_any_byte(record: Record) -> None:
    whole = outcome(record, [record.body])
    for edge in range(1, len(record.body)):
        assert outcome(record, cut(record.body, [edge])) == whole, edge


def test_enough_was_recorded_of_most_vendors(capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[str, int] = {}
    for record, _ in RECORDS:
        counts[record.vendor] = counts.get(record.vendor, 0) + 1
    with capsys.disabled():
        for vendor, count in sorted(counts.items()):
            print(f"{vendor}: {count}{'' if count >= 10 else ', unproven'}")  # noqa: T201 - the figures are asked for
    assert sum(counts.values()) > len(counts)
