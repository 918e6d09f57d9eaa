"""GET /llm/providers: every vendor with its models or the reason why not, by group and active ones first."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fixtures.fake_router import FakeRouter
from llmmesh.router.v1 import router_pb2

from router_service.edge.server import EdgeServer


def vendor(name: str, group: str, status: str = "active", **more: str) -> router_pb2.Vendor:
    return router_pb2.Vendor(id=name, reply_name=more.pop("reply_name", name), group=group, status=status, **more)


def model(name: str, *short: str, status: str = "active", successor: str = "") -> router_pb2.Model:
    vendor_id, _, own = name.partition("/")
    return router_pb2.Model(
        id=name, vendor=vendor_id, model=own, status=status, successor=successor, short_names=short, usable=True
    )


@pytest.fixture
async def there() -> AsyncIterator[httpx.AsyncClient]:
    router = FakeRouter(
        vendors=[
            vendor("alpha", "premium", "inactive", reason="no API key for alpha", reason_code="not_configured"),
            vendor("beta", "premium", reply_name="bee"),
            vendor("gamma", "speed", "rejected", reason="gamma rejected the key", reason_code="key_rejected"),
            vendor("delta", "speed", "retired", reason="ended on 2026-07-30", reason_code="retired"),
        ],
        models=[
            model("beta/beta-large-7", "large"),
            model("beta/beta-old", status="retired", successor="beta/beta-large-7"),
            model("beta/beta-mini"),
            model("gamma/g"),
        ],
    )
    async with (
        EdgeServer("127.0.0.1:0", router) as edge,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}", trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/llm/providers", "/api/coordination/llm/providers"])
async def test_every_vendor_is_listed_with_its_models_or_the_reason_why_not(
    there: httpx.AsyncClient, path: str
) -> None:
    assert (await there.get(path)).json() == {
        "providers": [
            {
                "name": "bee",
                "status": "active",
                "group": "premium",
                "models": ["large", "beta-large-7", "beta-mini"],
                "retired_models": [{"name": "beta-old", "successor": "beta/beta-large-7"}],
            },
            {"name": "alpha", "status": "inactive", "group": "premium", "reason": "no API key"},
            {"name": "gamma", "status": "rejected", "group": "speed", "reason": "gamma rejected the key"},
            {"name": "delta", "status": "retired", "group": "speed", "reason": "ended on 2026-07-30"},
        ]
    }
