"""The gRPC face of the ledger: reads requests, hands them to the writer, writes answers."""

import re
from datetime import UTC, datetime
from typing import Any

import grpc
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from meshkit.errors import invalid
from quota_service.border import answer_to, operations_of, timestamp
from quota_service.spend import COLUMNS, SpendLine, SpendQuery
from quota_service.standing import BudgetStanding
from quota_service.stores.protocol import Store
from quota_service.writer import Writer

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["QuotaService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class QuotaService(quota_pb2_grpc.QuotaServiceServicer):
    """Serves the quota contract from a store."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer

    def register(self, server: grpc.aio.Server) -> None:
        """Add this service to a server."""
        quota_pb2_grpc.add_QuotaServiceServicer_to_server(self, server)

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        """Apply a batch."""
        answers = await self._writer.submit(operations_of(request))
        return pb.ApplyResponse(answers=[answer_to(answer) for answer in answers], epoch=self._store.epoch)

    async def GetBudgets(self, request: pb.GetBudgetsRequest, context: Context) -> pb.GetBudgetsResponse:
        """List budgets as they stand."""
        standing = await self._store.standing(request.prefix)
        return pb.GetBudgetsResponse(
            budgets=[_budget(budget) for budget in standing.budgets],
            closures=[
                pb.Closure(subject=subject, until=timestamp(closure.until), reason=closure.reason)
                for subject, closure in sorted(standing.closures.items())
            ],
            version=standing.version,
            now=timestamp(standing.now),
            open_holds=standing.open_holds,
        )

    async def QuerySpend(self, request: pb.QuerySpendRequest, context: Context) -> pb.QuerySpendResponse:
        """Sum what was spent."""
        lines = await self._store.spend(_query(request))
        return pb.QuerySpendResponse(rows=[_spend_row(line) for line in lines])


def _query(request: pb.QuerySpendRequest) -> SpendQuery:
    for place, column in enumerate(request.group_by):
        if column not in COLUMNS:
            raise invalid(f"group_by[{place}]", f"`{column}`; allowed: {', '.join(COLUMNS)}")
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


def _budget(standing: BudgetStanding) -> pb.BudgetState:
    budget = standing.budget
    return pb.BudgetState(
        id=budget.id,
        subject=budget.subject,
        unit=budget.unit,
        window=budget.window.label,
        limit=standing.limit,
        used=standing.used,
        held=standing.held,
        external=standing.external,
        left=standing.left,
        resets_at=None if standing.resets_at is None else timestamp(standing.resets_at),
        hard=budget.hard,
    )


def _spend_row(line: SpendLine) -> pb.SpendRow:
    amounts = line.amounts
    return pb.SpendRow(
        **line.group,
        attempts=line.attempts,
        requests=amounts.requests,
        input_tokens=amounts.input_tokens,
        output_tokens=amounts.output_tokens,
        cost_nanos=amounts.cost_nanos,
        assumed=line.assumed,
    )
