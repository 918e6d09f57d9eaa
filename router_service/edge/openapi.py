"""Writes the OpenAPI 3.1 document of the edge from its routes, and serves it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from aiohttp import web

from router_service.edge import headers as header
from router_service.edge.exchange import json_response
from router_service.edge.routes import Parameter, Route

Document = dict[str, Any]
# Of the interface: a change that breaks callers makes it another.
VERSION = "1"
PLACE = "#/components/schemas/{name}"
JSON = "application/json"
EVENTS = "text/event-stream"
REQUEST_HEADERS = (
    Parameter(
        header.REQUEST_ID, "header", "the id the request goes by", {"type": "string", "maxLength": header.LONGEST_ID}
    ),
    Parameter(
        header.TIMEOUTS[0], "header", "for how many seconds the caller waits", {"type": "number", "exclusiveMinimum": 0}
    ),
)
# The words of aiohttp's path patterns that OpenAPI has no place for.
_PATTERN = re.compile(r"{(\w+):[^}]*}")


class OpenApi:
    """The endpoint.

    Args:
        routes: all there are, but its own.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        own = Route("GET", ("/openapi.json",), self.serve, "Return this document.", dict[str, Any])
        self.routes = (*routes, own)
        self._document = document(self.routes)

    async def serve(self, _request: web.Request) -> web.Response:
        """Return the document."""
        return json_response(self._document)


def document(routes: Iterable[Route]) -> Document:
    """Describe routes."""
    routes = tuple(routes)
    types = [kind for route in routes for kind in _types(route)]
    references, components = msgspec.json.schema_components(types, ref_template=PLACE)
    schemas = {id(kind): reference for kind, reference in zip(types, references, strict=True)}
    paths: dict[str, Document] = {}
    for route in routes:
        for path in route.paths:
            paths.setdefault(_PATTERN.sub(r"{\1}", path), {})[route.method.lower()] = _operation(route, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llm-mesh",
            "version": VERSION,
            "description": "One address in front of every LLM vendor, in the OpenAI dialect.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        # Either key, and none while no caller key is set.
        "security": [{"bearer": []}, {"key": []}, {}],
    }


def _types(route: Route) -> Iterator[Any]:
    """Name every type a route speaks of."""
    yield from (route.reply, route.failure, *route.replies.values())
    yield from (kind for kind in (route.body, route.events) if kind is not None)


def _operation(route: Route, path: str, schemas: Mapping[int, Document]) -> Document:
    content: Document = {JSON: {"schema": schemas[id(route.reply)]}}
    if route.events is not None:
        # OpenAPI 3.1 has no words for the events of a stream.
        content[EVENTS] = {"schema": {"type": "string"}, "x-event-schema": schemas[id(route.events)]}
    parameters = (*route.parameters, *(REQUEST_HEADERS if route.body is not None else ()))
    told: Document = {
        "summary": route.summary,
        "operationId": "_".join((route.method.lower(), *re.findall(r"\w+", _PATTERN.sub(r"\1", path)))),
        "parameters": [_parameter(parameter) for parameter in parameters],
        "responses": {
            "200": {"description": "served", "content": content},
            **{str(status): _response("not served", schemas[id(kind)]) for status, kind in route.replies.items()},
            "default": _response("failed", schemas[id(route.failure)]),
        },
    }
    if route.body is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas[id(route.body)]}}}
    if not route.key:
        told["security"] = []
    return told


def _response(description: str, schema: Document) -> Document:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _parameter(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.summary,
        "required": parameter.place == "path",
        "schema": dict(parameter.schema),
    }
