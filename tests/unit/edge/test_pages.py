"""Who opens a page elsewhere gives it no way to a mesh on the same machine that asks for no key."""

import json

import aiohttp
import pytest
from fixtures.fake_router import FakeRouter
from llmmesh.router.v1 import router_pb2

from meshkit import identity
from meshkit.secret import Secret
from router_service.edge.server import EdgeServer

KEY = Secret("a key of the tests, long enough")
PAGE = "https://app.example"
QUESTION = json.dumps({"messages": [{"role": "user", "content": "Hello"}]})


def serving() -> FakeRouter:
    return FakeRouter(answer=router_pb2.GenerateResponse())


async def asked(edge: EdgeServer, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, str]:
    """Ask as a page may without asking first: plain text; return the status, and what a refusal says."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{edge.port}{path}", data=QUESTION, headers={"Content-Type": "text/plain", **headers}
        ) as reply,
    ):
        return reply.status, (await reply.json()).get("error", {}).get("message", "")


@pytest.mark.parametrize("origin", [PAGE, "null", "http://127.0.0.1:1", "http://localhost", "file://"])
async def test_a_page_of_another_origin_is_refused_and_told_what_to_do(origin: str) -> None:
    router = serving()
    async with EdgeServer("127.0.0.1:0", router) as edge:
        status, told = await asked(edge, Origin=origin)
    assert status == 403
    assert "edge.cors_origins" in told
    assert "ORCHESTRATOR_API_KEY" in told
    assert router.requests == []


async def test_a_page_of_the_list_and_one_of_ours_are_served() -> None:
    async with EdgeServer("127.0.0.1:0", serving(), origins=[PAGE]) as edge:
        assert (await asked(edge, Origin=PAGE))[0] == 200
        assert (await asked(edge, Origin=f"http://127.0.0.1:{edge.port}"))[0] == 200
        assert (await asked(edge))[0] == 200
        assert (await asked(edge, Origin="https://other.example"))[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"]
)
async def test_a_name_of_others_that_leads_here_is_refused(host: str) -> None:
    async with EdgeServer("127.0.0.1:0", serving()) as edge:
        status, told = await asked(edge, Host=host, Origin=f"http://{host}")
        assert (status, "another name" in told) == (403, True)
        assert (await asked(edge, Host=host))[0] == 403


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8080", "mesh.localhost", "LOCALHOST"])
async def test_every_name_of_this_machine_is_served(host: str) -> None:
    async with EdgeServer("127.0.0.1:0", serving()) as edge:
        assert (await asked(edge, Host=host))[0] == 200


async def test_behind_other_addresses_it_may_have_any_name_but_pages_stay_out() -> None:
    async with EdgeServer("0.0.0.0:0", serving()) as edge:
        assert (await asked(edge, Host="mesh.internal"))[0] == 200
        assert (await asked(edge, Host="mesh.internal", Origin="http://mesh.internal"))[0] == 200
        assert (await asked(edge, Host="mesh.internal", Origin=PAGE))[0] == 403


async def test_where_a_key_is_asked_for_origin_and_name_do_not_matter() -> None:
    async with EdgeServer("127.0.0.1:0", serving(), identity.with_key(KEY)) as edge:
        key = {"Authorization": f"Bearer {KEY.reveal()}"}
        assert (await asked(edge, Origin=PAGE, Host="mesh.example", **key))[0] == 200
        assert (await asked(edge, Origin=PAGE, Host="mesh.example"))[0] == 401
