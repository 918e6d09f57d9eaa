"""Writes rate-limit headers in the formats vendors use, chosen by the style word of a row."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provider_services.simulator.quotas import Gauge

Headers = dict[str, str]
MILLISECONDS = 1_000
UNKNOWN = {
    "limit": "-1",
    "remaining": "-1",
    "reset": "0",
}  # what a host of whole numbers says of a limit it does not have


@dataclass(frozen=True, slots=True)
class Rates:
    """What headers may tell: the gauges of the windows a row speaks of, what was asked for, and how long to wait.

    `retry_after` is in seconds, and None when the request was not refused.
    """

    gauges: Mapping[tuple[str, str], Gauge | None]
    cost: int
    retry_after: float | None

    def told(self) -> list[tuple[str, str, Gauge]]:
        """Return unit, period and gauge of every limit there is."""
        return [(unit, per, gauge) for (unit, per), gauge in self.gauges.items() if gauge is not None]

    def waiting(self) -> Headers:
        """Return when to come back, in whole seconds."""
        return {} if self.retry_after is None else {"retry-after": str(math.ceil(self.retry_after))}


def go_duration(seconds: float) -> str:
    """Write seconds the way Go prints a duration: 17ms, 7.66s, 6m0s, 1h27m50.4s."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{math.ceil(seconds * MILLISECONDS)}ms"
    minutes, rest = divmod(math.ceil(seconds * MILLISECONDS) / MILLISECONDS, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def _go_durations(rates: Rates) -> Headers:
    headers: Headers = {}
    for unit, _, gauge in rates.told():
        headers[f"x-ratelimit-limit-{unit}"] = str(gauge.limit)
        headers[f"x-ratelimit-remaining-{unit}"] = str(gauge.remaining)
        headers[f"x-ratelimit-reset-{unit}"] = go_duration(gauge.reset_s)
    return headers | rates.waiting()


def _moments(rates: Rates) -> Headers:
    headers: Headers = {}
    now = datetime.now(UTC)
    for unit, _, gauge in rates.told():
        reset = now + timedelta(seconds=max(0.0, gauge.reset_s))
        headers[f"ratelimit-{unit}-limit"] = str(gauge.limit)
        headers[f"ratelimit-{unit}-remaining"] = str(gauge.remaining)
        headers[f"ratelimit-{unit}-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
    return headers | rates.waiting()


def _trial_calls(rates: Rates) -> Headers:
    """Tell trial keys what is left of the minute and how long the month is; a denial tells nothing."""
    headers: Headers = {}
    for unit, per, gauge in rates.told() if rates.retry_after is None else ():
        if (unit, per) == ("requests", "minute"):
            headers["x-trial-endpoint-call-limit"] = str(gauge.limit)
            headers["x-trial-endpoint-call-remaining"] = str(gauge.remaining)
        elif unit == "requests":
            headers["x-endpoint-monthly-call-limit"] = str(gauge.limit)
    return headers


def _windows(rates: Rates) -> Headers:
    """Tell no moment: the window is in the name, and what the request cost stands beside it."""
    headers: Headers = {}
    for unit, per, gauge in rates.told():
        name = f"{'req' if unit == 'requests' else unit}-{per}"
        headers[f"x-ratelimit-limit-{name}"] = str(gauge.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(gauge.remaining)
    cost = {"x-ratelimit-tokens-query-cost": str(rates.cost)} if rates.cost else {}
    return headers | cost | rates.waiting()


def _integers(rates: Rates) -> Headers:
    """Tell whole seconds, a wait in milliseconds too, and -1 where there is no limit."""
    headers: Headers = {}
    for (unit, _), gauge in rates.gauges.items():
        told = UNKNOWN
        if gauge is not None:
            told = {
                "limit": str(gauge.limit),
                "remaining": str(gauge.remaining),
                "reset": str(math.ceil(gauge.reset_s)),
            }
        headers |= {f"x-ratelimit-{name}-{unit}": text for name, text in told.items()}
    if rates.retry_after is not None:
        headers["retry-after-ms"] = str(math.ceil(rates.retry_after * MILLISECONDS))
    return headers | rates.waiting()


def _plain(rates: Rates) -> Headers:
    """Tell limits and what is left, but not when it comes back."""
    headers: Headers = {}
    for unit, _, gauge in rates.told():
        headers[f"x-ratelimit-limit-{unit}"] = str(gauge.limit)
        headers[f"x-ratelimit-remaining-{unit}"] = str(gauge.remaining)
    return headers


def _none(rates: Rates) -> Headers:
    return {}


STYLES: dict[str, Callable[[Rates], Headers]] = {
    "none": _none,
    "go_durations": _go_durations,
    "trial_calls": _trial_calls,
    "moments": _moments,
    "windows": _windows,
    "integers": _integers,
    "plain": _plain,
    "retry_after": Rates.waiting,
}
