"""Holds a request body in the making: what the quirks of a vendor bend before it is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes

# How a request says that the model must not think, in the words of each vendor.
SILENCING = {
    "reasoning_effort": "none",
    "thinking": {"type": "disabled"},
    "enable_thinking": False,
    "reasoning": {"effort": "none"},
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A request body in the making, and where to note what was bent."""

    call: Call
    body: dict[str, Any]
    notes: Notes

    @property
    def effort(self) -> str:
        """The effort asked for, or nothing."""
        return str(self.body.get("reasoning_effort", ""))

    @property
    def thinks(self) -> bool:
        """Whether the model may think before it answers; one that nobody knows may."""
        silenced = [self.body[field] == off for field, off in SILENCING.items() if field in self.body]
        thinks = not any(silenced) if silenced else "thinks_when_asked" not in self.call.quirks
        return self.call.reasons is not False and thinks

    def drop(self, theirs: str, ours: str) -> None:
        """Leave a field out, with a note if it was there."""
        if self.body.pop(theirs, None) is not None:
            self.notes.drop(ours, "this vendor or model does not take it")

    def clamp(self, theirs: str, value: float | str, ours: str, taken: str) -> None:
        """Send the nearest value that is taken, with a note."""
        self.notes.note("clamped", ours, f"{taken}: {self.body[theirs]} → {value}")
        self.body[theirs] = value

    def rename(self, old: str, new: str) -> None:
        """Send a field under another name."""
        if old in self.body:
            self.body[new] = self.body.pop(old)


Quirk = Callable[[Draft], None]
