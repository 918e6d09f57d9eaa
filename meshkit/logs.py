"""JSON log lines with the trace they belong to: one line, one fact, never a prompt or a secret."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import msgspec
from opentelemetry import trace

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Log:
    """Writes log lines of one part of the mesh: `log.info("stopped", vendor="x", seconds=1.2)`.

    Field values must be plain numbers, texts or lists of them; callers pass identifiers and figures, never content.
    """

    def __init__(self, name: str, sink: "Sink") -> None:
        self._name = name
        self._sink = sink

    def debug(self, event: str, **fields: object) -> None:
        """Write a line for someone who is looking for a defect."""
        self._sink.write(10, "debug", self._name, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write a line an operator wants in ordinary times."""
        self._sink.write(20, "info", self._name, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write a line an operator should look at some time."""
        self._sink.write(30, "warning", self._name, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write a line an operator should look at now."""
        self._sink.write(40, "error", self._name, event, fields)


class Sink:
    """Where lines go: a text stream, from a level up."""

    def __init__(self, stream: TextIO | None = None, level: str = "info", now: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._level = LEVELS[level]
        self._now = now

    def set_level(self, level: str) -> None:
        """Write lines of this level and above: debug, info, warning or error."""
        self._level = LEVELS[level]

    def write(self, number: int, level: str, name: str, event: str, fields: dict[str, object]) -> None:
        """Write one line if its level is high enough."""
        if number < self._level:
            return
        line: dict[str, object] = {
            "time": round(self._now(), 3),
            "level": level,
            "name": name,
            "event": event,
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = f"{span.trace_id:032x}"
        line.update(fields)
        print(_encode(line).decode(), file=self._stream or sys.stderr, flush=True)


_standard = Sink()


def get(name: str) -> Log:
    """Return the log of one part of the mesh, writing to standard error."""
    return Log(name, _standard)


def set_level(level: str) -> None:
    """Write lines of this level and above: debug, info, warning or error."""
    _standard.set_level(level)
