"""Serves POST /llm/generate and /orchestrator/process: a question by use case and tier, one plain object back."""

import time
from collections.abc import Callable

from aiohttp import web

from meshkit.errors import MeshError, invalid
from router_service.edge import extension, plain_reply
from router_service.edge import headers as header
from router_service.edge.exchange import KEY, Exchange, check_provider, json_response, read_body, within
from router_service.edge.fields import Fields
from router_service.edge.json_body import read_object
from router_service.edge.openai_request import ChatRequest
from router_service.edge.waits import Waits
from router_service.interface import Router

Read = Callable[[bytes, Exchange], ChatRequest]


class Generate:
    """An endpoint.

    Args:
        read: reads its requests.
        word: what it calls the answer's text.
    """

    def __init__(self, router: Router, waits: Waits, read: Read, word: str) -> None:
        self._router = router
        self._waits = waits
        self._read = read
        self._word = word

    async def serve(self, request: web.Request) -> web.Response:
        """Serve one request."""
        began = time.perf_counter()
        exchange = request[KEY]
        deadline = header.deadline(exchange.headers, self._waits.deadline)
        asked = self._read(await read_body(request), exchange)
        check_provider(self._router, asked.provider)
        try:
            async with within(deadline + self._waits.grace):
                response = await self._router.generate(asked.whole(), exchange.caller, deadline)
        except MeshError as error:
            raise plain_reply.refusal(error) from None
        waited = round((time.perf_counter() - began) * 1000)
        course = plain_reply.course(response, asked.warnings, waited)
        told = {"success": True, self._word: plain_reply.text(response), **course}
        cost = extension.usd_text(response.completion.usage.cost_nanos)
        headers = {header.OFFER: response.route.offer, header.COST: cost}
        return json_response(told, headers=headers)


def read_conversation(content: bytes, exchange: Exchange) -> ChatRequest:
    """Read a request of /llm/generate: `messages`, `use_case`, `budget_tier`.

    Raises:
        MeshError: INVALID_REQUEST naming the field and what is allowed.
    """
    return plain_reply.read(Fields(read_object(content)), exchange)


def read_task(content: bytes, exchange: Exchange) -> ChatRequest:
    """Read a request of /orchestrator/process: `task` is the prompt; `preferred_model`, `requirements`.

    Raises:
        MeshError: likewise.
    """
    body = read_object(content)
    fields = Fields(body)
    task = fields.text("task")
    if not task:
        raise invalid("task", "is required: the text to be answered")
    fields.refuse("messages", "is not read here: the prompt is `task`")
    preferred, requirements = fields.name("preferred_model"), fields.texts("requirements")
    rest = {key: value for key, value in body.items() if key not in ("task", "preferred_model", "requirements")}
    asked = plain_reply.read(Fields({**rest, "messages": [{"role": "user", "content": task}]}), exchange)
    asked.intent.preferred_model = preferred or asked.intent.preferred_model
    asked.intent.requirements.extend(requirements)
    return asked
