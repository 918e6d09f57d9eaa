"""The words configuration uses for windows."""

import pytest

from catalog.window import Window, parse_window


@pytest.mark.parametrize(
    ("words", "window", "label", "span"),
    [
        ("second", Window("sliding", seconds=1), "rolling:1s", ""),
        ("minute", Window("sliding", seconds=60), "minute", "minute"),
        ("rolling 60s", Window("sliding", seconds=60), "minute", "minute"),
        ("rolling 1h", Window("sliding", seconds=3600), "rolling:3600s", "hour"),
        ("rolling 24h", Window("sliding", seconds=86_400), "rolling:86400s", "day"),
        ("rolling 7d", Window("sliding", seconds=604_800), "rolling:604800s", ""),
        ("hour", Window("calendar", per="hour"), "hour", "hour"),
        ("day", Window("calendar", per="day"), "day", "day"),
        ("day America/Los_Angeles", Window("calendar", per="day", zone="America/Los_Angeles"), "day", "day"),
        ("day Etc/GMT+5 at 7", Window("calendar", per="day", zone="Etc/GMT+5", reset_hour=7), "day", "day"),
        ("day at 0", Window("calendar", per="day"), "day", "day"),
        ("month UTC", Window("calendar", per="month"), "month", "month"),
        ("once", Window("once"), "once", ""),
        ("now", Window("now"), "now", ""),
    ],
)
def test_words_name_a_window_with_its_label_and_length(words: str, window: Window, label: str, span: str) -> None:
    assert parse_window(words) == window
    assert (window.label, window.span) == (label, span)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "`` is not a window"),
        ("weekly", "`weekly` is not a window"),
        ("rolling 0s", "`rolling 0s` is not a window"),
        ("rolling 24", "`rolling 24` is not a window"),
        ("day Mars/Olympus", "unknown time zone `Mars/Olympus`"),
        ("day ../../etc/passwd", "is not a window"),
        ("day UTC at 24", "cannot start at hour 24"),
        ("Minute", "`Minute` is not a window"),
    ],
)
def test_other_words_are_refused_with_the_reason(words: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace(".", r"\.")):
        parse_window(words)
