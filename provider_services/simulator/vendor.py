"""Stands in for one vendor: lets requests in, counts them, answers or refuses them in the vendor's own way."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from provider_services.simulator.arrivals import Arrival, Visitor, Witness
from provider_services.simulator.ask import Call, RefusalError, Stamp
from provider_services.simulator.breaks import BEFORE_ANSWER
from provider_services.simulator.delivery import deliver
from provider_services.simulator.door import Door
from provider_services.simulator.faults import FaultBoard
from provider_services.simulator.identity import Identity
from provider_services.simulator.order import Order
from provider_services.simulator.pace import Pace, pause
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rate_headers import STYLES, go_duration
from provider_services.simulator.rows import VendorRow
from provider_services.simulator.speech import Speech
from provider_services.simulator.wires import wire_for
from provider_services.simulator.words import say

NOBODY = Visitor("")
CLIENT_CLOSED = 499


class Vendor:
    """One vendor of the simulated internet."""

    def __init__(
        self,
        row: VendorRow,
        speech: Speech,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self.row = row
        self.witness = Witness(row.limits, clock=clock, wall=wall)
        self.faults = FaultBoard(chance)
        self.pace = Pace(row.latency, chance)
        self._speech = speech
        self._clock = clock
        self._identity = Identity(chance)
        self._wire = wire_for(row, self._identity)
        self._door = Door(row.auth)
        self._root = f"/{row.name}"
        self._prefix = self._root + row.prefix

    def reset(self) -> None:
        """Forget all counts and faults, and go back to the row's limits and latency."""
        self.witness.reset()
        self.faults.replace(())
        self.pace.reset()

    def state(self) -> dict[str, Any]:
        """Return all that the control interface shows about the vendor."""
        return {
            **self.witness.state(),
            "limits": msgspec.to_builtins(self.witness.limits),
            "faults": self.faults.shown(),
            "latency": msgspec.to_builtins(self.pace.latency),
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request below the vendor's path."""
        path = request.path
        call = None
        if path.startswith(self._prefix):
            call = self._wire.route(request.method, path[len(self._prefix) :], request.query)
        if call is None:
            values = {"method": request.method, "path": path.removeprefix(self._root)}
            return self._said(RefusalError("unknown_path", **values), self._headers())
        if call.operation == "models":
            return await self._about(request, call)
        try:
            return await self._serve(request, call)
        except ConnectionResetError:
            return web.Response(status=CLIENT_CLOSED)

    async def _about(self, request: web.Request, call: Call) -> web.StreamResponse:
        self.witness.other_calls += 1
        headers = self._headers()
        fault = self.faults.choose(call.operation, call.model)
        if fault is not None and fault.kind in BEFORE_ANSWER:
            return await BEFORE_ANSWER[fault.kind](request, fault, self._wire)
        await pause(fault.seconds if fault is not None else 0)
        try:
            self._door.visitor(request.headers)
            body = self._wire.catalogue(call)
        except RefusalError as refusal:
            return self._said(refusal, headers)
        return web.Response(body=body, headers={"Content-Type": "application/json"} | headers)

    async def _serve(self, request: web.Request, call: Call) -> web.StreamResponse:
        visitor = NOBODY
        try:
            visitor = self._door.visitor(request.headers)
            ask = self._wire.read(call, await request.read())
        except RefusalError as refusal:
            model = str(refusal.values.get("model", call.model))
            hosted = self.row.model(model) is not None
            arrival = self._arrived(call, visitor, model, hosted=hosted)
            response = self._said(refusal, self._headers())
            self.witness.reject(arrival, response.status)
            return response
        arrival = self._arrived(ask.call, visitor, ask.model.id, hosted=True)
        embeds = call.operation == "embed"
        answer = self._speech.vectors(ask) if embeds else self._speech.answer(ask)
        denial = self.witness.admit(arrival, answer.input_tokens, answer.output_tokens)
        if denial is not None:
            return self._deny(arrival, denial)
        fault = self.faults.choose(call.operation, ask.model.id)
        arrival.fault = fault.kind if fault is not None else ""
        stamp, headers = self._stamp(), self._headers()
        request_id = self.row.request_id
        headers |= self._rates(arrival, None) | ({request_id.header: stamp.request_id} if request_id else {})
        order = Order(request, ask, answer, stamp, headers, fault, arrival, self._wire, self.pace)
        return await self._deliver(order)

    async def _deliver(self, order: Order) -> web.StreamResponse:
        outcome = "crashed"
        try:
            response = await deliver(order)
            outcome = "faulted" if order.arrival.fault else "served"
        except (asyncio.CancelledError, ConnectionResetError):
            outcome = "client_closed"
            raise
        finally:
            self.witness.finish(order.arrival, outcome)
        return response

    def _arrived(self, call: Call, visitor: Visitor, model: str, *, hosted: bool) -> Arrival:
        return self.witness.record(call.operation, model, visitor, hosted=hosted, stream=call.stream)

    def _deny(self, arrival: Arrival, denial: Denial) -> web.Response:
        wait = denial.retry_after
        values = self._wire.denial_values(denial, arrival.model)
        values |= {"retry": go_duration(wait), "retry_s": f"{wait:.3f}".rstrip("0").rstrip(".")}
        kind = "too_large" if denial.too_large else "limited"
        rates = self._rates(arrival, None if denial.too_large else wait)
        response = self._said(RefusalError(kind, **values), self._headers() | rates)
        arrival.status = response.status
        return response

    def _said(self, refusal: RefusalError, headers: dict[str, str]) -> web.Response:
        said = say(self._wire.errors, refusal)
        headers = {"Content-Type": "application/json"} | headers | said.headers
        if self.row.request_id is not None and self.row.request_id.header not in headers:
            headers[self.row.request_id.header] = self._request_id()
        return web.Response(status=said.status, body=said.body, headers=headers)

    def _rates(self, arrival: Arrival, retry_after: float | None) -> dict[str, str]:
        row = self.row.rate_headers
        if row.style == "none":
            return {}
        gauges = {
            "requests": self.witness.gauge(arrival, "requests", row.requests),
            "tokens": self.witness.gauge(arrival, "tokens", row.tokens),
        }
        said = STYLES[row.style](gauges, retry_after)
        return {row.prefix + name if name.startswith("ratelimit-") else name: text for name, text in said.items()}

    def _stamp(self) -> Stamp:
        token_s = self.pace.latency.token_ms / 1_000
        return Stamp(self._clock(), self._request_id(), self.pace.first_s(), token_s)

    def _request_id(self) -> str:
        row = self.row.request_id
        return row.prefix + self._identity.made(row.style) if row is not None else ""

    def _headers(self) -> dict[str, str]:
        return dict(self.row.headers)
