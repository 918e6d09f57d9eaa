"""Counts how deep JSON goes, so that nobody's request exhausts a stack, here or at a vendor."""

from typing import Any

# A level of a schema takes two of JSON or three, and vendors take ten levels of a schema or fewer.
DEEPEST_SCHEMA = 28


def depth(value: Any) -> int:
    """Count the levels of objects and lists; a plain value has none. Does not recurse."""
    levels = 0
    layer = [value] if isinstance(value, dict | list) else []
    while layer:
        levels += 1
        inner = (item for node in layer for item in (node.values() if isinstance(node, dict) else node))
        layer = [item for item in inner if isinstance(item, dict | list)]
    return levels
