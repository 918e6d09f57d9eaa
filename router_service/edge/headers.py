"""Reads what callers say in HTTP headers: the request's id, how long they wait, and the mesh's own words."""

import math
import secrets
from collections.abc import Iterable, Mapping

from meshkit.errors import QuotaViolation, invalid

REQUEST_ID = "x-request-id"
OFFER = "x-llm-mesh-offer"
COST = "x-llm-mesh-cost-usd"
# For requests and for tokens: the limit that a refused request met, what is left of it, and when it is whole again.
LIMITS = tuple(
    f"x-ratelimit-{figure}-{unit}" for unit in ("requests", "tokens") for figure in ("limit", "remaining", "reset")
)
USE_CASE = "x-llm-mesh-use-case"
TIER = "x-llm-mesh-tier"
STREAM_GUARANTEE = "x-llm-mesh-stream-guarantee"
LABELS = "x-llm-mesh-labels"
TIMEOUTS = ("x-request-timeout", "x-stainless-timeout")
READ_TIMEOUT = "x-stainless-read-timeout"
LONGEST_ID = 100
LONGEST_DEADLINE = 3_600.0


def plain(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with lower-case names; bytes that are not UTF-8 become question marks."""
    return {name.lower(): value.encode("utf-8", "replace").decode() for name, value in headers.items()}


def request_id(headers: Mapping[str, str]) -> str:
    """Return the caller's request id, or a new one.

    Raises:
        MeshError: INVALID_REQUEST when it is too long or not printable ASCII.
    """
    given = headers.get(REQUEST_ID, "")
    if len(given) > LONGEST_ID or not all(" " <= letter <= "~" for letter in given):
        raise invalid(REQUEST_ID, f"must be at most {LONGEST_ID} printable ASCII characters")
    return given or new_request_id()


def new_request_id() -> str:
    """Make up a request id."""
    return f"req-{secrets.token_hex(12)}"


def labels(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a request: `team=search, project=x`; the router says which are allowed.

    Raises:
        MeshError: INVALID_REQUEST when a word is no pair or a name comes twice.
    """
    found: dict[str, str] = {}
    for word in filter(None, (word.strip() for word in headers.get(LABELS, "").split(","))):
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals or name in found:
            raise invalid(LABELS, "must be name=value, separated by commas, each name once")
        found[name] = value
    return found


def limits(violations: Iterable[QuotaViolation]) -> dict[str, str]:
    """Return what is known of the limits a request met, as the official clients' users read it: the first of a unit."""
    found: dict[str, str] = {}
    for violation in violations:
        figures = (violation.limit, violation.left, violation.again)
        for figure, value in zip(("limit", "remaining", "reset"), figures, strict=True):
            name = f"x-ratelimit-{figure}-{violation.unit}"
            if name in LIMITS and value is not None:
                found.setdefault(name, _span(value) if figure == "reset" else str(value))
    return found


def _span(seconds: float) -> str:
    """Write a length of time as 1h2m3s; less than a second in milliseconds."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"


def deadline(headers: Mapping[str, str], default: float) -> float:
    """Return how many seconds the caller waits.

    A read timeout is about the next byte, not the whole answer: it can lengthen the default, never shorten it.
    """
    for name in TIMEOUTS:
        if name in headers:
            return _seconds(name, headers[name])
    if READ_TIMEOUT in headers:
        return max(default, _seconds(READ_TIMEOUT, headers[READ_TIMEOUT]))
    return default


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise invalid(name, "must be a number of seconds greater than 0")
    return min(seconds, LONGEST_DEADLINE)
