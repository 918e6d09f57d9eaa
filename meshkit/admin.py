"""The admin page of a process: metrics for Prometheus, liveness and readiness for Kubernetes, nothing else."""

from collections.abc import Callable, Mapping
from importlib import metadata
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

from meshkit import reload
from meshkit.errors import StartError

BUILD = Gauge("mesh_build_info", "1; the version of this process is in the label.", ["version"])
LAST_SCRAPE = Gauge("mesh_last_scrape_timestamp_seconds", "When these figures were last read, 0 before; not by whom.")
# Who looks by hand, as the doctor does, is no monitoring.
BY_HAND = "llm-mesh"


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port"; the host may be an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether a host, a name or an address, is this machine and reached from nowhere else."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AdminServer:
    """Serves /metrics, /livez and /readyz over plain HTTP, without credentials and without secrets.

    Args:
        address: "host:port"; port 0 chooses a free one.
        ready: returns None when ready, else the reason why not.
        notes: returns what is worth a word beside that.
    """

    def __init__(
        self,
        address: str,
        ready: Callable[[], str | None],
        registry: CollectorRegistry = REGISTRY,
        *,
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._address = address
        self._ready = ready
        self._notes = notes
        self._registry = registry
        self.port = 0

    async def __aenter__(self) -> Self:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter nobody asks for
        BUILD.labels(metadata.version("llm-mesh")).set(1)
        reload.VALID.labels("mesh").set(1)  # a process does not come this far with a wrong one
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        self.port = await listen(self._runner, self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        page = generate_latest(self._registry)
        if not request.headers.get("User-Agent", "").startswith(BY_HAND):
            LAST_SCRAPE.set_to_current_time()
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        reason = self._ready()
        if reason is None:
            return web.json_response({"status": "ok", **self._notes()})
        return web.json_response({"status": "unavailable", "reason": reason, **self._notes()}, status=503)


async def listen(runner: web.AppRunner, address: str) -> int:
    """Start the runner on an address and return the port; a taken port is a StartError with a clear text."""
    host, port = split_address(address)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_port=False).start()
    except OSError as error:
        await runner.cleanup()
        raise StartError(
            f"cannot listen on {address}: {error.strerror or error}; stop what listens there or choose another "
            "address in mesh.yaml or the environment"
        ) from None
    return int(runner.addresses[0][1])
