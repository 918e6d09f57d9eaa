"""Lists models the way each host of the openai dialect does, chosen by the word of a row."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from provider_services.simulator.rows import ModelRow

Listed = dict[str, Any]
HOST = "nscale"


def _plain(model: ModelRow, owner: str) -> Listed:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owner or owner}


def _windows(model: ModelRow, owner: str) -> Listed:
    told = {"active": True, "context_window": model.context, "max_completion_tokens": model.max_output}
    return _plain(model, owner) | told


def _capabilities(model: ModelRow, owner: str) -> Listed:
    chats = model.kind == "chat"
    can = {"completion_chat": chats, "function_calling": chats and model.tools, "reasoning": model.reasoning}
    told = {"capabilities": can, "name": model.id, "max_context_length": model.context, "aliases": [], "type": "base"}
    return _plain(model, owner) | told | {"deprecation": None}


def _priced(model: ModelRow, owner: str) -> Listed:
    """List a model with what a token costs, which varies where nobody names a price, and with what it takes."""
    into, out = map(_per_token, model.price) if model.price else ("-1", "-1")
    takes = ["max_tokens", "response_format", "stop", "structured_outputs", "temperature", "top_p"]
    takes += ["tool_choice", "tools"] if model.tools else []
    takes += ["include_reasoning", "reasoning"] if model.reasoning else []
    return {
        "id": model.id,
        "canonical_slug": model.id,
        "name": model.id,
        "created": model.created,
        "context_length": model.context,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"], "instruct_type": None},
        "pricing": {"prompt": into, "completion": out},
        "top_provider": {"context_length": model.context, "max_completion_tokens": model.max_output},
        "supported_parameters": sorted(takes),
        "expiration_date": None,
    }


def _per_token(dollars: float) -> str:
    return f"{Decimal(str(dollars)) / 1_000_000:f}"


def _providers(model: ModelRow, owner: str) -> Listed:
    """List who serves the model behind the router: the host that is named behind it, else one of the router's own."""
    name, _, host = model.id.partition(":")
    told: Listed = {"provider": host or HOST, "status": "live", "context_length": model.context}
    told |= {"pricing": dict(zip(("input", "output"), model.price, strict=True))} if model.price else {}
    told |= {"supports_tools": model.tools, "supports_structured_output": True}
    seen = {"input_modalities": ["text"], "output_modalities": ["text"]}
    return _plain(model, name.partition("/")[0]) | {"id": name, "architecture": seen, "providers": [told]}


def _together(rows: list[Listed]) -> list[Listed]:
    """List a model once, with all of its hosts."""
    models: dict[str, Listed] = {}
    for row in rows:
        models.setdefault(row["id"], row | {"providers": []})["providers"] += row["providers"]
    return list(models.values())


def _published(model: ModelRow, owner: str) -> Listed:
    """List a model of a catalogue: who published it, and what goes in and comes out."""
    publisher, _, name = model.id.partition("/")
    limits = {"max_input_tokens": model.context, "max_output_tokens": model.max_output}
    output = "text" if model.kind == "chat" else "embeddings"
    return {
        "id": model.id,
        "name": name,
        "publisher": publisher,
        "limits": limits,
        "rate_limit_tier": "low",
        "supported_input_modalities": ["text"],
        "supported_output_modalities": [output],
    }


STYLES: dict[str, Callable[[ModelRow, str], Listed]] = {
    "plain": _plain,
    "windows": _windows,
    "capabilities": _capabilities,
    "priced": _priced,
    "providers": _providers,
    "published": _published,
}


def listed(style: str, models: tuple[ModelRow, ...], owner: str) -> Any:
    """Return the list of models; a catalogue is a bare list."""
    rows = [STYLES[style](model, owner) for model in models]
    if style == "published":
        return rows
    return {"object": "list", "data": _together(rows) if style == "providers" else rows}
