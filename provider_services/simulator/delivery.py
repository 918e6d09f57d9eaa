"""Sends an answer at the vendor's pace, in one piece or as a stream, and breaks it where a fault says so."""

import asyncio

from aiohttp import web

from provider_services.simulator.ask import Piece, Script
from provider_services.simulator.breaks import BEFORE_ANSWER, IN_ANSWER, UNCHARGED, break_body, break_stream
from provider_services.simulator.order import Order
from provider_services.simulator.pace import pause


async def deliver(order: Order) -> web.StreamResponse:
    """Send the answer; the arrival learns the status and how many tokens left the house."""
    fault, arrival = order.fault, order.arrival
    if fault is not None and fault.kind in BEFORE_ANSWER:
        if fault.kind in UNCHARGED:
            arrival.tokens_in = 0
        response = await BEFORE_ANSWER[fault.kind](order.request, fault, order.words)
        arrival.status = response.status if fault.kind == "status" else 0
        return response
    await pause(order.stamp.first_s)
    if fault is not None and fault.kind == "slow_first_token":
        await pause(fault.seconds)
    arrival.status = 200
    if order.ask.call.stream:
        return await _send_stream(order, order.wire.script(order.ask, order.answer, order.stamp))
    return await _send_whole(order)


async def _send_whole(order: Order) -> web.StreamResponse:
    answer, fault = order.answer, order.fault
    render = order.wire.embeddings if order.ask.call.operation == "embed" else order.wire.whole
    body = render(order.ask, answer, order.stamp)
    await pause(order.pace.token_s() * answer.output_tokens)
    headers = {"Content-Type": "application/json"} | order.headers
    if fault is not None and fault.kind in IN_ANSWER:
        return await break_body(order, fault, body, headers)
    order.arrival.tokens_out = answer.output_tokens
    return web.Response(body=body, headers=headers)


async def _send_stream(order: Order, script: Script) -> web.StreamResponse:
    arrival, pace = order.arrival, order.pace
    fault = order.fault if order.fault is not None and order.fault.kind in IN_ANSWER else None
    headers = {"Content-Type": script.content_type, "Cache-Control": "no-cache"} | order.headers
    response = web.StreamResponse(headers=headers)
    await response.prepare(order.request)
    if script.opening:
        await response.write(script.opening)
    clock = asyncio.get_running_loop().time
    due = clock()
    last = Piece(script.closing, 0)
    for piece in (*script.pieces, last):
        if fault is not None and piece.data and (arrival.tokens_out >= fault.after_tokens or piece is last):
            if await break_stream(order, fault, response, piece.data):
                return response
            fault = None
            continue
        if piece.tokens and pace.latency.token_ms:
            due += pace.token_s() * piece.tokens
            await pause(due - clock())
        if piece.data:
            await response.write(piece.data)
        arrival.tokens_out += piece.tokens
    return response
