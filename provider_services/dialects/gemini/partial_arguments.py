"""Puts a tool call together whose arguments arrive one JSON path at a time."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from provider_services.dialects import wire

_STEP = re.compile(r"\.([^.\[\]]+)|\['([^']*)'\]|\[(\d+)\]")


class PartialCall:
    """A tool call in the making."""

    def __init__(self, called: Mapping[str, Any]) -> None:
        self.name = wire.text(called.get("name"))
        self.id = wire.text(called.get("id"))
        self._args: dict[str, Any] = {}

    def grow(self, called: Mapping[str, Any]) -> None:
        """Read one piece: values by path; a text goes on where it was left."""
        for piece in called.get("partialArgs") or ():
            value = next((piece[key] for key in piece if key.endswith("Value")), None)
            steps = [_step(step) for step in _STEP.finditer(wire.text(piece.get("jsonPath")))]
            if steps:
                self._put(steps, value)

    def whole(self) -> dict[str, Any]:
        """Return the call as one that came whole."""
        return {"name": self.name, "args": self._args} | ({"id": self.id} if self.id else {})

    def _put(self, steps: list[str | int], value: Any) -> None:
        place: Any = self._args
        for step, following in pairwise(steps):
            place = _enter(place, step, [] if isinstance(following, int) else {})
        last = steps[-1]
        before = _enter(place, last, "" if isinstance(value, str) else None)
        place[last] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _step(found: re.Match[str]) -> str | int:
    name, quoted, index = found.groups()
    return int(index) if index is not None else (name or quoted or "")


def _enter(place: Any, step: str | int, empty: Any) -> Any:
    """Return what is at a step, making room for it if there is nothing."""
    if isinstance(place, list):
        assert isinstance(step, int)  # noqa: S101 - for the type checker
        if step > len(place) + 1000:
            raise ValueError("an index too far")
        place.extend([None] * (step + 1 - len(place)))
        if place[step] is None:
            place[step] = empty
        return place[step]
    return place.setdefault(step, empty)
