"""The gRPC face of the ledger: reads requests, hands them to the writer, writes answers."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import grpc
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from catalog import caller_labels
from meshkit import identity, logs
from meshkit.errors import invalid
from quota_service import transfer, views
from quota_service.border import answer_to, operations_of
from quota_service.forecast import Paces, forecasts
from quota_service.overrides import Change, note
from quota_service.overruling import remove_override, set_override
from quota_service.spend import COLUMNS, LABEL, SpendQuery
from quota_service.standing import Standing
from quota_service.stores.protocol import Store
from quota_service.watching import Lookout, Watch, watch
from quota_service.writer import Writer

log = logs.get("ledger")
SERVICE_NAME = pb.DESCRIPTOR.services_by_name["QuotaService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]
SHORTEST_WATCH, LONGEST_WATCH = 0.1, 60.0
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class QuotaService(quota_pb2_grpc.QuotaServiceServicer):
    """Serves the quota contract from a store; `notes` are what is worth a word in health beside the budgets."""

    def __init__(
        self, store: Store, writer: Writer, paces: Paces, notes: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        self._store = store
        self._writer = writer
        self._paces = paces
        self._notes = notes
        self._lookout = Lookout(store)
        self._closed = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """Add this service to a server."""
        quota_pb2_grpc.add_QuotaServiceServicer_to_server(self, server)

    def close(self) -> None:
        """End the streams of who watches."""
        self._closed.set()

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        """Apply a batch."""
        identity.demand_service()
        answers = await self._writer.submit(operations_of(request))
        return pb.ApplyResponse(answers=[answer_to(answer) for answer in answers], epoch=self._store.epoch)

    async def GetBudgets(self, request: pb.GetBudgetsRequest, context: Context) -> pb.GetBudgetsResponse:
        """List budgets as they stand."""
        identity.demand_service()
        told = views.budgets(await self._store.standing(request.prefix))
        told.warnings.extend(f"{name}: {note}" for name, note in self._notes().items())
        return told

    async def WatchBudgets(
        self, request: pb.WatchBudgetsRequest, context: Context
    ) -> AsyncGenerator[pb.WatchBudgetsResponse]:
        """Stream budgets and what changes of them."""
        identity.demand_service()
        async with aclosing(watch(self._lookout, _watch(request), self._closed)) as standings:
            async for standing in standings:
                yield views.watched(standing)

    async def Forecast(self, request: pb.ForecastRequest, context: Context) -> pb.ForecastResponse:
        """Say which budgets will be used up."""
        identity.demand_service()
        standing = await self._store.standing(request.prefix)
        return views.foreseen(forecasts(standing, self._paces), standing.now)

    async def QuerySpend(self, request: pb.QuerySpendRequest, context: Context) -> pb.QuerySpendResponse:
        """Sum what was spent."""
        identity.demand_trusted()
        lines = await self._store.spend(_query(request))
        return pb.QuerySpendResponse(rows=[views.spend_row(line) for line in lines])

    async def SetOverride(self, request: pb.SetOverrideRequest, context: Context) -> pb.SetOverrideResponse:
        """Count another limit."""
        identity.demand_operator()
        operation = set_override(request, await self._store.standing())
        standing = await self._overrule(operation)
        return pb.SetOverrideResponse(budget=_one(standing, request.budget), version=standing.version)

    async def RemoveOverride(self, request: pb.RemoveOverrideRequest, context: Context) -> pb.RemoveOverrideResponse:
        """Count the declared limit again."""
        identity.demand_operator()
        operation = remove_override(request, await self._store.standing())
        standing = await self._overrule(operation)
        return pb.RemoveOverrideResponse(budget=_one(standing, request.budget), version=standing.version)

    async def _overrule(self, operation: Change) -> Standing:
        await self._writer.submit([operation])
        log.warning("overruled", what=note(operation))
        return await self._store.standing()

    async def Verify(self, request: pb.VerifyRequest, context: Context) -> pb.VerifyResponse:
        """Recompute every level."""
        identity.demand_operator()
        differences = await self._store.verify()
        for difference in differences:
            log.error("wrong", what=difference)
        return views.verified(differences, await self._store.standing())

    async def Export(self, request: pb.ExportRequest, context: Context) -> AsyncGenerator[pb.ExportResponse]:
        """Stream the whole ledger."""
        identity.demand_operator()
        for lines in transfer.in_parts(transfer.write(await self._store.image())):
            yield pb.ExportResponse(lines=lines)


def _one(standing: Standing, budget_id: str) -> pb.BudgetState | None:
    return next((views.budget(row) for row in standing.budgets if row.budget.id == budget_id), None)


def _watch(request: pb.WatchBudgetsRequest) -> Watch:
    every = request.every.ToMilliseconds() / 1_000 if request.HasField("every") else 1.0
    if not SHORTEST_WATCH <= every <= LONGEST_WATCH:
        raise invalid("every", f"{every:g} s; allowed: {SHORTEST_WATCH:g} to {LONGEST_WATCH:g} s")
    return Watch(request.prefix, every)


def _query(request: pb.QuerySpendRequest) -> SpendQuery:
    for place, column in enumerate(request.group_by):
        label = column.removeprefix(LABEL) if column.startswith(LABEL) else ""
        if column not in COLUMNS and not caller_labels.KEY.fullmatch(label):
            raise invalid(f"group_by[{place}]", f"`{column}`; allowed: {', '.join(COLUMNS)}, {LABEL}<name>")
    if len(set(request.group_by)) < len(request.group_by):
        raise invalid("group_by", "a column is named twice")
    first, last = _day(request.from_day, "from_day"), _day(request.to_day, "to_day")
    return SpendQuery(first, last, tuple(request.group_by), request.tenant)


def _day(text: str, field: str) -> str:
    if not text:
        return ""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError(text)
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise invalid(field, f"`{text}` is not a day; allowed: YYYY-MM-DD") from None
    return text
