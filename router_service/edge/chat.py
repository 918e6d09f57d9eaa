"""Serves POST /v1/chat/completions: whole, or as a stream whose failures are never mistaken for its end."""

import asyncio
from contextlib import aclosing

from aiohttp import web

from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from router_service.edge import errors, extension, openai_reply
from router_service.edge import headers as header
from router_service.edge.event_stream import EventStream
from router_service.edge.exchange import KEY, Exchange, check_provider, gone, json_response, read_body, within
from router_service.edge.openai_chunks import Chunks
from router_service.edge.openai_request import ChatRequest, read_chat
from router_service.edge.waits import Waits
from router_service.interface import Router

# How long a caller that has stopped reading is given to take the news of a failure.
FAREWELL_SECONDS = 1.0


class Chat:
    """The endpoint."""

    def __init__(self, router: Router, clock: Clock, waits: Waits) -> None:
        self._router = router
        self._clock = clock
        self._waits = waits

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        exchange = request[KEY]
        deadline = header.deadline(exchange.headers, self._waits.deadline)
        chat = read_chat(await read_body(request), exchange.headers, exchange.request_id)
        check_provider(self._router, chat.provider)
        try:
            if chat.stream:
                return await self._streamed(request, exchange, chat, deadline)
            return await self._whole(exchange, chat, deadline)
        except MeshError as error:
            raise chat.said.put(error) from None

    async def _whole(self, exchange: Exchange, chat: ChatRequest, deadline: float) -> web.Response:
        async with within(deadline + self._waits.grace):
            response = await self._router.generate(chat.whole(), exchange.caller, deadline)
        created = int(self._clock.now())
        reply = openai_reply.completion(exchange.request_id, created, response, chat.warnings, functions=chat.functions)
        headers = {
            header.OFFER: response.route.offer,
            header.COST: extension.usd_text(response.completion.usage.cost_nanos),
        }
        return json_response(reply, headers=headers)

    async def _streamed(
        self, request: web.Request, exchange: Exchange, chat: ChatRequest, deadline: float
    ) -> web.StreamResponse:
        created = int(self._clock.now())
        chunks = Chunks(exchange.request_id, created, chat.include_usage, chat.warnings, functions=chat.functions)
        headers = {header.REQUEST_ID: exchange.request_id}
        async with EventStream(request, headers, self._waits.patience, self._waits.heartbeat) as out:
            try:
                async with within(deadline + self._waits.grace):
                    await self._forward(chat, exchange, deadline, chunks, out)
                    return await out.end()
            except Exception as defect:
                if gone(request) or not await out.begun():
                    raise
                return await _farewell(request, out, chat.said.put(errors.as_mesh_error(defect)))

    async def _forward(
        self, chat: ChatRequest, exchange: Exchange, deadline: float, chunks: Chunks, out: EventStream
    ) -> None:
        stream = self._router.stream(chat.streamed(), exchange.caller, deadline)
        async with aclosing(stream) as events:
            async for event in events:
                data = chunks.encode(event)
                out.headers[header.OFFER] = chunks.offer
                await out.send(data)
        if not chunks.finished:
            raise MeshError(Reason.STREAM_INCOMPLETE, "the answer ended without its finish")


async def _farewell(request: web.Request, out: EventStream, error: MeshError) -> web.StreamResponse:
    """End a stream that failed after it began: an error event, and no [DONE]."""
    failure = errors.describe(error, request[KEY].request_id)
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await out.send(b"data: " + failure.body() + b"\n\n")
            return await out.end()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the caller stopped reading") from None
