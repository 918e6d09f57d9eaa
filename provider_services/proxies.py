"""Decides whether calls to a URL go through a proxy, from the usual environment variables."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(url: str, env: Mapping[str, str]) -> str | None:
    """Return the proxy's URL for calls to `url`, or None for a direct call.

    HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name it, NO_PROXY lists hosts, domains, addresses and networks to call
    directly; lower-case spellings win, as with curl.
    """
    parts = urlsplit(url)
    proxy = _variable(env, f"{parts.scheme}_proxy") or _variable(env, "all_proxy")
    if not proxy or _bypassed(parts.hostname or "", parts.port, _variable(env, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(env: Mapping[str, str], name: str) -> str:
    return (env.get(name) or env.get(name.upper()) or "").strip()


def _bypassed(host: str, port: int | None, listed: str) -> bool:
    return any(_matches(host, port, entry.strip().lower()) for entry in listed.split(",") if entry.strip())


def _matches(host: str, port: int | None, entry: str) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _within(host, entry)
    name, _, wanted_port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
    if wanted_port and wanted_port != str(port):
        return False
    name = name.strip("[]").removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
