"""GET /api/health: one word for all breakers of a vendor."""

import httpx
import pytest
from fixtures.fake_router import FakeRouter
from llmmesh.router.v1 import router_pb2

from router_service.edge.server import EdgeServer


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([], "closed"),
        (["half_open"], "half_open"),
        (["half_open", "open"], "open"),
        (["forced_open"], "open"),
        (["forced_closed"], "closed"),
    ],
)
async def test_an_open_breaker_outweighs_the_rest_whoever_opened_it(states: list[str], word: str) -> None:
    acme = router_pb2.Vendor(id="acme", status="active")
    for state in states:
        acme.breakers.add(subject="acme", state=state)
    router = FakeRouter(told=router_pb2.GetHealthResponse(vendors=[acme]))
    async with (
        EdgeServer("127.0.0.1:0", router) as edge,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}", trust_env=False) as client,
    ):
        told = (await client.get("/api/health")).json()
    assert told["providers"][0]["breaker"] == word
