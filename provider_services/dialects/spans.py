"""Reads the ways vendors write a length of time."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PIECE.pattern})+")
_WORDS = {"second": 1.0, "sec": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "hr": 3600.0, "day": 86400.0}
_WORDED = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_WORDS)})s?\b", re.IGNORECASE)
_AGAIN = re.compile(
    rf"(?:(?:try again|retry|resets?) (?:in|after)|wait)(?: for)? ({_WHOLE.pattern}(?!\w)|{_WORDED.pattern})",
    re.IGNORECASE,
)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?![\d.+Z-])")
LONGEST = 400 * 86400.0  # seconds; anything longer is a defect


def seconds(text: str) -> float | None:
    """Read "1m26.4s", "17ms", "38.2s" or a bare number of seconds; None when it is neither."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        total = sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(text))
    else:
        try:
            total = float(text)
        except ValueError:
            return None
    return total if 0 <= total <= LONGEST else None


def mentioned(message: str) -> float | None:
    """Find "try again in 2m59.56s" or "retry after 26 seconds" in a sentence; seconds, or None."""
    found = _AGAIN.search(message)
    if found is None:
        return None
    if worded := _WORDED.fullmatch(found.group(1)):
        return seconds(str(float(worded.group(1)) * _WORDS[worded.group(2).lower()]))
    return seconds(found.group(1))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after-ms` or `retry-after`, a number or a date; seconds, or None."""
    if milliseconds := headers.get("retry-after-ms"):
        after = seconds(milliseconds)
        return None if after is None else after / 1000
    value = headers.get("retry-after")
    if not value:
        return None
    after = seconds(value)
    if after is not None:
        return after
    until, now = _date(value), _date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def until(moment: str, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the answer's own date to an RFC 3339 moment; None without a date, 0 when it is past."""
    now = _date(headers.get("date", ""))
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return None
    if now is None or then.tzinfo is None:
        return None
    return min(LONGEST, max(0.0, (then - now).total_seconds()))


def until_midnight(headers: Mapping[str, str], zone: str) -> float | None:
    """Return the seconds from the answer's own date to the next midnight of a zone; None without a date."""
    now = _date(headers.get("date", ""))
    if now is None:
        return None
    local = now.astimezone(ZoneInfo(zone))
    tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return tomorrow.timestamp() - now.timestamp()


def until_reset(moment: str, headers: Mapping[str, str]) -> float | None:
    """Return the seconds to a reset: a Unix time in milliseconds or seconds, from the answer's own date, or a length.

    None when the text is neither, or no answer's date tells how far away the time is.
    """
    if not moment.isdecimal() or len(moment) < len("1000000000"):
        return seconds(moment)
    now = _date(headers.get("date", ""))
    if now is None or len(moment) > len("1000000000000"):
        return None
    then = int(moment) / (1 if len(moment) == len("1000000000") else 1000)
    return min(LONGEST, max(0.0, then - now.timestamp()))


def until_written(message: str, headers: Mapping[str, str], zone: str) -> float | None:
    """Return the seconds from the answer's own date to a local time that a sentence names; None without either."""
    found, now = _MOMENT.search(message), _date(headers.get("date", ""))
    if found is None or now is None:
        return None
    then = datetime.fromisoformat(found.group()).replace(tzinfo=ZoneInfo(zone))
    return min(LONGEST, max(0.0, then.timestamp() - now.timestamp()))


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    return date if date.tzinfo else None
