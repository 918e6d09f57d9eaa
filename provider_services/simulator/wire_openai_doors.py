"""Finds what a path of an openai host asks for, by the templates of its row."""

import re
from collections.abc import Mapping

from provider_services.simulator.ask import Call
from provider_services.simulator.wire_openai_quirks import Paths

_PLACEHOLDER = re.compile(r"\\{(\w+)\\}")


class Doors:
    """The paths one host answers on."""

    def __init__(self, paths: Paths) -> None:
        self._version = paths.version_query
        named = {"chat": ("POST", paths.chat), "embed": ("POST", paths.embed), "models": ("GET", paths.models)}
        self._doors = [
            (method, operation, _expression(template))
            for operation, (method, templates) in named.items()
            for template in templates
        ]

    def call(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Return what is asked for; nothing when nobody answers there."""
        for wanted, operation, expression in self._doors:
            found = expression.fullmatch(path) if method == wanted else None
            if found is None:
                continue
            model = found.groupdict().get("model") or ""
            versioned = operation == "models" or not model or not self._version or bool(query.get(self._version))
            return Call(operation, model=model) if versioned else None
        return None


def _expression(template: str) -> re.Pattern[str]:
    def group(found: re.Match[str]) -> str:
        return "(?P<model>.+)" if found[1] == "model" else "[^/]+"

    return re.compile(_PLACEHOLDER.sub(group, re.escape(template)))
