"""Lists models the way each host of the openai dialect does, chosen by the word of a row."""

from collections.abc import Callable
from typing import Any

from provider_services.simulator.rows import ModelRow

Listed = dict[str, Any]


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


def _providers(model: ModelRow, owner: str) -> Listed:
    """List who serves the model behind the router."""
    price = {"input": 0.1, "output": 0.3}
    host = {"provider": "novita", "status": "live", "context_length": model.context, "pricing": price}
    seen = {"input_modalities": ["text"], "output_modalities": ["text"]}
    hosts = [host | {"supports_tools": model.tools, "supports_structured_output": True}]
    maker = model.id.partition("/")[0]
    return _plain(model, maker) | {"architecture": seen, "providers": hosts}


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
    "providers": _providers,
    "published": _published,
}


def listed(style: str, models: tuple[ModelRow, ...], owner: str) -> Any:
    """Return the list of models; a catalogue is a bare list."""
    rows = [STYLES[style](model, owner) for model in models]
    return rows if style == "published" else {"object": "list", "data": rows}
