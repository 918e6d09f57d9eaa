"""Reads a JSON object key by key, so that every mistake names its path and every key nobody read can be named."""

from collections.abc import Mapping
from typing import Any, TypeVar

from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import invalid

WordT = TypeVar("WordT")
# Every text, number and list has a bound; these are the widest.
LONGEST_NAME = 256
MOST_ITEMS = 10_000
INT32 = 2**31 - 1


class Fields:
    """One object of a request body; null is the same as absent everywhere.

    Args:
        value: the decoded object.
        path: where it is, such as "messages[0]"; empty for the body itself.
        warnings: what was dropped so far; shared by all objects of one body.
    """

    def __init__(
        self, value: Mapping[str, Any], path: str = "", warnings: list[chat_pb2.Warning] | None = None
    ) -> None:
        self.path = path
        self._value = value
        self._warnings: list[chat_pb2.Warning] = [] if warnings is None else warnings
        self._read: set[str] = set()
        self._children: list[Fields] = []

    @property
    def value(self) -> Mapping[str, Any]:
        """Return the object as it was sent."""
        return self._value

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def raw(self, key: str) -> Any:
        """Return whatever is there, or None."""
        self._read.add(key)
        return self._value.get(key)

    def text(self, key: str, longest: int | None = None) -> str | None:
        """Return a text of at most `longest` characters."""
        value: str | None = self._typed(key, str, "a text")
        if value is not None and longest is not None and len(value) > longest:
            raise invalid(self.at(key), f"must not be longer than {longest} characters")
        return value

    def name(self, key: str) -> str:
        """Return a short text; empty when absent."""
        return self.text(key, LONGEST_NAME) or ""

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        value: bool | None = self._typed(key, bool, "true or false")
        return value

    def number(self, key: str, low: float, high: float) -> float | None:
        """Return a number within bounds, the bounds included."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(self.at(key), f"must be a number, not {_kind(value)}")
        if not low <= value <= high:
            raise invalid(self.at(key), f"must be between {low:g} and {high:g}")
        return float(value)

    def integer(self, key: str, low: int, high: int = INT32) -> int | None:
        """Return a whole number within bounds, the bounds included."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(self.at(key), f"must be a whole number, not {_kind(value)}")
        if not low <= value <= high:
            raise invalid(self.at(key), f"must be between {low} and {high}")
        return value

    def word(self, key: str, meanings: Mapping[str, WordT]) -> WordT | None:
        """Return the meaning of one of a few words."""
        value = self.text(key)
        return None if value is None else meaning(self.at(key), value, meanings)

    def texts(self, key: str, most: int = 100, longest: int = LONGEST_NAME) -> list[str]:
        """Return a list of texts that are not empty."""
        items = self.items(key, most)
        for place, item in enumerate(items):
            if not isinstance(item, str) or not 0 < len(item) <= longest:
                raise invalid(f"{self.at(key)}[{place}]", f"must be a text of 1 to {longest} characters")
        return items

    def items(self, key: str, most: int = MOST_ITEMS) -> list[Any]:
        """Return a list of anything; empty when absent."""
        value = self._typed(key, list, "a list")
        if value is not None and len(value) > most:
            raise invalid(self.at(key), f"must not have more than {most} items")
        return value or []

    def object(self, key: str) -> "Fields | None":
        """Return an object to be read field by field."""
        value = self.mapping(key)
        return None if value is None else self._child(value, self.at(key))

    def objects(self, key: str, most: int = MOST_ITEMS) -> "list[Fields]":
        """Return a list of such objects; empty when absent."""
        return [self._item(key, place, item) for place, item in enumerate(self.items(key, most))]

    def mapping(self, key: str) -> dict[str, Any] | None:
        """Return an object as it is, such as a JSON Schema."""
        value: dict[str, Any] | None = self._typed(key, dict, "an object")
        return value

    def ignore(self, *keys: str) -> None:
        """Leave keys out that have no meaning here, without a warning."""
        self._read.update(keys)

    def refuse(self, key: str, hint: str) -> None:
        """Refuse a key that is there and not null."""
        if self.raw(key) is not None:
            raise invalid(self.at(key), hint)

    def drop(self, key: str, message: str) -> None:
        """Warn that what a key says is left out."""
        self._read.add(key)
        self._warnings.append(chat_pb2.Warning(code="dropped", field=self.at(key), message=message))

    def warnings(self) -> tuple[chat_pb2.Warning, ...]:
        """Return every warning of the body, one for each key that nobody read included. Call it last, on the body."""
        unread = [
            chat_pb2.Warning(code="dropped", field=path, message="this field is not known here and was ignored")
            for path in self.unread()
        ]
        return (*self._warnings, *unread)

    def unread(self) -> list[str]:
        """Return the path of every key here and below that holds something and was not read."""
        own = [self.at(key) for key, value in self._value.items() if value is not None and key not in self._read]
        return own + [path for child in self._children for path in child.unread()]

    def _typed(self, key: str, kind: type[Any], words: str) -> Any:
        value = self.raw(key)
        if value is not None and not isinstance(value, kind):
            raise invalid(self.at(key), f"must be {words}, not {_kind(value)}")
        return value

    def _item(self, key: str, place: int, item: Any) -> "Fields":
        path = f"{self.at(key)}[{place}]"
        if not isinstance(item, dict):
            raise invalid(path, f"must be an object, not {_kind(item)}")
        return self._child(item, path)

    def _child(self, value: Mapping[str, Any], path: str) -> "Fields":
        child = Fields(value, path, self._warnings)
        self._children.append(child)
        return child


def meaning(path: str, value: str, meanings: Mapping[str, WordT]) -> WordT:
    """Return the meaning of a word, or say which words there are."""
    if value not in meanings:
        raise invalid(path, f"must be one of {', '.join(meanings)}")
    return meanings[value]


def _kind(value: Any) -> str:
    """Name the JSON type of a value, for people."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number" if isinstance(value, int) else "a number with a point"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"
