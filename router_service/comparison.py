"""Asks several models the same at once: each answers or fails for itself, and its events are told with its place."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from llmmesh.router.v1 import router_pb2

from meshkit import durations
from meshkit.clock import Clock
from meshkit.errors import FieldViolation, MeshError

MOST_MODELS = 8
LONGEST_ID = 98
# Pieces that wait for the caller; a caller who reads slowly slows the vendors down, as in any stream.
WAITING = 64
NAMING = ("model", "preferred_model", "candidates")
Events = AsyncGenerator[router_pb2.StreamGenerateResponse]
Stream = Callable[[router_pb2.StreamGenerateRequest], Events]
Told = router_pb2.CompareResponse


def faults(request: router_pb2.CompareRequest) -> Iterator[FieldViolation]:
    """Name what is wrong with the choice of models, and an id that leaves no room for their places."""
    if len(request.request_id) > LONGEST_ID:
        yield FieldViolation("request_id", f"must be at most {LONGEST_ID} characters, for each model adds its place")
    for field in NAMING:
        if getattr(request.intent, field):
            yield FieldViolation(f"intent.{field}", "must be empty: the models to compare are in models")
    if not 1 <= len(request.models) <= MOST_MODELS:
        yield FieldViolation("models", f"must be from 1 to {MOST_MODELS}, not {len(request.models)}")
        return
    names = [name.casefold() for name in request.models]
    for place, name in enumerate(names):
        if name in ("", "auto"):
            yield FieldViolation(f"models[{place}]", "must name a model, an alias, a family or a vendor")
        elif name in names[:place]:
            yield FieldViolation(f"models[{place}]", f"`{name[:120]}` is there twice")


async def compare(request: router_pb2.CompareRequest, stream: Stream, clock: Clock) -> AsyncGenerator[Told]:
    """Stream the answers of all models side by side; closing the iterator cancels them and lets each settle.

    Args:
        request: what is asked of whom; it has no faults.
        stream: how one model is asked.
        clock: what elapsed time is measured with.
    """
    began = clock.monotonic()
    told: asyncio.Queue[Told] = asyncio.Queue(WAITING)

    async def answer(place: int, asked: router_pb2.StreamGenerateRequest) -> None:
        try:
            async with aclosing(stream(asked)) as events:
                async for event in events:
                    await told.put(_event(place, event, clock.monotonic() - began))
        except MeshError as error:
            await told.put(_failure(place, error, clock.monotonic() - began))

    running = {asyncio.create_task(answer(place, asked)) for place, asked in enumerate(_requests(request))}
    waiting = asyncio.create_task(told.get())
    try:
        while running or not told.empty() or waiting.done():
            done, _ = await asyncio.wait((*running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if waiting in done:
                yield waiting.result()
                waiting = asyncio.create_task(told.get())
            for ended in done & running:
                running.discard(ended)
                ended.result()  # a defect is nobody's answer
    finally:
        for task in (*running, waiting):
            task.cancel()
        await asyncio.gather(*running, waiting, return_exceptions=True)


def _requests(request: router_pb2.CompareRequest) -> Iterator[router_pb2.StreamGenerateRequest]:
    for place, name in enumerate(request.models):
        asked = router_pb2.StreamGenerateRequest(intent=request.intent, prompt=request.prompt)
        asked.intent.model, asked.intent.strict = name, True
        if request.request_id:
            asked.request_id = f"{request.request_id}.{place}"
        yield asked


def _event(place: int, event: router_pb2.StreamGenerateResponse, elapsed: float) -> Told:
    told = Told(place=place, elapsed=durations.to_proto(elapsed))
    match event.WhichOneof("event"):
        case "start":
            told.start.CopyFrom(event.start)
        case "deltas":
            told.deltas.CopyFrom(event.deltas)
        case "finish":
            told.finish.CopyFrom(event.finish)
    return told


def _failure(place: int, error: MeshError, elapsed: float) -> Told:
    failure = Told.Failure(
        reason=error.reason.value, message=error.message, route_failure=error.detail(router_pb2.RouteFailure)
    )
    if error.retry_after is not None:
        failure.retry_after.CopyFrom(durations.to_proto(error.retry_after))
    return Told(place=place, elapsed=durations.to_proto(elapsed), failure=failure)
