"""Edits the text of a tenants file: puts keys in, ends them, takes them out, and leaves every other line as it was."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

NEW = """\
# Who may call the mesh, with which keys, and what each may do and spend: docs/tenants.md.
# `llm-mesh keys` writes the keys; the rest is yours. A change counts within seconds, without a restart.
tenants: {}
keys: []
"""
Key = Mapping[str, Any]


class UneditableError(Exception):
    """The file says something in a way that cannot be edited; the text says what to do."""


def with_key(text: str, key: Key) -> str:
    """Return the text with one more key, and with its tenant if that is not there yet."""
    text = _with_tenant(text, key["tenant"])
    keys = _entry(text, "keys")
    line = f"  - {_row(key)}\n"
    if keys is None:
        return f"{_ended(text)}keys:\n{line}"
    if isinstance(keys, yaml.SequenceNode) and keys.value:
        if keys.flow_style:
            raise UneditableError("`keys` is written in one line; write each key in a line of its own, as `- {id: …}`")
        end = _line_end(text, _last(keys.value[-1]))
        return _ended(text[:end]) + line + text[end:]
    return text[: keys.start_mark.index].rstrip(" ") + "\n" + line + text[keys.end_mark.index :].lstrip("\n")


def without_key(text: str, key_id: str) -> str:
    """Return the text without a key."""
    node = _key(text, key_id)
    start = text.rfind("\n", 0, node.start_mark.index) + 1
    rest = text[:start] + text[_line_end(text, _last(node)) :]
    keys = _entry(rest, "keys")
    if isinstance(keys, yaml.ScalarNode):  # the last one is gone
        place = rest.index("keys:") + len("keys:")
        return rest[:place] + " []" + rest[place:]
    return rest


def with_expiry(text: str, key_id: str, moment: str) -> str:
    """Return the text with a key that ends at a moment."""
    node = _key(text, key_id)
    said = next(row for row in yaml.safe_load(text)["keys"] if row.get("id") == key_id)
    row = {**said, "expires": moment}
    return text[: node.start_mark.index] + _row(row) + text[_last(node) :]


def _row(key: Key) -> str:
    """Write a key in one line; texts in quotes, for an id may be all digits."""
    return "{" + ", ".join(f"{name}: {_value(name, value)}" for name, value in key.items()) + "}"


def _value(name: str, value: Any) -> str:
    if name in ("created", "expires"):
        return "null" if value is None else f"{value}"
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _with_tenant(text: str, tenant: str) -> str:
    line = f"  {tenant}: {{}}\n"
    tenants = _entry(text, "tenants")
    if tenants is None:
        return f"{_ended(text)}tenants:\n{line}"
    if isinstance(tenants, yaml.MappingNode) and tenants.value:
        if any(name.value == tenant for name, _ in tenants.value):
            return text
        if tenants.flow_style:
            raise UneditableError(f"`tenants` is written in one line; write `{tenant}: {{}}` into it and try again")
        start = text.rfind("\n", 0, tenants.start_mark.index) + 1
        indent = " " * (tenants.start_mark.index - start)
        return text[:start] + f"{indent}{tenant}: {{}}\n" + text[start:]
    return text[: tenants.start_mark.index].rstrip(" ") + "\n" + line + text[tenants.end_mark.index :].lstrip("\n")


def _entry(text: str, name: str) -> yaml.Node | None:
    """Return what a key at the top of the file says."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((value for key, value in root.value if key.value == name), None)


def _key(text: str, key_id: str) -> yaml.MappingNode:
    keys = _entry(text, "keys")
    for node in keys.value if isinstance(keys, yaml.SequenceNode) else ():
        if not isinstance(node, yaml.MappingNode):
            continue
        if any(name.value == "id" and value.value == key_id for name, value in node.value):
            if isinstance(keys, yaml.SequenceNode) and keys.flow_style:
                raise UneditableError("`keys` is written in one line; write each key in a line of its own")
            return node
    raise UneditableError(f"there is no key {key_id}; `llm-mesh keys list` names them")


def _last(node: yaml.Node) -> int:
    """Return where a node's own text ends: a block's end mark is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, place: int) -> int:
    """Return where the next line begins."""
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
