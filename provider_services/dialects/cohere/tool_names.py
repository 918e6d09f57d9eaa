"""Gives tools names this wire takes, and their own names back: letters, digits and underscores, no digit first."""

import re

from llmmesh.chat.v1.chat_pb2 import Prompt

_REFUSED = re.compile(r"[^A-Za-z0-9_]")


def theirs(prompt: Prompt) -> dict[str, str]:
    """Return the vendor's name for each tool offered; two tools never share one."""
    named: dict[str, str] = {tool.name: tool.name for tool in prompt.tools if plain(tool.name) == tool.name}
    for tool in prompt.tools:
        if tool.name in named:
            continue
        name, number = plain(tool.name), 2
        while name in named.values():
            name, number = f"{plain(tool.name)}_{number}", number + 1
        named[tool.name] = name
    return named


def ours(prompt: Prompt, name: str) -> str:
    """Return the caller's name for a tool the model called; a name nobody offered stays as it is."""
    if not any(plain(tool.name) != tool.name for tool in prompt.tools):
        return name
    return next((mine for mine, known in theirs(prompt).items() if known == name), name)


def plain(name: str) -> str:
    """Return a name the vendor takes."""
    taken = _REFUSED.sub("_", name)
    return f"_{taken}" if taken[:1].isdigit() else taken
