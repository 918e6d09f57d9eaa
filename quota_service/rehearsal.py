"""The ledger of a rehearsal: its real rules over memory, in moments that are told; it speaks the contract."""

from llmmesh.quota.v1 import quota_pb2

from catalog.settings import Mesh
from quota_service import views
from quota_service.border import answer_to, operations_of
from quota_service.expansion import definitions_of
from quota_service.ledger import Ledger
from quota_service.standing import standing


class RehearsedLedger:
    """The budgets of one configuration, all of them whole at first; moments are Unix seconds."""

    def __init__(self, mesh: Mesh) -> None:
        self._ledger = Ledger(definitions_of(mesh.catalog, mesh))

    def apply(self, request: quota_pb2.ApplyRequest, moment: float) -> quota_pb2.ApplyResponse:
        """Do a batch as the quota service does it.

        Raises:
            MeshError: an operation is malformed.
        """
        answers, _ = self._ledger.apply(operations_of(request), _millis(moment))
        return quota_pb2.ApplyResponse(answers=[answer_to(answer) for answer in answers])

    def budgets(self, moment: float) -> quota_pb2.GetBudgetsResponse:
        """List the budgets as they stand."""
        return views.budgets(standing(self._ledger, _millis(moment)))


def _millis(moment: float) -> int:
    return round(moment * 1_000)
