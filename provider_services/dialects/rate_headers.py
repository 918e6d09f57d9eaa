"""Reads the x-ratelimit headers that vendors of several wires send."""

from collections.abc import Mapping

from llmmesh.provider.v1.provider_pb2 import Observation

from provider_services.dialects import spans
from provider_services.dialects.faults import duration
from provider_services.dialects.interface import Subject

UNITS = (("requests", Observation.UNIT_REQUESTS), ("tokens", Observation.UNIT_TOKENS))
UNLIMITED = 2**62  # some vendors write the largest integer for "no limit", often blurred by a float


def observe(subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
    """Read limit, remaining and reset of requests and of tokens, as far as they are there."""
    found = []
    for name, unit in UNITS:
        limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
        remaining = _number(headers.get(f"x-ratelimit-remaining-{name}"))
        if limit is None and remaining is None:
            continue
        seen = Observation(unit=unit, source=Observation.SOURCE_HEADER, window=_window(subject, name))
        if "limits_per_model" in subject.quirks:
            seen.scope, seen.model = Observation.SCOPE_MODEL, subject.model
        else:
            seen.scope = Observation.SCOPE_ACCOUNT
        if limit is not None:
            seen.limit = limit
        if remaining is not None:
            seen.remaining = remaining
        reset = spans.seconds(headers.get(f"x-ratelimit-reset-{name}", ""))
        if reset is not None:
            seen.reset_after.CopyFrom(duration(reset))
        found.append(seen)
    return found


def _window(subject: Subject, name: str) -> str:
    return "day" if name == "requests" and "requests_window_day" in subject.quirks else "minute"


def _number(text: str | None) -> int | None:
    if not text or not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    return number if number < UNLIMITED else None
