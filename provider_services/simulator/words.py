"""Fills the values of one refusal into the vendor's own words for it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from provider_services.simulator.ask import RefusalError, Said
from provider_services.simulator.rows import ErrorRow


def say(errors: Mapping[str, ErrorRow], refusal: RefusalError) -> Said:
    """Render a refusal; a kind without words of its own uses those of a server error.

    A string that is nothing but `{name}` becomes the value itself, so numbers stay numbers.
    """
    row = errors.get(refusal.kind) or errors["server"]
    status = int(refusal.values.get("status", row.status))
    values = {"message": "", **refusal.values, "status": status}
    headers = {name: str(_filled(text, values)) for name, text in row.headers.items()}
    return Said(status, msgspec.json.encode(_filled(row.body, values)), headers)


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return _filled_text(template, values)
    if isinstance(template, dict):
        return {key: _filled(item, values) for key, item in template.items()}
    if isinstance(template, list):
        return [_filled(item, values) for item in template]
    return template


def _filled_text(template: str, values: Mapping[str, Any]) -> Any:
    if template.startswith("{") and template[1:-1] in values:
        return values[template[1:-1]]
    return template.format_map(values) if "{" in template else template
