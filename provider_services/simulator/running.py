"""Runs a simulator inside a test or a program, with a small client for its control interface."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import ClientSession, ClientTimeout

from provider_services.simulator.rows import LatencyRow, VendorRow, load_rows
from provider_services.simulator.server import create_app, serving

CONTROL_TIMEOUT_S = 10.0


class Simulator:
    """A running simulator: its address, and what can be asked of it."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = url
        self._session = session

    def base_url(self, vendor: str) -> str:
        """Return the address that stands in for the vendor's host, without the API's own path."""
        return f"{self.url}/{vendor}"

    async def state(self, vendor: str | None = None) -> dict[str, Any]:
        """Return the state of every vendor, or of one."""
        found: dict[str, Any] = await self.control("GET", "vendors")
        return found if vendor is None else dict(found[vendor])

    async def arrivals(self, vendor: str) -> list[dict[str, Any]]:
        """Return what arrived at a vendor, oldest first."""
        found: list[dict[str, Any]] = await self.control("GET", f"arrivals?vendor={vendor}")
        return found

    async def set_limits(self, vendor: str, limits: Sequence[dict[str, Any]] | None) -> None:
        """Replace a vendor's quotas; nothing means none."""
        await self.control("PUT", f"vendors/{vendor}/limits", limits)

    async def set_faults(self, vendor: str, faults: Sequence[dict[str, Any]]) -> None:
        """Replace a vendor's faults."""
        await self.control("PUT", f"vendors/{vendor}/faults", faults)

    async def set_latency(self, vendor: str, first_token_ms: float = 0, token_ms: float = 0) -> None:
        """Replace a vendor's latency."""
        await self.control("PUT", f"vendors/{vendor}/latency", {"first_token_ms": first_token_ms, "token_ms": token_ms})

    async def set_standing(self, vendor: str, **standing: Any) -> None:
        """Replace a vendor's standing: rejected, out_of_credit, retired_models, ended."""
        await self.control("PUT", f"vendors/{vendor}/standing", standing)

    async def advance(self, seconds: float) -> None:
        """Let time pass for the vendors' windows."""
        await self.control("POST", "clock", {"advance_s": seconds})

    async def reset(self) -> None:
        """Set every vendor back to its row."""
        await self.control("POST", "reset")

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Send one control request.

        Raises:
            ValueError: the simulator refused it; the message is its reason.
        """
        data = msgspec.json.encode(body) if method != "GET" else None
        async with self._session.request(method, f"{self.url}/_control/{path}", data=data) as response:
            found = msgspec.json.decode(await response.read())
            if response.status >= 400:
                raise ValueError(found["error"])
            return found


def without_latency(rows: tuple[VendorRow, ...]) -> tuple[VendorRow, ...]:
    """Return the rows with every vendor answering at once."""
    return tuple(msgspec.structs.replace(row, latency=LatencyRow()) for row in rows)


@asynccontextmanager
async def running_simulator(
    rows: tuple[VendorRow, ...] | None = None, *, host: str = "127.0.0.1", port: int = 0, seed: int = 7
) -> AsyncIterator[Simulator]:
    """Run a simulator on a free port; without rows, the shipped vendors at no latency."""
    app = create_app(without_latency(load_rows()) if rows is None else rows, seed=seed)
    timeout = ClientTimeout(total=CONTROL_TIMEOUT_S)
    async with serving(app, host, port) as bound, ClientSession(timeout=timeout) as session:
        yield Simulator(f"http://{host}:{bound}", session)
