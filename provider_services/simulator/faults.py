"""Keeps the faults a vendor was told to show and chooses the one that strikes a request."""

import random
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Kind = Literal[
    "status", "hang", "cut", "end", "stall", "malformed", "slow_first_token", "error_in_stream", "refuse", "finish"
]
SPOKEN = ("status", "error_in_stream")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One fault on demand; `times` counts it down, `probability` and `model` narrow whom it strikes.

    A status, or an error in an answer that began well, is told in the vendor's words for that status, in its words for
    what `says` names (`overloaded`, `filtered`, `out_of_credit`, any other kind of error in its row), or by `body`. A
    `finish` ends the answer after so many tokens with the vendor's own word for a filter or an interruption; a vendor
    that has no such word stops as usual.
    """

    kind: Kind
    status: int | None = None
    says: str = ""
    finish: Literal["filter", "abort"] | None = None
    body: Any = None
    headers: dict[str, str] = {}
    after_tokens: int = 0
    seconds: float = 0
    times: int | None = None
    probability: float = 1
    model: str | None = None
    operation: Literal["chat", "embed", "models", "any"] = "chat"

    def __post_init__(self) -> None:
        if self.kind == "status" and not 400 <= (self.status or 400 * bool(self.says)) <= 599:
            raise ValueError("a status fault needs a status from 400 to 599, or what it says")
        if self.says and self.kind not in SPOKEN:
            raise ValueError(f"says belongs to {' and '.join(SPOKEN)}")
        if (self.kind == "finish") != (self.finish is not None):
            raise ValueError("a finish fault, and no other, has a finish: filter or abort")
        if self.kind == "slow_first_token" and self.seconds <= 0:
            raise ValueError("a slow_first_token fault needs seconds above 0")
        if self.after_tokens < 0 or self.seconds < 0:
            raise ValueError("after_tokens and seconds must not be negative")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1")
        if not 0 < self.probability <= 1:
            raise ValueError("probability lies above 0 and at most at 1")

    def strikes(self, operation: str, model: str) -> bool:
        """Tell whether the fault is meant for this operation and model."""
        return self.operation in ("any", operation) and self.model in (None, model)


@dataclass(slots=True)
class _Pending:
    fault: Fault
    left: int | None


class FaultBoard:
    """The faults in force at one vendor, first match first."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._pending: list[_Pending] = []

    def replace(self, faults: tuple[Fault, ...]) -> None:
        """Put other faults in force."""
        self._pending = [_Pending(fault, fault.times) for fault in faults]

    def choose(self, operation: str, model: str) -> Fault | None:
        """Return the fault that strikes this request and count it down."""
        for pending in self._pending:
            fault = pending.fault
            if not fault.strikes(operation, model):
                continue
            if fault.probability < 1 and self._chance.random() >= fault.probability:
                continue
            if pending.left is not None:
                pending.left -= 1
                if not pending.left:
                    self._pending.remove(pending)
            return fault
        return None

    def shown(self) -> list[dict[str, Any]]:
        """Return the faults in force with the times they have left."""
        return [
            msgspec.to_builtins(item.fault) | ({} if item.left is None else {"times": item.left})
            for item in self._pending
        ]
