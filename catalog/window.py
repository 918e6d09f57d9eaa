"""Windows in which limits count, and the words configuration uses for them."""

import re
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

WINDOW_WORDS = (
    "second, minute, `rolling <number>s|m|h|d`, `hour|day|month [IANA zone] [at <hour>]`, once, now (concurrency)"
)

_SLIDING = {"second": 1, "minute": 60}
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_ROLLING = re.compile(r"rolling (?P<count>[1-9][0-9]*)(?P<unit>[smhd])")
_CALENDAR = re.compile(r"(?P<per>hour|day|month)(?: (?P<zone>[A-Za-z][\w/+-]*?))?(?: at (?P<hour>[0-9]{1,2}))?")

Kind = Literal["sliding", "calendar", "once", "now"]
Per = Literal["", "hour", "day", "month"]


@dataclass(frozen=True, slots=True)
class Window:
    """When a limit counts from: `sliding` seconds, a `calendar` hour, day or month, `once` for ever, or `now`."""

    kind: Kind
    seconds: int = 0
    per: Per = ""
    zone: str = "UTC"
    reset_hour: int = 0

    @property
    def label(self) -> str:
        """Name the window in a budget's id: minute, hour, day, month, once, now or rolling:<seconds>s."""
        if self.kind == "calendar":
            return self.per
        if self.kind == "sliding":
            return "minute" if self.seconds == 60 else f"rolling:{self.seconds}s"
        return self.kind

    @property
    def span(self) -> str:
        """Name the window as vendors' headers do, by its length: minute, hour, day, month; empty for others."""
        if self.kind == "sliding":
            return {60: "minute", 3_600: "hour", 86_400: "day"}.get(self.seconds, "")
        return self.per


def parse_window(text: str) -> Window:
    """Read the words of configuration, such as `minute`, `rolling 24h` or `day America/Los_Angeles at 0`.

    Raises:
        ValueError: says what is wrong with the words.
    """
    if text in _SLIDING:
        return Window("sliding", seconds=_SLIDING[text])
    if text == "once":
        return Window("once")
    if text == "now":
        return Window("now")
    if rolling := _ROLLING.fullmatch(text):
        return Window("sliding", seconds=int(rolling["count"]) * _UNITS[rolling["unit"]])
    if calendar := _CALENDAR.fullmatch(text):
        return _calendar(calendar)
    raise ValueError(f"`{text}` is not a window")


def _calendar(words: re.Match[str]) -> Window:
    """Make a calendar window of its words."""
    per: Per = "hour" if words["per"] == "hour" else "day" if words["per"] == "day" else "month"
    zone, hour = words["zone"] or "UTC", int(words["hour"] or 0)
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone `{zone}`") from error
    if hour > 23:
        raise ValueError(f"a window cannot start at hour {hour}")
    return Window("calendar", per=per, zone=zone, reset_hour=hour)
