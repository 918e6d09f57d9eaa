"""Makes up a plausible JSON value for a JSON schema, in either spelling of its type names."""

from collections.abc import Mapping
from typing import Any

DEEPEST = 8
NUMBERS: dict[str, int | float | bool | None] = {"integer": 3, "number": 2.5, "boolean": True, "null": None}
WORDS = {"city": "Lisbon", "location": "Lisbon", "name": "Ada", "date": "2026-11-20", "unit": "celsius"}
ANY_OBJECT = {"answer": "example", "items": ["first", "second"], "count": 3}


def example(schema: Mapping[str, Any]) -> Any:
    """Return a value the schema accepts: first choices, short lists, every property of an object."""
    return _Examples(schema).of(schema, "", 0) if schema else ANY_OBJECT


class _Examples:
    """The definitions that references point to, while one example is made."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._definitions: dict[str, Any] = {
            f"#/{group}/{name}": definition
            for group in ("$defs", "definitions")
            for name, definition in (root.get(group) or {}).items()
        }

    def of(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        """Return a value for a schema found under a name at a depth."""
        if depth > DEEPEST:
            return None
        schema = self._definitions.get(schema.get("$ref", ""), schema)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if schema.get("enum"):
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.get(key):
                return self.of(schema[key][0], name, depth + 1)
        return self._by_type(schema, name, depth)

    def _by_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = _kind(schema, depth)
        if kind in NUMBERS:
            return _number(schema, NUMBERS[kind])
        if kind == "array":
            items = schema.get("items")
            return [self.of(items, name, depth + 1)] if isinstance(items, Mapping) else []
        if kind == "object":
            properties = schema.get("properties") or {}
            return {key: self.of(value, key, depth + 1) for key, value in properties.items()}
        return WORDS.get(name.lower(), "example")


def _kind(schema: Mapping[str, Any], depth: int) -> str:
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = kind[0] if kind else ""
    if not kind and ("properties" in schema or not depth):
        return "object"
    return str(kind).lower()


def _number(schema: Mapping[str, Any], value: float | bool | None) -> float | bool | None:
    low, high = schema.get("minimum"), schema.get("maximum")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(low, int | float) and value < low:
        return low
    return high if isinstance(high, int | float) and value > high else value
