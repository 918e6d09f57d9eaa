"""Writes rate-limit headers in the formats vendors use, chosen by the style word of a row."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from provider_services.simulator.quotas import Gauge

Headers = dict[str, str]


def go_duration(seconds: float) -> str:
    """Write seconds the way Go prints a duration: 17ms, 7.66s, 6m0s, 1h27m50.4s."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def _go_durations(gauges: dict[str, Gauge | None], retry_after: float | None) -> Headers:
    headers: Headers = {}
    for unit, gauge in gauges.items():
        if gauge is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(gauge.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(gauge.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = go_duration(gauge.reset_s)
    if retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
    return headers


def _moments(gauges: dict[str, Gauge | None], retry_after: float | None) -> Headers:
    headers: Headers = {}
    now = datetime.now(UTC)
    for unit, gauge in gauges.items():
        if gauge is not None:
            reset = now + timedelta(seconds=max(0.0, gauge.reset_s))
            headers[f"ratelimit-{unit}-limit"] = str(gauge.limit)
            headers[f"ratelimit-{unit}-remaining"] = str(gauge.remaining)
            headers[f"ratelimit-{unit}-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
    if retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
    return headers


def _trial_calls(gauges: dict[str, Gauge | None], retry_after: float | None) -> Headers:
    """Tell trial keys what is left of the minute; a denial tells nothing."""
    gauge = gauges["requests"]
    if gauge is None or retry_after is not None:
        return {}
    return {
        "x-trial-endpoint-call-limit": str(gauge.limit),
        "x-trial-endpoint-call-remaining": str(gauge.remaining),
    }


def _none(gauges: dict[str, Gauge | None], retry_after: float | None) -> Headers:
    return {}


STYLES: dict[str, Callable[[dict[str, Gauge | None], float | None], Headers]] = {
    "none": _none,
    "go_durations": _go_durations,
    "trial_calls": _trial_calls,
    "moments": _moments,
}
