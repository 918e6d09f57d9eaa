"""Marks the blocks up to which a prompt is worth caching; the vendor takes a few marks, long ones before short ones."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import CacheHint

from provider_services.dialects.notes import Notes

# https://docs.anthropic.com/en/api/messages
MOST_MARKS = 4
SHORT = 300  # seconds
UNMARKED = frozenset({"thinking", "redacted_thinking"})


class CacheMarks:
    """Gathers marks in the prompt's order."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._marked: list[tuple[dict[str, Any], bool, str]] = []

    def mark(self, blocks: list[dict[str, Any]], hint: CacheHint, field: str) -> None:
        """Remember that the prompt up to the last of these blocks is worth caching."""
        if blocks and blocks[-1]["type"] not in UNMARKED:
            self._marked.append((blocks[-1], hint.ttl_seconds > SHORT, f"{field}.cache_hint"))
        else:
            self._notes.drop(f"{field}.cache_hint", "this vendor cannot cache up to here")

    def place(self) -> None:
        """Write the marks: the last few, which cover the longest prefixes."""
        for _, _, field in self._marked[:-MOST_MARKS]:
            self._notes.drop(field, f"this vendor takes {MOST_MARKS} of them; the last are kept")
        shortened = False
        for block, long, field in self._marked[-MOST_MARKS:]:
            block["cache_control"] = {"type": "ephemeral"}
            if long and shortened:
                self._notes.note("clamped", field, "this vendor keeps nothing longer than what comes before it")
            elif long:
                block["cache_control"]["ttl"] = "1h"
            shortened = shortened or not long
