"""The command line that starts the mesh, asks it and explains it; and `Client`, the way to it from Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_mesh.client import AsyncClient, Client, ClientTls

__all__ = ["AsyncClient", "Client", "ClientTls"]


def __getattr__(name: str) -> Any:
    """Load the client when it is asked for: no command needs it."""
    if name in __all__:
        from llm_mesh import client  # noqa: PLC0415 - a tenth of a second at the start of every command

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
