"""Reads what the headers of any answer say of our rate limits."""

from collections.abc import Mapping

from llmmesh.provider.v1.provider_pb2 import Observation

from provider_services.dialects import spans
from provider_services.dialects.faults import duration
from provider_services.dialects.interface import Subject

# Limits of input and of output apart have no unit of ours; `tokens` is the tightest of them all.
UNITS = (("requests", Observation.UNIT_REQUESTS), ("tokens", Observation.UNIT_TOKENS))


def observe(subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
    """Read limit, remaining and reset of requests and of tokens, as the vendor or a host before it names them."""
    found = []
    for name, unit in UNITS:
        own = f"anthropic-ratelimit-{name}-"
        limit = _number(headers.get(f"{own}limit") or headers.get(f"x-ratelimit-limit-{name}"))
        left = _number(headers.get(f"{own}remaining") or headers.get(f"x-ratelimit-remaining-{name}"))
        if limit is None and left is None:
            continue
        seen = Observation(unit=unit, source=Observation.SOURCE_HEADER, window="minute")
        seen.scope = Observation.SCOPE_ACCOUNT
        if "limits_per_model" in subject.quirks:
            seen.scope, seen.model = Observation.SCOPE_MODEL, subject.model
        if limit is not None:
            seen.limit = limit
        if left is not None:
            seen.remaining = left
        reset = _reset(headers, name)
        if reset is not None:
            seen.reset_after.CopyFrom(duration(reset))
        found.append(seen)
    return found


def _reset(headers: Mapping[str, str], name: str) -> float | None:
    if moment := headers.get(f"anthropic-ratelimit-{name}-reset"):
        return spans.until(moment, headers)
    return spans.seconds(headers.get(f"x-ratelimit-reset-{name}", ""))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
