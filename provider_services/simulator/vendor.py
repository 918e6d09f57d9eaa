"""Stands in for one vendor: lets requests in, counts them, answers or refuses them in the vendor's own way."""

import asyncio
import math
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
from provider_services.simulator.fault_words import FaultWords
from provider_services.simulator.faults import FaultBoard
from provider_services.simulator.identity import Identity
from provider_services.simulator.order import Order
from provider_services.simulator.pace import Pace, pause
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rate_headers import STYLES, Rates, go_duration
from provider_services.simulator.rows import VendorRow
from provider_services.simulator.speech import Speech, cut_short
from provider_services.simulator.standing import Standing
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
        self.witness = Witness(row.limits, clock=clock, wall=wall)
        self.faults = FaultBoard(chance)
        self.pace = Pace(row.latency, chance)
        self._first_row = row
        self._speech = speech
        self._clock = clock
        self._identity = Identity(chance)
        self._door = Door(row.auth)
        self._root = f"/{row.name}"
        self._prefix = self._root + row.prefix
        self.stand(Standing())

    def stand(self, standing: Standing) -> None:
        """Treat customers otherwise from now on."""
        self.standing = standing
        self.row = standing.laid_over(self._first_row)
        self._wire = wire_for(self.row, self._identity)

    def reset(self) -> None:
        """Forget all counts and faults, and go back to the row's limits, latency and standing."""
        self.witness.reset()
        self.faults.replace(())
        self.pace.reset()
        self.stand(Standing())

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of error the vendor has words for."""
        return tuple(sorted(self._wire.errors))

    def state(self) -> dict[str, Any]:
        """Return all that the control interface shows about the vendor."""
        return {
            **self.witness.state(),
            "limits": msgspec.to_builtins(self.witness.limits),
            "faults": self.faults.shown(),
            "latency": msgspec.to_builtins(self.pace.latency),
            "standing": msgspec.to_builtins(self.standing),
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request below the vendor's path."""
        path = request.path
        call = None
        if path.startswith(self._prefix):
            call = self._wire.route(request.method, path[len(self._prefix) :], request.query)
        if call is None:
            values = {"method": request.method, "path": path.removeprefix(self._root)}
            kind = "ended" if self.row.ended else "unknown_path"
            return self._said(RefusalError(kind, **values), self._headers())
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
            return await BEFORE_ANSWER[fault.kind](request, fault, FaultWords(self._wire, call.model, ""))
        await pause(fault.seconds if fault is not None else 0)
        try:
            body = self._catalogue(request, call)
        except RefusalError as refusal:
            return self._said(refusal, headers)
        return web.Response(body=body, headers={"Content-Type": "application/json"} | headers)

    def _visitor(self, request: web.Request) -> Visitor:
        if self.row.ended:
            raise RefusalError("ended")
        return self._door.visitor(request.headers, self.standing.rejects)

    def _catalogue(self, request: web.Request, call: Call) -> bytes:
        try:
            self._visitor(request)
        except RefusalError:
            if self.row.ended or self.row.listing == "closed":
                raise
            if self.row.listing == "empty":
                return wire_for(msgspec.structs.replace(self.row, models=()), self._identity).catalogue(call)
        return self._wire.catalogue(call)

    async def _serve(self, request: web.Request, call: Call) -> web.StreamResponse:
        visitor = NOBODY
        try:
            visitor = self._visitor(request)
            ask = self._wire.read(call, await request.read())
            if self.standing.denies_credit(visitor):
                raise RefusalError("out_of_credit", model=ask.model.id)
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
        if fault is not None and fault.finish is not None:
            answer = cut_short(answer, fault.after_tokens, fault.finish)
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
        wait, per = denial.wait, denial.limit.per
        values = self._wire.denial_values(denial, arrival.model)
        if wait is not None:
            values |= {"retry": go_duration(wait), "retry_s": f"{wait:.3f}".rstrip("0").rstrip(".")}
            values["wait_s"] = math.ceil(wait)
        kind = "too_large" if denial.too_large and per != "once" else "limited"
        if f"{kind}_{per}" in self._wire.errors:
            kind = f"{kind}_{per}"
        rates = self._rates(arrival, None if denial.too_large else wait)
        response = self._said(RefusalError(kind, **values), self._headers() | rates)
        arrival.status = response.status
        return response

    def _said(self, refusal: RefusalError, headers: dict[str, str]) -> web.Response:
        request_id = self._request_id()
        kind = refusal.kind
        if kind == "unknown_model" and self.row.is_retired(str(refusal.values["model"])):
            kind = "retired_model" if "retired_model" in self._wire.errors else kind
        said = say(self._wire.errors, RefusalError(kind, **{"request_id": request_id} | refusal.values))
        headers = {"Content-Type": "application/json"} | headers | said.headers
        if self.row.request_id is not None and self.row.request_id.header not in headers:
            headers[self.row.request_id.header] = request_id
        return web.Response(status=said.status, body=said.body, headers=headers)

    def _rates(self, arrival: Arrival, retry_after: float | None) -> dict[str, str]:
        row = self.row.rate_headers
        if row.style == "none":
            return {}
        windows: tuple[tuple[str, str], ...] = (("requests", row.requests), ("tokens", row.tokens), *row.also)
        gauges = {window: self.witness.gauge(arrival, *window) for window in windows}
        said = STYLES[row.style](Rates(gauges, arrival.tokens, retry_after))
        return {row.prefix + name if name.startswith("ratelimit-") else name: text for name, text in said.items()}

    def _stamp(self) -> Stamp:
        token_s = self.pace.latency.token_ms / 1_000
        return Stamp(self._clock(), self._request_id(), self.pace.first_s(), token_s)

    def _request_id(self) -> str:
        row = self.row.request_id
        return row.prefix + self._identity.made(row.style) if row is not None else ""

    def _headers(self) -> dict[str, str]:
        return dict(self.row.headers)
