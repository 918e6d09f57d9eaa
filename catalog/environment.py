"""Lays the environment over mesh.yaml: which variable overrules which key."""

from collections.abc import Mapping

from catalog.model import Vendor
from meshkit.yaml_file import ConfigError, Document

_NO = ("0", "false", "no", "off")
_YES = ("1", "true", "yes", "on")
_SERVICES = ("router", "quota", "edge")
_TEXTS = {
    "MESH_LEDGER_STORE": ("ledger", "store"),
    "MESH_LEDGER_PATH": ("ledger", "path"),
    "MESH_LEDGER_URL": ("ledger", "url"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otlp_endpoint"),
    "MESH_LOG_LEVEL": ("telemetry", "log_level"),
    "MESH_ROUTER_ADMIN": ("addresses", "router", "admin"),
    "MESH_ROUTER_TLS_CERT": ("addresses", "router", "tls", "cert"),
    "MESH_ROUTER_TLS_KEY": ("addresses", "router", "tls", "key"),
    "MESH_ROUTER_TLS_CLIENT_CA": ("addresses", "router", "tls", "client_ca"),
    "MESH_QUOTA_ADMIN": ("addresses", "quota", "admin"),
    "MESH_PROVIDER_HOST": ("addresses", "providers", "host"),
    "MESH_PROVIDER_DIAL": ("addresses", "providers", "dial"),
}


def overlay(document: Document, env: Mapping[str, str], vendors: Mapping[str, Vendor]) -> None:
    """Put what the environment says in the place of what the file says; empty variables say nothing.

    Raises:
        ConfigError: a variable that should be a number is none.
    """
    for variable, key in _TEXTS.items():
        if value := env.get(variable):
            document.override(key, value, f"environment variable {variable}")
    for service in _SERVICES:
        _address(document, env, f"MESH_{service.upper()}", ("addresses", service))
    for vendor in vendors.values():
        _vendor(document, env, vendor)
    if ratio := env.get("MESH_TRACE_SAMPLE_RATIO"):
        document.override(("telemetry", "sample_ratio"), _number(ratio), "environment variable MESH_TRACE_SAMPLE_RATIO")


def _vendor(document: Document, env: Mapping[str, str], vendor: Vendor) -> None:
    """Read what is said of one vendor; of its own variables the first that says something counts; 0 says nothing."""
    _address(document, env, f"MESH_PROVIDER_{vendor.id.upper()}", ("vendors", vendor.id))
    variable = endpoint_variable(vendor.id)
    if url := env.get(variable):
        document.override(("vendors", vendor.id, "endpoint"), url.rstrip("/"), f"environment variable {variable}")
    for variable in reversed(vendor.concurrency_env):
        if (said := env.get(variable, "").strip()) not in ("", "0"):
            number = int(said) if said.isascii() and said.isdigit() else said
            document.override(("vendors", vendor.id, "concurrency"), number, f"environment variable {variable}")


def endpoint_variable(vendor: str) -> str:
    """Name the variable that overrules every endpoint of a vendor."""
    return f"MESH_{vendor.upper()}_ENDPOINT"


def local_models_enabled(env: Mapping[str, str]) -> bool:
    """Tell whether vendors on machines of ours may be used: unless LOCAL_MODELS_ENABLED is false.

    Raises:
        ConfigError: the variable is neither true nor false.
    """
    text = env.get("LOCAL_MODELS_ENABLED", "").strip().lower() or "true"
    if text not in _NO + _YES:
        raise ConfigError("environment variable LOCAL_MODELS_ENABLED", 0, "", f"`{text}` is neither", "true, false")
    return text in _YES


def _address(document: Document, env: Mapping[str, str], prefix: str, place: tuple[str, ...]) -> None:
    """Read <prefix>_ADDRESS, which is dialled and, when it is plain host:port, listened on; _LISTEN listens only."""
    if address := env.get(f"{prefix}_ADDRESS"):
        origin = f"environment variable {prefix}_ADDRESS"
        document.override((*place, "dial"), address, origin)
        if ":/" not in address:
            document.override((*place, "listen"), address, origin)
    if listen := env.get(f"{prefix}_LISTEN"):
        document.override((*place, "listen"), listen, f"environment variable {prefix}_LISTEN")


def _number(text: str) -> float | str:
    """Return a number, or the text itself, which the file's model will refuse with the variable's name."""
    try:
        return float(text)
    except ValueError:
        return text
