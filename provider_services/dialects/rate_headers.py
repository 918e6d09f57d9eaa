"""Reads the x-ratelimit headers that vendors of several wires send; some name the window, in whose name it is told."""

import re
from collections.abc import Mapping

from llmmesh.provider.v1.provider_pb2 import Observation

from provider_services.dialects import spans
from provider_services.dialects.faults import duration
from provider_services.dialects.interface import Subject

UNITS = (("requests", Observation.UNIT_REQUESTS), ("tokens", Observation.UNIT_TOKENS))
# x-ratelimit-remaining-tokens-month and the like; "bysize" is an older name of tokens.
WINDOWED = re.compile(r"x-ratelimit(bysize)?-(limit|remaining)(?:-(requests|req|tokens))?-(minute|hour|day|month)")
LASTING = frozenset({"day", "month"})
UNLIMITED = 2**62  # some vendors write the largest integer for "no limit", often blurred by a float


def observe(subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
    """Read limit, remaining and reset of requests and of tokens, as far as they are there."""
    found = []
    for name, unit in UNITS:
        limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
        remaining = _number(headers.get(f"x-ratelimit-remaining-{name}"))
        if limit is None and remaining is None:
            continue
        seen = _blank(subject, unit, _window(subject, name))
        if limit is not None:
            seen.limit = limit
        if remaining is not None:
            seen.remaining = remaining
        reset = spans.seconds(headers.get(f"x-ratelimit-reset-{name}", ""))
        if reset is not None:
            seen.reset_after.CopyFrom(duration(reset))
        found.append(seen)
    return [*found, *_windowed(subject, headers)]


def lasting(headers: Mapping[str, str]) -> bool:
    """Say whether a header tells that a day's or a month's quota is used up, which a 429 alone does not."""
    return any(
        (named := WINDOWED.fullmatch(name)) is not None
        and named[2] == "remaining"
        and named[4] in LASTING
        and re.fullmatch(r"0|-\d+", value.strip()) is not None
        for name, value in headers.items()
    )


def _windowed(subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
    found: dict[tuple[int, str], Observation] = {}
    for name, value in headers.items():
        named, number = WINDOWED.fullmatch(name), _number(value)
        if named is None or number is None or not (named[1] or named[3]):
            continue
        unit = Observation.UNIT_REQUESTS if (named[3] or "").startswith("req") else Observation.UNIT_TOKENS
        seen = found.setdefault((unit, named[4]), _blank(subject, unit, named[4]))
        setattr(seen, named[2], number)
        reset = spans.seconds(headers.get(f"x-ratelimit-reset-{named[3]}-{named[4]}", ""))
        if reset is not None:
            seen.reset_after.CopyFrom(duration(reset))
    return list(found.values())


def _blank(subject: Subject, unit: Observation.Unit.ValueType, window: str) -> Observation:
    seen = Observation(unit=unit, source=Observation.SOURCE_HEADER, window=window, scope=Observation.SCOPE_ACCOUNT)
    if "limits_per_model" in subject.quirks:
        seen.scope, seen.model = Observation.SCOPE_MODEL, subject.model
    return seen


def _window(subject: Subject, name: str) -> str:
    return "day" if name == "requests" and "requests_window_day" in subject.quirks else "minute"


def _number(text: str | None) -> int | None:
    if not text or not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    return number if number < UNLIMITED else None
