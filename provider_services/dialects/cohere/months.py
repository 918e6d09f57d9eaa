"""Says when a monthly quota begins again: at the first of the next month, as no time zone is documented in UTC."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def until_next(headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the answer's own date to the next month; None without a date."""
    try:
        now = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, IndexError):
        return None
    if now.tzinfo is None:
        return None
    now = now.astimezone(UTC)
    year, month = divmod(now.year * 12 + now.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp() - now.timestamp()
