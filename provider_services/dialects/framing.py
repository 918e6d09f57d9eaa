"""Cuts a byte stream into events: server-sent events, JSON lines and the elements of one JSON array.

Each reader gives the same result however the bytes were cut on the way, and refuses a line over the cap, so that a
broken vendor cannot fill the memory. A reader's `feed` takes bytes and returns what is complete; `close` returns what
the end of the stream completes.
"""

import re
from typing import NamedTuple

LINE_CAP = 1_000_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class FramingError(ValueError):
    """The bytes are no stream of this kind."""


class SseEvent(NamedTuple):
    """One server-sent event: its name, often empty, and its data."""

    name: bytes
    data: bytes


class LineReader:
    """Cuts bytes into lines ended by LF or CRLF, without their ends."""

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._cap = cap
        self._pieces: list[bytes] = []
        self._held = 0
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, return the lines they complete."""
        if b"\n" not in data:
            self._hold(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces, self._held = [], 0
        lines = data.split(b"\n")
        rest = lines.pop()
        if rest:
            self._hold(rest)
        return [self._clean(line) for line in lines]

    def close(self) -> list[bytes]:
        """Return the last line, if the stream did not end with a line end."""
        line = b"".join(self._pieces)
        self._pieces, self._held = [], 0
        return [self._clean(line)] if line else []

    def _hold(self, data: bytes) -> None:
        self._held += len(data)
        if self._held > self._cap:
            raise FramingError(f"a line is longer than {self._cap} bytes")
        self._pieces.append(data)

    def _clean(self, line: bytes) -> bytes:
        if len(line) > self._cap:
            raise FramingError(f"a line is longer than {self._cap} bytes")
        if not self._started:
            self._started = True
            line = line.removeprefix(BYTE_ORDER_MARK)
        return line[:-1] if line.endswith(b"\r") else line


class SseReader:
    """Reads server-sent events; comments and events without data are no events.

    What begins like a JSON object is no stream, whatever its headers say: vendors explain errors so. It is one event
    without a name, complete when the answer is.
    """

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._lines = LineReader(cap)
        self._cap = cap
        self._begun = b""
        self._framed = False
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take bytes, return the events they complete."""
        if not self._framed:
            self._begun += data
            if self._undecided():
                return []
            self._framed, data, self._begun = True, self._begun, b""
        return self._events(self._lines.feed(data))

    def close(self) -> list[SseEvent]:
        """Return the last event, if the stream ended without a blank line."""
        if not self._framed:
            plain = self._begun.removeprefix(BYTE_ORDER_MARK).strip()
            return [SseEvent(b"", plain)] if plain else []
        return self._events([*self._lines.close(), b""])

    def _undecided(self) -> bool:
        """Say whether what has come may be, or is, something else than events; raises FramingError over the cap."""
        begun = self._begun.removeprefix(BYTE_ORDER_MARK).lstrip()
        if begun and not begun.startswith(b"{") and not BYTE_ORDER_MARK.startswith(begun):
            return False
        if len(self._begun) > self._cap:
            raise FramingError(f"an answer that is no stream is longer than {self._cap} bytes")
        return True

    def _events(self, lines: list[bytes]) -> list[SseEvent]:
        events = []
        for line in lines:
            if not line:
                if self._data:
                    data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                    if data and not data.isspace():
                        events.append(SseEvent(self._name, data))
                    self._data, self._size = [], 0
                self._name = b""
            elif line.startswith(b"data:"):
                self._keep(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
        return events

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._cap:
            raise FramingError(f"an event is longer than {self._cap} bytes")
        self._data.append(data)


class NdjsonReader:
    """Reads one JSON value from each line; blank lines are nothing."""

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._lines = LineReader(cap)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, return the lines they complete."""
        return [line for line in self._lines.feed(data) if line.strip()]

    def close(self) -> list[bytes]:
        """Return the last line, if the stream ended without a line end."""
        return [line for line in self._lines.close() if line.strip()]


class JsonArrayReader:
    """Reads the objects of one JSON array that arrives in pieces."""

    _MARK = re.compile(rb'["\\{}\[\]]')

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._cap = cap
        self._held = b""
        self._scanned = 0
        self._depth = 0
        self._quoted = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, return the objects they complete."""
        self._held += data
        found: list[bytes] = []
        begin = 0
        while mark := self._MARK.search(self._held, self._scanned):
            sign = mark.group()
            if sign == b"\\":
                if mark.end() == len(self._held):
                    self._scanned = mark.start()
                    break  # what is escaped has not arrived
                self._scanned = mark.end() + 1
                continue
            self._scanned = mark.end()
            begin = self._step(sign, mark.start(), begin, found)
        else:
            self._scanned = len(self._held)
        if self._depth < 2:
            begin = self._scanned  # nothing between two elements is kept
        self._held, self._scanned = self._held[begin:], self._scanned - begin
        if len(self._held) > self._cap or any(len(element) > self._cap for element in found):
            raise FramingError(f"an element is longer than {self._cap} bytes")
        return found

    def close(self) -> list[bytes]:
        """Return nothing: an element is complete with its own last byte."""
        return []

    def _step(self, sign: bytes, at: int, begin: int, found: list[bytes]) -> int:
        if sign == b'"':
            self._quoted = not self._quoted
        elif self._quoted:
            pass
        elif sign in b"{[":
            self._depth += 1
            if self._depth == 2:
                return at
        else:
            self._depth -= 1
            if self._depth == 1:
                found.append(self._held[begin : at + 1])
                return at + 1
        return begin
