"""Words a fault on demand as the vendor would: with values made up where a true refusal would have its own."""

from dataclasses import dataclass
from typing import Any

import msgspec

from provider_services.simulator.ask import RefusalError, Said, Wire
from provider_services.simulator.faults import Fault
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import LimitRow
from provider_services.simulator.words import say

DENIAL = Denial(LimitRow(unit="requests", amount=60), used=60, requested=1, retry_after=5.0)
MADE_UP: dict[str, Any] = {
    "message": "This request cannot be served.",
    "param": None,
    "place": ["body"],
    "given": None,
    "camel": "model",
    "masked_key": "*" * 12,
    "method": "POST",
    "path": "/",
    "tokens": 1_000_001,
    "context": 1_000_000,
    "retry": "5s",
    "retry_s": "5",
    "wait_s": 5,
    "span_s": 60,
    "index": 0,
    "choice": "required",
    "asked": 1_000,
    "affords": 0,
}


@dataclass(frozen=True, slots=True)
class FaultWords:
    """Who is asked to word a fault, and the request it strikes."""

    wire: Wire
    model: str
    request_id: str

    def of(self, fault: Fault) -> Said:
        """Return the error a fault answers with.

        Raises:
            KeyError: the vendor has no words for what the fault is to say.
        """
        status = fault.status or 500
        if fault.body is not None:
            body = fault.body.encode() if isinstance(fault.body, str) else msgspec.json.encode(fault.body)
            return Said(status, body)
        if fault.says:
            return self.about(fault.says, {"status": fault.status} if fault.status else {})
        return self.about("server", {"status": status})

    def about(self, kind: str, values: dict[str, Any]) -> Said:
        """Word one kind of error of the vendor's; `values` beat the made-up ones."""
        row = self.wire.errors[kind]
        told = MADE_UP | self.wire.denial_values(DENIAL, self.model)
        told |= self.wire.fault_values(values.get("status", row.status))
        told |= {"model": self.model, "request_id": self.request_id}
        return say(self.wire.errors, RefusalError(kind, **told | values))
