"""Finds the URL a vendor is called at: from its row, mesh.yaml and the environment."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from catalog.model import Vendor
from catalog.settings import Endpoint

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def endpoint_of(vendor: Vendor, env: Mapping[str, str], configured: str) -> Endpoint:
    """Return where a vendor is called.

    Tried in this order: the vendor's own variables (`endpoint_env`), what mesh.yaml configures, the row's endpoint with
    its placeholders filled from the environment.
    """
    for variable, template in vendor.endpoint_env.items():
        if value := env.get(variable, "").strip().rstrip("/"):
            named = value.removesuffix(template.removeprefix("{value}"))  # who copied the whole URL meant the same
            return Endpoint(template.replace("{value}", _absolute(named, vendor.endpoint)))
    return Endpoint(configured) if configured else _filled(vendor, env)


def _absolute(value: str, like: str) -> str:
    """Return an address as a URL; scheme and port are those of the row's endpoint when the value has none."""
    if "://" in value:
        return value
    pattern = urlsplit(like)
    port = f":{pattern.port}" if pattern.port and ":" not in value else ""
    return f"{pattern.scheme}://{value}{port}"


def _filled(vendor: Vendor, env: Mapping[str, str]) -> Endpoint:
    """Return the row's endpoint, or the variables that would complete it."""
    url = vendor.endpoint
    missing: list[str] = []
    for part in _PLACEHOLDER.findall(url):
        names = vendor.endpoint_parts[part]
        value = next((env[name] for name in names if env.get(name)), None)
        if value is None:
            missing.extend([*vendor.endpoint_env, *names])
        else:
            url = url.replace(f"{{{part}}}", value)
    return Endpoint("", tuple(dict.fromkeys(missing))) if missing else Endpoint(url)
