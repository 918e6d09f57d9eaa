"""What a quota service says to operations that make no sense, over gRPC: the field, and what would be right."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from fixtures.quota import definitions
from fixtures.quota_house import World, running
from fixtures.valkey import PATIENCE, fresh_prefix, shared
from google.protobuf.duration_pb2 import Duration
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from meshkit import status
from meshkit.errors import Reason
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore

OFFER = "groq/openai/gpt-oss-120b#1"
DAY = "groq/default/requests/day"
MESH = "vendors: {{groq: {{limits: {{free: [{{unit: requests, window: day, amount: {limit}}}]}}}}}}"
LONGEST = 2**63 - 1
Stub = quota_pb2_grpc.QuotaServiceStub
Start = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(params=["sqlite", "valkey"])
async def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Start a service over one ledger, again and again, each time with another limit."""
    if request.param == "sqlite":
        return lambda limit=5: running(tmp_path, mesh_yaml=MESH.format(limit=limit))
    prefix, url = fresh_prefix(), shared().url
    store = await RedisStore.open(url, definitions(fingerprint=0), prefix=prefix, recovery=Recovery(0, 0))
    await store.apply([])  # a new ledger is closed for seconds: this one is not new
    await store.close()

    def over_valkey(limit: int = 5) -> AbstractAsyncContextManager[World]:
        text = MESH.format(limit=limit) + f"\nledger: {{prefix: '{prefix}'}}"
        return running(tmp_path, {"MESH_LEDGER_URL": url.reveal()}, mesh_yaml=text)

    return over_valkey


@pytest.fixture
async def stub(start: Start) -> AsyncIterator[Stub]:
    async with start() as made:
        yield made.stub


def reserve(attempt: str = "a", **more: Any) -> pb.Operation:
    said = {"attempt_id": attempt, "tenant": "t", "use_case": "quick", "offers": [offer()]} | more
    return pb.Operation(reserve=pb.Reserve(**said))


def offer(**more: Any) -> pb.OfferAmounts:
    return pb.OfferAmounts(**{"offer": OFFER, "input_tokens": 10} | more)


def settle(attempt: str = "a", **amounts: int) -> pb.Operation:
    told = pb.Amounts(**{"requests": 1} | amounts)
    return pb.Operation(settle=pb.Settle(attempt_id=attempt, outcome=pb.OUTCOME_SERVED, amounts=told))


async def certainly(call: Any, request: Any) -> Any:
    """Ask as a router does: the same once more while the service says that its store is slow."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call(request, timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise


async def apply(stub: Stub, *operations: pb.Operation) -> list[pb.Answer]:
    return list((await certainly(stub.Apply, pb.ApplyRequest(operations=operations))).answers)


async def level(stub: Stub) -> tuple[int, int, int, int]:
    standing = await certainly(stub.GetBudgets, pb.GetBudgetsRequest(prefix="groq/default"))
    (day,) = [budget for budget in standing.budgets if budget.id == DAY]
    return day.limit, day.used, day.held, day.left


WRONG = {
    "no operation at all": (pb.Operation(), "operations[1]"),
    "no offers": (reserve(offers=[]), "operations[1].reserve.offers"),
    "nine offers": (reserve(offers=[offer()] * 9), "operations[1].reserve.offers"),
    "an id of 10 KB": (reserve("x" * 10_000), "operations[1].reserve.attempt_id"),
    "a tenant of 10 KB": (reserve(tenant="x" * 10_000), "operations[1].reserve.tenant"),
    "an offer of 10 KB": (reserve(offers=[offer(offer="x" * 10_000)]), "operations[1].reserve.offers[0].offer"),
    "nobody pays": (reserve(tenant=""), "operations[1].reserve.tenant"),
    "a negative prompt": (reserve(offers=[offer(input_tokens=-1)]), "operations[1].reserve.offers[0].input_tokens"),
    "money near 2^63": (reserve(offers=[offer(cost_nanos=LONGEST)]), "operations[1].reserve.offers[0].cost_nanos"),
    "requests near 2^63": (reserve(offers=[offer(requests=LONGEST)]), "operations[1].reserve.offers[0].requests"),
    "a negative patience": (reserve(patience=Duration(seconds=-1)), "operations[1].reserve.patience"),
    "a life of a day": (reserve(ttl=Duration(seconds=86_400)), "operations[1].reserve.ttl"),
    "a tier nobody knows": (reserve(tier="gold"), "operations[1].reserve.tier"),
    "a negative answer": (settle(output_tokens=-5), "operations[1].settle.amounts.output_tokens"),
    "a bill near 2^63": (settle(cost_nanos=LONGEST), "operations[1].settle.amounts.cost_nanos"),
    "the end of 10 KB": (settle("x" * 10_000), "operations[1].settle.attempt_id"),
    "a negative extension": (
        pb.Operation(extend=pb.Extend(attempt_id="a", ttl=Duration(seconds=-1))),
        "operations[1].extend.ttl",
    ),
    "what a vendor never said": (
        pb.Operation(observe=pb.Observe(offer=OFFER, scope="account", remaining=-1)),
        "operations[1].observe.remaining",
    ),
}


async def test_a_wrong_operation_is_refused_with_its_field_and_nothing_of_its_batch_is_done(stub):
    for wrong, (operation, field) in WRONG.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await apply(stub, reserve("neighbour"), operation)
        error = status.from_rpc_error(caught.value)
        assert (error.reason, error.code) == (Reason.INVALID_REQUEST, "INVALID_ARGUMENT"), wrong
        (violation,) = error.fields
        assert violation.field == field
        assert "allowed" in violation.description, wrong
        assert len(violation.description) < 300, wrong
    assert await level(stub) == (5, 0, 0, 5)


async def test_what_is_larger_than_any_limit_never_fits(stub):
    (answer,) = await apply(stub, reserve(offers=[offer(requests=10**15)]))
    (denial,) = answer.denied.denials
    assert (denial.cause, denial.HasField("retry_after")) == (pb.Denial.CAUSE_TOO_LARGE, False)


async def test_a_limit_lowered_below_its_use_undoes_nothing_and_blocks_what_is_new(start):
    async with start(limit=5) as world:
        stub = world.stub
        await apply(stub, *(reserve(f"a{number}") for number in range(4)))
        await apply(stub, settle("a0"), settle("a1"))
        assert await level(stub) == (5, 2, 2, 1)
    async with start(limit=2) as world:
        stub = world.stub
        assert await level(stub) == (2, 2, 2, 0)
        answers = await apply(stub, reserve("new"), settle("a2"), reserve("a3"))
        assert [answer.WhichOneof("kind") for answer in answers] == ["denied", "done", "held"]
        assert (answers[0].denied.denials[0].limit, answers[0].denied.denials[0].left) == (2, 0)
        assert await level(stub) == (2, 3, 1, 0)
    async with start(limit=6) as world:
        stub = world.stub
        assert await level(stub) == (6, 3, 1, 2)
