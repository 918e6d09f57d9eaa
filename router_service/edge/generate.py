"""Serves POST /llm/generate: one question by use case and tier, one plain object with the answer and what it cost."""

import time
from typing import Any

import msgspec
from aiohttp import web
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason, invalid
from router_service.edge import extension
from router_service.edge import headers as header
from router_service.edge.exchange import KEY, Exchange, read_body, within
from router_service.edge.fields import Fields
from router_service.edge.intent import TIERS
from router_service.edge.json_body import read_object
from router_service.edge.openai_request import ChatRequest, chat_of
from router_service.edge.waits import Waits
from router_service.interface import Router


class Generate:
    """The endpoint."""

    def __init__(self, router: Router, waits: Waits) -> None:
        self._router = router
        self._waits = waits

    async def serve(self, request: web.Request) -> web.Response:
        """Serve one request."""
        began = time.perf_counter()
        exchange = request[KEY]
        deadline = header.deadline(exchange.headers, self._waits.deadline)
        asked = read_generate(await read_body(request), exchange)
        try:
            async with within(deadline + self._waits.grace):
                response = await self._router.generate(asked.whole(), exchange.caller, deadline)
        except MeshError as error:
            if error.reason is Reason.UNKNOWN_USE_CASE:  # here it is a field of the body like any other
                raise invalid("use_case", error.message) from None
            raise
        told = reply(response, asked.warnings, round((time.perf_counter() - began) * 1000))
        cost = extension.usd_text(response.completion.usage.cost_nanos)
        headers = {header.OFFER: response.route.offer, header.COST: cost}
        return web.Response(body=msgspec.json.encode(told), content_type="application/json", headers=headers)


def read_generate(content: bytes, exchange: Exchange) -> ChatRequest:
    """Read a request: `messages`, `use_case`, `budget_tier`, and what else a chat completion takes that fits the reply.

    Raises:
        MeshError: INVALID_REQUEST naming the field and what is allowed.
    """
    body = Fields(read_object(content))
    use_case, tier = body.name("use_case"), body.word("budget_tier", TIERS)
    asked = chat_of(body, exchange.headers, exchange.request_id)
    asked.intent.use_case = use_case or asked.intent.use_case
    asked.intent.tier = tier or asked.intent.tier
    sampling = asked.prompt.sampling
    # What the plain reply has no place for is refused, for it would be paid and lost.
    unfit = {
        "stream": asked.stream,
        "tools": bool(asked.prompt.tools),
        "n": sampling.n > 1,
        "logprobs": sampling.top_logprobs > 0,
    }
    for key, wanted in unfit.items():
        if wanted:
            raise invalid(key, "is not offered here; POST /v1/chat/completions has it")
    return asked


def reply(
    response: router_pb2.GenerateResponse, dropped: tuple[chat_pb2.Warning, ...], latency_ms: int
) -> dict[str, Any]:
    """Write the answer.

    Args:
        response: what the router answered.
        dropped: what the edge itself left out.
        latency_ms: how long the caller waited.
    """
    answer, route, usage = response.completion, response.route, response.completion.usage
    parts = [part for choice in answer.choices[:1] for part in choice.parts]
    return {
        "success": True,
        "content": "".join(part.text.text or part.refusal.text for part in parts),
        "provider": route.vendor_reply_name,
        "model": route.model_reply_name,
        "tokens_used": usage.input_tokens + usage.output_tokens,
        "cost": extension.usd(usage.cost_nanos),
        "latency_ms": latency_ms,
        "fallback_used": route.fallback_used,
        "primary_error": route.primary_error or None,
        "usage": extension.usage_of(usage),
        "llm_mesh": extension.describe(route, usage, (*dropped, *answer.warnings)),
    }
