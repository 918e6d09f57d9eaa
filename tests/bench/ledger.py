"""Measures what a hold and its settle cost the ledger: `python -m tests.bench.ledger [--json] [--finished N]`.

CPU of the processes that take part, not time on the wall: the machine may be busy. The least of several rounds counts,
for whatever else runs only adds to it.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from fixtures.valkey import FIT, PATIENCE, Server

from meshkit import process
from quota_service.definitions import Definitions
from quota_service.operations import Held, Operation
from quota_service.stores.memory import MemoryStore
from quota_service.stores.protocol import Store
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.stores.sqlite import SqliteStore
from tests.bench import machine
from tests.bench.cpu import Figure, a_figure, own_cpu
from tests.bench.ledger_calls import calls

BATCH, BATCHES, ROUNDS = 64, 60, 7
FEW, MANY = 10, 10_000
FIRST = 1_000
SLOPE = 0.15  # by how much a figure may grow with the number of budgets or of finished holds
LARGE = 2**50


# ---------------------------------------------------------------------------- a ledger, and what goes through it


def world(budgets: int) -> Definitions:
    """So many budgets, all limited; an offer draws on two and its tenant on a third."""
    offers = [
        terms(f"v{n}/m#1", limit(f"v{n}/default", "requests", LARGE), limit(f"v{n}/default", "tokens", LARGE, "minute"))
        for n in range(budgets // 2)
    ]
    return definitions(*offers, payers=(limit("tenant/team", "nanodollars", LARGE, "month"),))


@dataclass
class Traffic:
    """Holds, and the settles of those of the batch before; a thousand holds a second by the ledger's clock."""

    clock: ManualClock
    offers: int = FEW // 2
    made: int = 0
    open: list[str] = field(default_factory=list)

    def batch(self, size: int) -> list[Operation]:
        """Return so many operations, half of them reserves."""
        names = [f"attempt-{self.made + n:09}" for n in range(size // 2)]
        reserves = [reserve(name, f"v{(self.made + n) % self.offers}/m#1") for n, name in enumerate(names)]
        settles = [settle(name, output=100) for name in self.open]
        self.made, self.open = self.made + len(names), names
        self.clock.advance(len(names) / 1_000)
        return [*settles, *reserves]


@dataclass
class Bench:
    """A store, the traffic through it, and the CPU of everything it takes."""

    name: str
    store: Store
    traffic: Traffic
    server_cpu: Callable[[], float] = lambda: 0.0

    async def round(self) -> float:
        """Return the microseconds a hold and its settle take now."""
        batches = [self.traffic.batch(BATCH) for _ in range(BATCHES)]
        before = own_cpu() + self.server_cpu()
        for batch in batches:
            applied = await self.store.apply(batch)
        spent = own_cpu() + self.server_cpu() - before
        if not isinstance(applied.answers[-1], Held):
            raise SystemExit(f"{self.name}: {applied.answers[-1]}")
        return spent / (BATCHES * BATCH // 2) * 1e6

    async def fill(self, holds: int, at_once: int = 512) -> None:
        """Let so many holds end."""
        for _ in range(max(1, 2 * holds // at_once)):
            await self.store.apply(self.traffic.batch(at_once))


# ---------------------------------------------------------------------------- the stores


@asynccontextmanager
async def in_memory(budgets: int, _directory: Path) -> AsyncIterator[Bench]:
    """The rules alone."""
    clock = ManualClock(NOON / 1_000)
    yield Bench("rules in memory", MemoryStore(world(budgets), clock), Traffic(clock))


@asynccontextmanager
async def in_a_file(budgets: int, directory: Path) -> AsyncIterator[Bench]:
    """SQLite, every batch synced."""
    clock = ManualClock(NOON / 1_000)
    store = SqliteStore.open(directory.with_suffix(".db"), world(budgets), clock)
    yield Bench("SQLite, synchronous=FULL", store, Traffic(clock))
    await store.close()


@asynccontextmanager
async def in_valkey(budgets: int, _directory: Path) -> AsyncIterator[Bench]:
    """Valkey, every batch synced; its server counts too."""
    server, clock = Server(*FIT), ManualClock(NOON / 1_000)
    client = server.client()

    def server_cpu() -> float:
        used = client.info("cpu")
        return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])

    at_once = Recovery(0, 0)
    store = await RedisStore.open(server.url, world(budgets), recovery=at_once, clock=clock, silence=PATIENCE)
    try:
        yield Bench("Valkey, appendfsync always, both sides", store, Traffic(clock), server_cpu)
    finally:
        await store.close()
        client.close()
        server.close()


STORES = ((in_memory, 15.0), (in_a_file, 60.0), (in_valkey, 40.0))


async def stores(directory: Path, finished: int) -> AsyncIterator[Figure]:
    """Measure each store with a few budgets, with many, and with many finished holds."""
    async with AsyncExitStack() as stack:
        worlds: list[tuple[float, list[Bench]]] = []
        for opening, most in STORES:
            budgets = {"few": FEW, "many": MANY, "full": FEW}
            opened = [opening(number, directory / name) for name, number in budgets.items()]
            worlds.append((most, [await stack.enter_async_context(bench) for bench in opened]))
        await asyncio.gather(*(benches[-1].fill(finished) for _, benches in worlds))
        process.settle()
        for most, benches in worlds:
            for found in await compared(most, benches, finished):
                yield found


async def compared(most: float, benches: list[Bench], finished: int) -> list[Figure]:
    """Return the figures of one store, measured in turns; many budgets or finished holds may cost a little more."""
    few, many, _ = benches
    for bench in (few, many):
        await bench.fill(FIRST)
    rounds = [[await bench.round() for bench in benches] for _ in range(ROUNDS)]
    of_few, of_many, of_full = zip(*rounds, strict=True)
    flat = min(of_few) * (1 + SLOPE)
    many.traffic.offers = MANY // 2
    return [
        a_figure(f"{few.name}, {FEW} budgets, {FIRST:,} finished", of_few, most),
        a_figure(f"{few.name}, {MANY:,} budgets", of_many, flat),
        a_figure(f"{few.name}, {finished:,} finished", of_full, flat),
        a_figure(f"{few.name}, {MANY:,} budgets, all in use", [await many.round() for _ in range(ROUNDS)]),
    ]


# ---------------------------------------------------------------------------- the report


async def measure(finished: int) -> tuple[list[Figure], int]:
    """Measure everything, telling as it goes; return the figures, and how large the file has become."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as name:
        directory = Path(name)
        async for figure in stores(directory, finished):
            sys.stderr.write(f"{figure}\n")
            found.append(figure)
        size = sum(file.stat().st_size for file in directory.glob("full.db*"))  # noqa: ASYNC240 - nobody waits
        async for figure in calls(directory):
            sys.stderr.write(f"{figure}\n")
            found.append(figure)
    return found, size


def main() -> None:
    """Measure and print; a figure beyond its limit is told, and is no failure of the program."""
    options = _options()
    before = os.getloadavg()[0]
    found, size = uvloop.run(measure(options.finished))
    where = machine.describe(before)
    if options.json:
        plain = {"machine": where.plain(), "figures": [asdict(figure) for figure in found], "file_bytes": size}
        sys.stdout.write(json.dumps(plain, indent=1) + "\n")
        return
    head = f"{'microseconds of CPU for a hold and its settle, three legs':<58} {'least':>7} {'median':>7} {'limit':>7}"
    lines = [where.sentence(), "", head, *map(str, found), "", f"The file after all that: {size / 1e6:.0f} MB."]
    sys.stdout.write("\n".join(lines) + "\n")


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--finished",
        type=int,
        default=200_000,
        metavar="N",
        help="how many are to end; a million takes minutes",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
