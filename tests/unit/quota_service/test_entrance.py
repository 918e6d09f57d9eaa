"""Who may use the ledger: routers, operators, and nobody else where there are keys; over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON
from fixtures.quota_house import World, reserve, running
from fixtures.shipped import shipped
from llmmesh.quota.v1 import quota_pb2 as pb

from catalog.admission import Admitted, read_admitted
from meshkit import status
from meshkit.api_key import ApiKey, keyed_hash, mint
from meshkit.errors import MeshError, Reason
from meshkit.identity import Caller
from meshkit.secret import Secret
from quota_service.entrance import Entrance

PEPPER = Secret("pepper of the tests, long enough")
OPERATOR, CALLER, LATER = mint(), mint(), mint()
OF_PEOPLE = [
    ("SetOverride", pb.SetOverrideRequest(budget="groq/default/requests/day", limit=1, author="eve", reason="why not")),
    ("RemoveOverride", pb.RemoveOverrideRequest(budget="groq/default/requests/day", author="eve", reason="why not")),
    ("QuerySpend", pb.QuerySpendRequest()),
    ("Verify", pb.VerifyRequest()),
]
OF_ROUTERS = [
    ("Apply", pb.ApplyRequest(operations=[reserve("a-1", "groq/llama-3.1-8b-instant#1")])),
    ("GetBudgets", pb.GetBudgetsRequest()),
    ("Forecast", pb.ForecastRequest()),
]


@pytest.fixture(autouse=True)
def keys(monkeypatch, tmp_path) -> Path:
    monkeypatch.delenv("ORCHESTRATOR_API_KEY", raising=False)
    monkeypatch.delenv("MESH_SERVICE_KEY", raising=False)
    monkeypatch.setenv("MESH_KEY_PEPPER", PEPPER.reveal())
    return tmp_path / "tenants.yaml"


@asynccontextmanager
async def ledger(file: Path, *known: tuple[ApiKey, str]) -> AsyncIterator[World]:
    write(file, *known)
    async with running(file.parent, {"MESH_TENANTS": str(file)}) as world:
        yield world


def write(file: Path, *known: tuple[ApiKey, str]) -> None:
    rows = "".join(
        f'  - {{id: "{key.id}", tenant: team, hash: "{keyed_hash(key, PEPPER)}", scopes: [{scope}]}}\n'
        for key, scope in known
    )
    file.write_text(f"tenants: {{team: {{}}}}\nkeys:\n{rows}", encoding="utf-8")


async def answered(world: World, method: str, request: object, key: ApiKey | str = "") -> Reason | None:
    """Return why a call was refused for who made it; None when it was not."""
    text = key if isinstance(key, str) else key.text().reveal()
    metadata = (("authorization", f"Bearer {text}"),) if text else ()
    try:
        await getattr(world.stub, method)(request, timeout=10, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        reason = status.from_rpc_error(error).reason
        return reason if reason in (Reason.UNAUTHENTICATED, Reason.FORBIDDEN) else None
    return None


async def test_without_keys_nobody_is_asked_for_one(tmp_path):
    async with running(tmp_path) as world:
        for method, request in OF_PEOPLE + OF_ROUTERS:
            assert await answered(world, method, request) is None


async def test_where_there_are_keys_people_need_one_of_an_operator(keys):
    async with ledger(keys, (OPERATOR, "operator"), (CALLER, "caller")) as world:
        for method, request in OF_PEOPLE:
            assert await answered(world, method, request) is Reason.FORBIDDEN
            assert await answered(world, method, request, CALLER) is Reason.FORBIDDEN
            assert await answered(world, method, request, mint()) is Reason.UNAUTHENTICATED
            assert await answered(world, method, request, OPERATOR) is None


async def test_the_ledger_is_exported_to_operators_alone(keys):
    async with ledger(keys, (OPERATOR, "operator")) as world:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await anext(aiter(world.stub.Export(pb.ExportRequest(), timeout=10)))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        metadata = (("authorization", f"Bearer {OPERATOR.text().reveal()}"),)
        assert (await anext(aiter(world.stub.Export(pb.ExportRequest(), timeout=10, metadata=metadata)))).lines


async def test_the_one_key_of_a_mesh_is_an_operators_here_too(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_API_KEY", "bootstrap")
    async with running(tmp_path) as world:
        assert await answered(world, *OF_PEOPLE[0]) is Reason.FORBIDDEN
        assert await answered(world, *OF_PEOPLE[0], "bootstra") is Reason.UNAUTHENTICATED
        assert await answered(world, *OF_PEOPLE[0], "bootstrap") is None
        assert await answered(world, *OF_ROUTERS[0]) is None  # no service key: the network keeps others out


async def test_with_a_service_key_only_who_shows_it_acts_as_a_router_and_it_operates_nothing(keys, monkeypatch):
    monkeypatch.setenv("MESH_SERVICE_KEY", "services")
    async with ledger(keys, (OPERATOR, "operator"), (CALLER, "caller")) as world:
        for method, request in OF_ROUTERS:
            assert await answered(world, method, request) is Reason.UNAUTHENTICATED
            assert await answered(world, method, request, CALLER) is Reason.FORBIDDEN
            assert await answered(world, method, request, "services") is None
            assert await answered(world, method, request, OPERATOR) is None
        for method, request in OF_PEOPLE:
            shows = None if method == "QuerySpend" else Reason.FORBIDDEN  # the console's router shows it to operators
            assert await answered(world, method, request, "services") is shows


def test_other_keys_count_from_the_moment_they_are_taken(keys):
    def known(*rows: tuple[ApiKey, str]) -> Admitted:
        write(keys, *rows)
        return read_admitted(keys, shipped(), {"MESH_KEY_PEPPER": PEPPER.reveal()})

    entrance = Entrance(known((OPERATOR, "operator")), ManualClock(NOON / 1_000))
    shown = [{"x-api-key": key.text().reveal()} for key in (OPERATOR, LATER)]
    assert entrance.authenticate(shown[0]) == Caller("team", operator=True)
    entrance.take(known((LATER, "operator"), (CALLER, "caller")))
    with pytest.raises(MeshError):
        entrance.authenticate(shown[0])
    assert entrance.authenticate(shown[1]) == Caller("team", operator=True)
