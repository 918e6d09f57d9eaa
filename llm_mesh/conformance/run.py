"""Plays recordings through provider services, one after the other, and judges what comes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby, pairwise
from random import Random

from llmmesh.provider.v1 import provider_pb2_grpc

from llm_mesh.conformance import judge, rows, services
from llm_mesh.conformance.exchange import play
from llm_mesh.conformance.outcome import Outcome
from llm_mesh.conformance.records import Record
from llm_mesh.conformance.replay import Replay

Expectations = Mapping[str, judge.Expected]
UNSUPPORTED = Outcome()
CUTS = 40  # pieces of the second, random cut


@dataclass(frozen=True, slots=True)
class Verdict:
    """One record: what became of it, and what is wrong with that."""

    record: Record
    outcome: Outcome
    wrong: tuple[str, ...] = ()


async def here(records: Sequence[Record], expected: Expectations) -> AsyncGenerator[Verdict, None]:
    """Play every record to the mesh's own provider services."""
    for (vendor, wire), group in groupby(sorted(records, key=_way), key=_way):
        dialect = rows.dialect_of(vendor, wire)
        if not services.speaks(dialect):
            for record in group:
                yield Verdict(record, UNSUPPORTED)
            continue
        async with AsyncExitStack() as stack:
            replay = await stack.enter_async_context(Replay())
            row = rows.vendor_of(vendor, wire, dialect)
            stub = await stack.enter_async_context(services.own_service(row, replay.url))
            for record in group:
                yield await _verdict(replay, stub, record, expected.get(record.id))


async def elsewhere(
    address: str, replay_address: str, records: Sequence[Record], expected: Expectations, say: Callable[[str], None]
) -> AsyncGenerator[Verdict, None]:
    """Play the records of its dialect, and of its vendor if there are any, to the service at an address.

    Without an expectation, what the mesh's own provider service makes of the same bytes is expected.
    """
    async with AsyncExitStack() as stack:
        replay = await stack.enter_async_context(Replay(replay_address))
        say(f"the vendor is at {replay.url}: start the provider service at {address} so that it calls this URL")
        stub = await stack.enter_async_context(services.service_at(address))
        service = await services.describe(stub)
        say(f"{address} fronts {service.vendor} and speaks {service.dialect}")
        mine = [record for record in records if rows.id_of(record.vendor) == service.vendor] or records
        spoken = [record for record in mine if rows.dialect_of(record.vendor, record.dialect) == service.dialect]
        known = {**({} if expected else await _reference(spoken)), **expected}
        for record in sorted(mine, key=_way):
            if rows.dialect_of(record.vendor, record.dialect) == service.dialect:
                yield await _verdict(replay, stub, record, known.get(record.id))
            else:
                yield Verdict(record, UNSUPPORTED)


async def _reference(records: Sequence[Record]) -> dict[str, judge.Expected]:
    """Return what the mesh itself reads in the records, without the ids it had to make up."""
    known: dict[str, judge.Expected] = {}
    async for verdict in here(records, {}):
        plain = verdict.outcome.plain()
        body = verdict.record.body.decode(errors="replace")
        for call in plain["tool_calls"]:
            call["id"] = call["id"] if call["id"] in body else ""
        known[verdict.record.id] = plain
    return known


async def _verdict(
    replay: Replay, stub: provider_pb2_grpc.ProviderServiceAsyncStub, record: Record, expected: judge.Expected | None
) -> Verdict:
    replay.load(record.status, record.headers, record.pieces)
    outcome = await play(stub, record)
    asked = replay.asked
    again = outcome
    if record.streamed:
        replay.load(record.status, record.headers, _recut(record))
        again = await play(stub, record)
    wrong = judge.faults(record, outcome, again, expected)
    if asked != 1:
        wrong.insert(0, f"the vendor was asked {asked} times")
    return Verdict(record, outcome, tuple(wrong))


def _recut(record: Record) -> tuple[bytes, ...]:
    body, random = record.body, Random(record.id)  # noqa: S311 - a reproducible cut, no secret
    edges = sorted({0, len(body), *(random.randrange(len(body) + 1) for _ in range(CUTS))})
    return tuple(body[begin:end] for begin, end in pairwise(edges))


def _way(record: Record) -> tuple[str, str]:
    return record.vendor, record.dialect
