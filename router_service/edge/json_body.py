"""Turns the bytes of a request into a JSON object, or says at which line and column they stop being one."""

import re
from typing import Any

import msgspec

from meshkit.errors import MeshError, invalid
from meshkit.nesting import depth

DEEPEST = 64
_OFFSET = re.compile(r" \(byte (\d+)\)$")
_decoder = msgspec.json.Decoder()


def read_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        MeshError: INVALID_REQUEST when it is not UTF-8, not JSON, nested too deeply or no object.
    """
    value = _decode(body)
    if not isinstance(value, dict):
        raise invalid("body", "must be a JSON object")
    if depth(value) > DEEPEST:
        raise invalid("body", f"must not be nested deeper than {DEEPEST} levels")
    return value


def _decode(body: bytes) -> Any:
    try:
        return _decoder.decode(body)
    except RecursionError:
        raise invalid("body", f"must not be nested deeper than {DEEPEST} levels") from None
    except UnicodeDecodeError:
        raise _not_text(body) from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None


def _not_text(body: bytes) -> MeshError:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return invalid("body", f"is not UTF-8 text: {_place(body, error.start)}")
    return invalid("body", "is not UTF-8 text")


def _malformed(body: bytes, problem: str) -> MeshError:
    found = _OFFSET.search(problem)
    if not body.strip():
        return invalid("body", "is empty; it must be a JSON object")
    if found is None:
        return invalid("body", f"is not JSON: it ends too early, at {_place(body, len(body))}")
    words = problem[: found.start()].removeprefix("JSON is malformed: ")
    return invalid("body", f"is not JSON: {words} at {_place(body, int(found.group(1)))}")


def _place(body: bytes, offset: int) -> str:
    """Name the line and the column, both counted from one and in characters."""
    before = body[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return f"line {line}, column {column}"
