"""Breaks answers on demand: before they begin, in the middle of a body, in the middle of a stream."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from struct import pack

from aiohttp import web

from provider_services.simulator.fault_words import FaultWords
from provider_services.simulator.faults import Fault
from provider_services.simulator.order import Order

SILENCE_S = 3_600.0
Headers = dict[str, str]


async def _status(request: web.Request, fault: Fault, words: FaultWords) -> web.StreamResponse:
    said = words.of(fault)
    headers = {"Content-Type": "application/json"} | said.headers | fault.headers
    return web.Response(status=said.status, body=said.body, headers=headers)


async def _hang(request: web.Request, fault: Fault, words: FaultWords) -> web.StreamResponse:
    await asyncio.sleep(SILENCE_S)
    return web.Response(status=504)


async def _refuse(request: web.Request, fault: Fault, words: FaultWords) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=502)


BEFORE_ANSWER: dict[str, Callable[[web.Request, Fault, FaultWords], Awaitable[web.StreamResponse]]] = {
    "status": _status,
    "hang": _hang,
    "refuse": _refuse,
}
UNCHARGED = frozenset({"status", "refuse"})


async def break_body(order: Order, fault: Fault, body: bytes, headers: Headers) -> web.StreamResponse:
    """Send a broken body; after as many tokens as the fault says, where that means anything."""
    total = max(1, order.answer.output_tokens)
    sent = min(fault.after_tokens, order.answer.output_tokens)
    order.arrival.tokens_out = sent
    part = body[: min(len(body) * sent // total, len(body) - 1)]
    return await _BODY_BREAKS[fault.kind](order, fault, body, part, headers)


async def _body_part(order: Order, body: bytes, part: bytes, headers: Headers) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers | {"Content-Length": str(len(body))})
    await response.prepare(order.request)
    await response.write(part)
    return response


async def _body_cut(order: Order, _: Fault, body: bytes, part: bytes, headers: Headers) -> web.StreamResponse:
    response = await _body_part(order, body, part, headers)
    _hang_up(order.request)
    return response


async def _body_stall(order: Order, _: Fault, body: bytes, part: bytes, headers: Headers) -> web.StreamResponse:
    response = await _body_part(order, body, part, headers)
    await asyncio.sleep(SILENCE_S)
    return response


async def _body_end(_: Order, __: Fault, ___: bytes, part: bytes, headers: Headers) -> web.StreamResponse:
    return web.Response(body=part, headers=headers)


async def _body_malformed(_: Order, __: Fault, body: bytes, ___: bytes, headers: Headers) -> web.StreamResponse:
    return web.Response(body=body.replace(b'":', b'" ', 1), headers=headers)


async def _body_error(order: Order, fault: Fault, _: bytes, __: bytes, headers: Headers) -> web.StreamResponse:
    return web.Response(body=order.words.of(fault).body, headers=headers)


_BODY_BREAKS: dict[str, Callable[[Order, Fault, bytes, bytes, Headers], Awaitable[web.StreamResponse]]] = {
    "cut": _body_cut,
    "end": _body_end,
    "stall": _body_stall,
    "malformed": _body_malformed,
    "error_in_stream": _body_error,
}
IN_ANSWER = frozenset(_BODY_BREAKS)


async def break_stream(order: Order, fault: Fault, response: web.StreamResponse, data: bytes) -> bool:
    """Break a stream in place of the next piece; tell whether that was its end."""
    return await _STREAM_BREAKS[fault.kind](order, fault, response, data)


async def _cut(order: Order, _: Fault, __: web.StreamResponse, ___: bytes) -> bool:
    _hang_up(order.request)
    return True


async def _end(_: Order, __: Fault, ___: web.StreamResponse, ____: bytes) -> bool:
    return True


async def _stall(_: Order, __: Fault, ___: web.StreamResponse, ____: bytes) -> bool:
    await asyncio.sleep(SILENCE_S)
    return True


async def _malformed(order: Order, _: Fault, response: web.StreamResponse, data: bytes) -> bool:
    await response.write(order.wire.torn(data))
    return False


async def _error(order: Order, fault: Fault, response: web.StreamResponse, _: bytes) -> bool:
    await response.write(order.wire.stream_error(order.ask.call, order.words.of(fault)))
    return True


_STREAM_BREAKS: dict[str, Callable[[Order, Fault, web.StreamResponse, bytes], Awaitable[bool]]] = {
    "cut": _cut,
    "end": _end,
    "stall": _stall,
    "malformed": _malformed,
    "error_in_stream": _error,
}


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
