"""What one path of the edge is: who serves it, and what it takes and gives, for the server and for /openapi.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp.typedefs import Handler

from router_service.edge.shapes.mesh import Failure


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query or a path."""

    name: str
    place: str
    summary: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One handler at one or several paths.

    `reply` and `body` are types of `shapes`; `events` is that of a stream's events, where a stream may be asked for.
    `replies` are those of further statuses, `failure` that of all the rest; `key` says that callers need one.
    """

    method: str
    paths: tuple[str, ...]
    serve: Handler
    summary: str
    reply: Any
    body: Any = None
    events: Any = None
    parameters: tuple[Parameter, ...] = ()
    replies: Mapping[int, Any] = field(default_factory=dict)
    failure: Any = Failure
    key: bool = True
