"""Says what is wrong with an outcome: against an expectation where there is one, else against what the record says."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llm_mesh.conformance import rows
from llm_mesh.conformance.outcome import Outcome
from llm_mesh.conformance.records import Record

Expected = Mapping[str, Any]
PLAIN = ("outcome", "text", "reasoning", "finish_reason", "usage")
KNOWN = frozenset(
    (
        *("auth", "permission", "bad_request", "context", "content_filter", "not_found"),
        *("throttled", "quota", "overload", "server", "retired"),
    )
)
FAILED = frozenset({"error", "ERROR"})
SHOWN = 60  # characters of a difference


def faults(record: Record, outcome: Outcome, again: Outcome, expected: Expected | None) -> list[str]:
    """Return what is wrong, nothing when all is right; `again` is the same answer cut otherwise."""
    found = list(_always(record, outcome, again))
    if expected is None:
        return [*found, *_declared(record, outcome)]
    return [*found, *_differences(outcome.plain(), expected)]


def _always(record: Record, outcome: Outcome, again: Outcome) -> Iterator[str]:
    if again != outcome:
        yield "another cut of the same bytes gives another result"
    if outcome.failure and outcome.failure.reason not in KNOWN:
        yield f"no fault of a vendor's: {outcome.failure.reason}: {outcome.failure.message}"
    if outcome.kind == "ok" and record.status >= 300:
        yield f"a success in spite of status {record.status}"


def _declared(record: Record, outcome: Outcome) -> Iterator[str]:
    failure = outcome.failure
    if failure and not failure.broken_off and not _tells_of_an_error(record):
        yield f"a fault in a good answer: {failure.message}"
    if outcome.kind == "ok" and "error_in_2xx" in record.kinds:
        yield "a success in spite of an error inside"


def _tells_of_an_error(record: Record) -> bool:
    """Tell whether a fault may be right: the record says so, or its bytes are another wire's than the one it names."""
    marks = rows.recorded().marks.get(record.dialect, [])
    strange = bool(marks) and not any(mark.encode() in record.body for mark in marks)
    return strange or record.status >= 300 or "error" in record.kinds or bool(FAILED & record.finishes)


def _differences(mine: Mapping[str, Any], expected: Expected) -> Iterator[str]:
    for name in PLAIN:
        if name in expected and mine[name] != expected[name]:
            yield _differs(name, mine[name], expected[name])
    if "tool_calls" in expected and not _same_calls(mine["tool_calls"], expected["tool_calls"]):
        yield _differs("tool_calls", mine["tool_calls"], expected["tool_calls"])
    if "error" in expected and not _same_error(mine["error"], expected["error"]):
        yield _differs("error", mine["error"], expected["error"])


def _same_calls(mine: list[Expected], expected: list[Expected]) -> bool:
    """Compare calls; an id the vendor did not give may be anything, arguments mean their JSON."""
    return len(mine) == len(expected) and all(
        my["name"] == their["name"]
        and my["id"] == (their.get("id") or my["id"])
        and _arguments(my["arguments"]) == _arguments(their["arguments"])
        for my, their in zip(mine, expected, strict=True)
    )


def _same_error(mine: Expected | None, expected: Expected | None) -> bool:
    """Compare what the expectation speaks of."""
    if mine is None or expected is None:
        return mine is expected
    return all(mine.get(name) == value for name, value in expected.items())


def _arguments(text: Any) -> Any:
    if not isinstance(text, str):
        return text or {}
    try:
        return json.loads(text or "{}") or {}
    except ValueError:
        return text


def _differs(name: str, mine: Any, expected: Any) -> str:
    ours, theirs = json.dumps(mine, ensure_ascii=False), json.dumps(expected, ensure_ascii=False)
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    begin = max(0, at - 15)
    return f"{name}: {ours[begin : begin + SHOWN]!s} instead of {theirs[begin : begin + SHOWN]!s}"
