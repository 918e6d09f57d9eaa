"""Files that change while the mesh serves: good ones count within seconds, broken ones are told, no request notices."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from fixtures.acceptance import MINI, use_case
from fixtures.mesh_callers import Callers, at_ease, calling, eventually, listen, prompt, refusal
from fixtures.mounted_mesh import TAKEN_WITHIN, MountedMesh, mounted_mesh
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason
from meshkit.reload import LOOK_SECONDS

NEWCOMERS = 10
ROW = {"model_class": "chat", "context_window": 128_000, "price": {"input": 0.1, "output": 0.2}, "source": "a test"}
PROMPT, LONG = "tokens: 3", "tokens: 40"
PAUSE = 0.2  # ten callers ask fifty times a second, where a request takes no time


def newcomer(number: int) -> str:
    return f"newcomer-{number}"


def configuration(*newcomers: int, **more: Any) -> dict[str, Any]:
    """Return a configuration with these models, which others do not have, and a use case of each one's own."""
    models = {newcomer(number): {**ROW, "date": dt.date(2026, 11, 29)} for number in newcomers}
    return {
        "vendors": {"openai": {"limits": {"paid": []}, "models": models}},
        "use_cases": {
            "steady": use_case(MINI),
            **{f"fresh_{number}": use_case(f"openai/{newcomer(number)}") for number in newcomers},
        },
        **more,
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MountedMesh]:
    """A mesh whose simulated vendor has models that the mesh has forgotten."""
    everything = configuration(*range(NEWCOMERS))
    with mounted_mesh(tmp_path_factory.mktemp("reload"), everything) as mesh:
        yield mesh


@pytest.fixture
async def ways(running: MountedMesh) -> AsyncIterator[Callers]:
    async with calling(running.mesh) as ways:
        await at_ease(ways)
        await taken(running, configuration())
        yield ways
        await ways.settled(20)


async def changed(running: MountedMesh, said: Any, figures: Callable[[], dict[str, float]]) -> None:
    """Mount other contents, and wait until every process has come to a verdict on them."""
    before = figures()
    running.mount.put(said)

    async def everywhere() -> bool:
        await asyncio.sleep(LOOK_SECONDS / 2)  # a page of metrics is dear
        now = await asyncio.to_thread(figures)
        return all(now[name] > before[name] for name in before)

    await eventually(everywhere, TAKEN_WITHIN, "every process to have looked")


async def taken(running: MountedMesh, said: Any) -> None:
    await changed(running, said, running.generations)


async def kept(running: MountedMesh, said: Any) -> None:
    await changed(running, said, running.kept)


@dataclass
class Traffic:
    """Requests that keep coming, whole and as streams that last, and what became of them."""

    ways: Callers
    served: int = 0
    streams: int = 0
    failures: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def again(self, ask: Callable[[], Awaitable[None]]) -> None:
        while not self.over.is_set():
            await ask()
            await asyncio.sleep(PAUSE)

    async def whole(self) -> None:
        try:
            await self.ways.generate(PROMPT, use_case="steady")
        except grpc.aio.AioRpcError as error:
            self.failures.append(f"{error.code()}: {error.details()}")
        self.served += 1

    async def streamed(self) -> None:
        events, error = await listen(self.ways.stream(LONG, use_case="steady"))
        if error is not None or not events[-1].HasField("finish"):
            self.failures.append(f"a stream: {error}")
        self.streams += 1


@asynccontextmanager
async def traffic(ways: Callers, callers: int) -> AsyncIterator[Traffic]:
    """Keep asking until the block is left."""
    told = Traffic(ways)
    async with asyncio.TaskGroup() as group:
        for ask in (*[told.whole] * callers, told.streamed):
            group.create_task(told.again(ask))
        try:
            yield told
        finally:
            told.over.set()


def broken(number: int) -> tuple[Any, str]:
    """Return contents with a mistake, and what must be told of it."""
    mistakes: list[tuple[Any, str]] = [
        ("use_cases: [\n", "mesh.yaml:2: is not YAML"),
        ({**configuration(), "tiemouts": {}}, "tiemouts: unknown key; allowed: "),
        (configuration(timeouts={"idle": -1}), "timeouts.idle: `-1` should be greater than 0"),
        ("", "is empty"),
        ({"use_cases": {"steady": use_case("openai/no-such-model")}}, "unknown model `openai/no-such-model`"),
    ]
    return mistakes[number % len(mistakes)]


async def warnings(ways: Callers) -> list[str]:
    found: list[str] = (await ways.http.get("/api/health")).json()["warnings"]
    return found


@pytest.mark.parametrize(
    ("rounds", "callers"),
    [
        pytest.param(2, 2, id="four files"),
        pytest.param(10, 10, id="twenty files", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
async def test_no_request_fails_while_good_and_broken_files_come_and_go(
    running: MountedMesh, ways: Callers, rounds: int, callers: int
) -> None:
    await ways.simulator.set_latency("openai", token_ms=50)
    async with traffic(ways, callers) as told:
        for number in range(rounds):
            case = f"fresh_{number}"
            assert (await refusal(ways.router.Generate(asking(case), timeout=20))).reason is Reason.UNKNOWN_USE_CASE
            await taken(running, configuration(number, timeouts={"idle": 30 + number}))
            fresh = await ways.generate(PROMPT, use_case=case)
            assert fresh.route.offer.startswith(f"openai/{newcomer(number)}")
            said, mistake = broken(number)
            await kept(running, said)
            (warning,) = [warning for warning in await warnings(ways) if warning.startswith("mesh: ")]
            assert mistake in warning
            assert "the last good one stays in use" in warning
            assert (await ways.generate(PROMPT, use_case=case)).route.offer == fresh.route.offer
            assert running.metric("router", 'mesh_config_valid{file="mesh"}') == 0
    assert told.failures == []
    assert told.served > 2 * callers
    assert told.streams > 1


def asking(case: str) -> Any:
    return router_pb2.GenerateRequest(intent=router_pb2.Intent(use_case=case), prompt=prompt(PROMPT))


async def test_a_stream_ends_as_it_began_though_its_model_is_taken_out_meanwhile(
    running: MountedMesh, ways: Callers
) -> None:
    await taken(running, configuration(1, timeouts={"minimum_rate": 0}))
    await ways.simulator.set_latency("openai", token_ms=900)  # a minute and a half, if nothing changed that
    listening = asyncio.create_task(listen(ways.stream("tokens: 100", use_case="fresh_1", timeout=120)))
    await eventually(lambda: begun(ways), 20, "the stream to begin")
    await taken(running, configuration())
    assert not listening.done()
    await at_ease(ways)  # the rest comes at once
    events, error = await listening
    assert error is None
    assert events[-1].finish.route.offer.startswith(f"openai/{newcomer(1)}")
    assert (await refusal(ways.router.Generate(asking("fresh_1"), timeout=20))).reason is Reason.UNKNOWN_USE_CASE


async def begun(ways: Callers) -> bool:
    return (await ways.budgets()).open_holds > 0


async def test_a_budget_is_redefined_between_batches_and_what_was_used_stays_used(
    running: MountedMesh, ways: Callers
) -> None:
    limited = {"subject": "use_case/steady", "unit": "requests", "window": "day"}
    await taken(running, configuration(budgets=[{**limited, "amount": 1_000_000}]))
    before = await steady(ways)
    for _ in range(3):
        await ways.generate(PROMPT, use_case="steady")
    await ways.settled(20)
    await taken(running, configuration(budgets=[{**limited, "amount": 2}]))
    after = await steady(ways)
    assert (after.used, after.limit, after.left) == (before.used + 3, 2, 0)
    refused = await refusal(ways.router.Generate(asking("steady"), timeout=20))
    assert refused.reason is Reason.BUDGET_EXHAUSTED
    await taken(running, configuration())
    assert (await ways.generate(PROMPT, use_case="steady")).route.vendor == "openai"


async def steady(ways: Callers) -> Any:
    (found,) = (await ways.budgets("use_case/steady")).budgets
    return found


async def test_what_only_a_restart_changes_is_told_by_who_must_be_restarted(
    running: MountedMesh, ways: Callers
) -> None:
    await taken(running, configuration(ledger={"spend_days": 7}, timeouts={"quota_grace": 4}))
    found = await warnings(ways)
    assert "restart: changed, needs a restart: timeouts.quota_grace" in found
    assert "quota: restart: changed, needs a restart: ledger.spend_days" in found
    assert running.metric("quota", 'mesh_config_restart_needed{key="ledger.spend_days"}') == 1
    assert "needs a restart: ledger.spend_days" in running.mesh.log("quota")
    await taken(running, configuration())
    assert not [warning for warning in await warnings(ways) if "restart" in warning]
    assert running.metric("quota", 'mesh_config_restart_needed{key="ledger.spend_days"}') == 0
