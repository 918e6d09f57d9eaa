"""A closed loop: so many callers, each sending its next request when the last one is answered."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from tests.bench.callers import Answer, Call


@dataclass(frozen=True)
class Spread:
    """The middle and the slow end of many durations, in milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Outcome:
    """What a loop saw; `seconds` includes the answers still on their way when the time was over."""

    answers: Sequence[Answer]
    seconds: float

    def latency(self) -> Spread:
        """Return how long whole answers took."""
        return _spread([answer.ended - answer.began for answer in self.answers])

    def first_token(self) -> Spread:
        """Return how long the first piece took."""
        return _spread([answer.first_token - answer.began for answer in self.answers])

    def messages(self) -> float:
        """Return how many pieces an answer came in."""
        return sum(answer.messages for answer in self.answers) / len(self.answers)


async def closed_loop(call: Call, callers: int, seconds: float) -> Outcome:
    """Keep so many callers busy for that long, then wait for the last answers."""
    answers: list[Answer] = []
    began = time.perf_counter()

    async def keep_asking() -> None:
        while time.perf_counter() < began + seconds:
            answers.append(await call())

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(keep_asking())
    return Outcome(answers, time.perf_counter() - began)


def _spread(seconds: Sequence[float]) -> Spread:
    cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [*seconds] * 99
    return Spread(cuts[49] * 1000, cuts[98] * 1000)
