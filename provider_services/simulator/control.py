"""Lets tests and people watch the simulated vendors and change them while they run."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from provider_services.simulator.clock import ShiftedClock
from provider_services.simulator.faults import Fault
from provider_services.simulator.rows import LatencyRow, LimitRow
from provider_services.simulator.standing import Standing
from provider_services.simulator.vendor import Vendor

Wanted = TypeVar("Wanted")
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """How far the simulator's clock is to be moved."""

    advance_s: float


class BadControlError(Exception):
    """A control request that cannot be followed, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Control:
    """The control interface under /_control."""

    def __init__(self, vendors: Mapping[str, Vendor], clock: ShiftedClock) -> None:
        self._vendors = vendors
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return all routes of the control interface."""
        return [
            web.get("/_control/vendors", _answered(self.vendors), allow_head=False),
            web.get("/_control/arrivals", _answered(self.arrivals), allow_head=False),
            web.put("/_control/vendors/{vendor}/limits", _answered(self.put_limits)),
            web.put("/_control/vendors/{vendor}/faults", _answered(self.put_faults)),
            web.put("/_control/vendors/{vendor}/latency", _answered(self.put_latency)),
            web.put("/_control/vendors/{vendor}/standing", _answered(self.put_standing)),
            web.post("/_control/reset", _answered(self.reset)),
            web.post("/_control/clock", _answered(self.advance)),
        ]

    async def vendors(self, request: web.Request) -> web.Response:
        """Show the state of every vendor."""
        return _json({name: vendor.state() for name, vendor in self._vendors.items()})

    async def arrivals(self, request: web.Request) -> web.Response:
        """List what arrived at one vendor, oldest first; `limit` keeps the last so many."""
        vendor = self._found(request.query.get("vendor", ""))
        limit = request.query.get("limit", "")
        if limit and not limit.isdecimal():
            raise BadControlError(400, "limit is a whole number")
        rows = list(vendor.witness.arrivals)
        shown = rows[max(0, len(rows) - int(limit)) :] if limit else rows
        return _json([arrival.shown() for arrival in shown])

    async def put_limits(self, request: web.Request) -> web.Response:
        """Replace the quotas of a vendor; null means none."""
        vendor = self._addressed(request)
        limits = await _body(request, tuple[LimitRow, ...] | None)
        vendor.witness.replace_limits(limits or ())
        return _json(msgspec.to_builtins(vendor.witness.limits))

    async def put_faults(self, request: web.Request) -> web.Response:
        """Replace the faults of a vendor."""
        vendor = self._addressed(request)
        faults = await _body(request, tuple[Fault, ...])
        for fault in faults:
            if fault.says and fault.says not in vendor.kinds:
                raise BadControlError(400, f"no words for '{fault.says}'; there are some for {', '.join(vendor.kinds)}")
        vendor.faults.replace(faults)
        return _json(vendor.faults.shown())

    async def put_latency(self, request: web.Request) -> web.Response:
        """Replace the latency of a vendor."""
        vendor = self._addressed(request)
        vendor.pace.latency = await _body(request, LatencyRow)
        return _json(msgspec.to_builtins(vendor.pace.latency))

    async def put_standing(self, request: web.Request) -> web.Response:
        """Replace whose keys a vendor rejects, whose credit is spent, which models it retired, and whether it ended."""
        vendor = self._addressed(request)
        vendor.stand(await _body(request, Standing))
        return _json(msgspec.to_builtins(vendor.standing))

    async def reset(self, request: web.Request) -> web.Response:
        """Set every vendor back to its row."""
        for vendor in self._vendors.values():
            vendor.reset()
        return _json({})

    async def advance(self, request: web.Request) -> web.Response:
        """Let time pass for the windows."""
        seconds = (await _body(request, Advance)).advance_s
        if seconds < 0:
            raise BadControlError(400, "advance_s must not be negative: time does not run backwards")
        self._clock.advance(seconds)
        return _json({"now": self._clock()})

    def _addressed(self, request: web.Request) -> Vendor:
        return self._found(request.match_info["vendor"])

    def _found(self, name: str) -> Vendor:
        vendor = self._vendors.get(name)
        if vendor is None:
            known = ", ".join(sorted(self._vendors))
            raise BadControlError(404 if name else 400, f"no vendor '{name}'; there are {known}")
        return vendor


def _answered(control: Answering) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await control(request)
        except BadControlError as error:
            return _json({"error": str(error)}, error.status)

    return answer


async def _body(request: web.Request, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(await request.read(), type=wanted)
    except msgspec.DecodeError as error:
        raise BadControlError(400, str(error)) from error


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
