"""Finds the URL a vendor is called at: from its row, mesh.yaml and the environment."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from catalog.model import Vendor
from catalog.settings import Endpoint
from meshkit.yaml_file import ConfigError

ENDPOINT_HINT = "http(s)://host[:port][/path] without a slash at the end"
_ENDPOINT = re.compile(r"https?://[^\s/@?#:]+(?P<port>:[0-9]{1,5})?(/[^\s@?#]*[^\s/@?#])?")
_IPV6 = re.compile(r"https?://\[[0-9A-Fa-f:.]+\](?P<port>:[0-9]{1,5})?(/[^\s@?#]*[^\s/@?#])?")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


def is_endpoint(url: str) -> bool:
    """Tell whether a text is an absolute http(s) URL without a trailing slash, query or credentials."""
    found = _ENDPOINT.fullmatch(url) or _IPV6.fullmatch(url)
    return found is not None and int((found["port"] or ":1")[1:]) in range(1, 65_536)


def endpoint_of(vendor: Vendor, env: Mapping[str, str], configured: str) -> Endpoint:
    """Return where a vendor is called.

    Tried in this order: the vendor's own variables (`endpoint_env`), what mesh.yaml configures, the row's endpoint with
    its placeholders filled from the environment.

    Raises:
        ConfigError: a variable holds no address, or no part of one.
    """
    for variable, template in vendor.endpoint_env.items():
        if value := env.get(variable, "").strip().rstrip("/"):
            named = value.removesuffix(template.removeprefix("{value}"))  # who copied the whole URL meant the same
            url = template.replace("{value}", _absolute(named, vendor.endpoint))
            if not is_endpoint(url):
                raise _wrong(variable, f"`{value}` is no address", "http(s)://host[:port][/path] or host[:port]")
            return Endpoint(url)
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
        name = next((name for name in names if env.get(name, "").strip()), None)
        if name is None:
            missing.extend([*vendor.endpoint_env, *names])
            continue
        if not _PART.fullmatch(value := env[name].strip()):
            where = url.replace(f"{{{part}}}", "NAME")
            raise _wrong(name, f"`{value}` is not a name", f"letters, digits and hyphens: the NAME of {where}")
        url = url.replace(f"{{{part}}}", value)
    return Endpoint("", tuple(dict.fromkeys(missing))) if missing else Endpoint(url)


def _wrong(variable: str, problem: str, allowed: str) -> ConfigError:
    return ConfigError(f"environment variable {variable}", 0, "", problem, allowed)
