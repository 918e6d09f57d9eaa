"""Reads the headers that only trial keys get: calls a minute of one endpoint, and calls a month of all."""

from collections.abc import Mapping

from llmmesh.provider.v1.provider_pb2 import Observation

from provider_services.dialects.interface import Subject


def observe(subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
    """Read the limits, and what is left of the minute; the vendor does not tell what is left of the month."""
    found = []
    limit = _number(headers.get("x-trial-endpoint-call-limit"))
    remaining = _number(headers.get("x-trial-endpoint-call-remaining"))
    if limit is not None or remaining is not None:
        seen = _requests("minute")
        if "limits_per_model" in subject.quirks and subject.model:
            seen.scope, seen.model = Observation.SCOPE_MODEL, subject.model
        if limit is not None:
            seen.limit = limit
        if remaining is not None:
            seen.remaining = remaining
        found.append(seen)
    monthly = _number(headers.get("x-endpoint-monthly-call-limit"))
    if monthly is not None:
        seen = _requests("month")
        seen.limit = monthly
        found.append(seen)
    return found


def _requests(window: str) -> Observation:
    return Observation(
        unit=Observation.UNIT_REQUESTS,
        window=window,
        source=Observation.SOURCE_HEADER,
        scope=Observation.SCOPE_ACCOUNT,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
