"""Who a client certificate lets in, over real TLS: the tenant its names stand for, alone or with a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from fixtures.certificates import Authority, authority
from fixtures.clock import ManualClock
from fixtures.fake_mesh import FakeMesh
from fixtures.quota import NOON
from fixtures.shipped import shipped
from llmmesh.router.v1 import router_pb2_grpc

from catalog.admission import read_admitted
from llm_mesh import AsyncClient, Client, ClientTls
from meshkit import credentials, identity
from meshkit.api_key import ApiKey, keyed_hash, mint
from meshkit.boundary import Boundary
from meshkit.errors import MeshError, Reason
from meshkit.identity import LOCAL, Caller
from meshkit.secret import Secret
from meshkit.server import GrpcServer
from meshkit.tls import ServerTls
from router_service.doorkeeper import Doorkeeper

PEPPER = Secret("pepper of the tests, long enough")
BOOTSTRAP = Secret("bootstrap")
ALICES, BOBS, OPERATORS = mint(), mint(), mint()
NAMES = {
    "search": ("URI:spiffe://mesh.example/search",),
    "batch": ("DNS:Batch.Example",),
    "steward": ("DNS:steward.example", "DNS:batch.example"),
    "both": ("DNS:batch.example", "DNS:other.example"),
    "stranger": ("DNS:stranger.example",),
    # A name that is listed, in places that name nobody here: a mail address and the subject.
    "spiffe://mesh.example/search": ("email:batch.example@mesh.example",),
}
CERTIFICATES = """
certificates:
  - {name: "spiffe://mesh.example/search", tenant: alice}
  - {name: batch.example, tenant: alice}
  - {name: steward.example, tenant: alice, scopes: [caller, operator]}
  - {name: other.example, tenant: bob}
"""


class Whoami(FakeMesh):
    """Remembers as whom each call was admitted."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Caller] = []

    def _note(self, request, context) -> None:
        self.callers.append(identity.current.get())
        super()._note(request, context)


@pytest.fixture(scope="module")
def signed(tmp_path_factory) -> Authority:
    made = authority(tmp_path_factory.mktemp("certificates"))
    made.sign("router", "IP:127.0.0.1", "DNS:localhost")
    for name, names in NAMES.items():
        made.sign(name.replace("/", "_"), *names)
    return made


@pytest.fixture
async def door(tmp_path, signed) -> AsyncIterator[Whoami]:
    path = tmp_path / "tenants.yaml"
    rows = [(ALICES, "alice", ""), (BOBS, "bob", ""), (OPERATORS, "alice", ", scopes: [operator]")]
    keys = "".join(
        f'  - {{id: "{key.id}", tenant: {tenant}, hash: "{keyed_hash(key, PEPPER)}"{more}}}\n'
        for key, tenant, more in rows
    )
    path.write_text(f"tenants: {{alice: {{}}, bob: {{}}}}\nkeys:\n{keys}{CERTIFICATES}", encoding="utf-8")
    env = {"MESH_KEY_PEPPER": PEPPER.reveal()}
    keeper = Doorkeeper(read_admitted(path, shipped(), env), ManualClock(NOON / 1_000), BOOTSTRAP)
    async with serving(signed, keeper, certified=True) as mesh:
        yield mesh


@asynccontextmanager
async def serving(signed: Authority, keeper: Doorkeeper, *, certified: bool) -> AsyncIterator[Whoami]:
    mesh = Whoami()
    directory = signed.directory
    files = ServerTls(directory / "router.pem", directory / "router.key", signed.cert if certified else None)
    async with GrpcServer(
        "127.0.0.1:0",
        [lambda server: router_pb2_grpc.add_RouterServiceServicer_to_server(mesh, server)],
        ["llmmesh.router.v1.RouterService"],
        boundary=Boundary(keeper.authenticate, certified=certified),
        credentials=credentials.of_server(files, "addresses.router.tls"),
    ) as server:
        mesh.address = f"127.0.0.1:{server.port}"
        yield mesh


def files(signed: Authority, name: str) -> ClientTls:
    stem = name.replace("/", "_")
    return ClientTls(signed.cert, signed.directory / f"{stem}.pem", signed.directory / f"{stem}.key")


async def admitted(mesh: Whoami, tls: ClientTls, key: ApiKey | str = "") -> Caller:
    text = key if isinstance(key, str) else key.text().reveal()
    async with AsyncClient(mesh.address, api_key=text, tls=tls, timeout=30) as client:
        await client.generate("hello")
    return mesh.callers[-1]


async def refused(mesh: Whoami, tls: ClientTls, key: ApiKey | str = "") -> MeshError:
    with pytest.raises(MeshError) as caught:
        await admitted(mesh, tls, key)
    assert mesh.callers == []
    return caught.value


@pytest.mark.parametrize(
    ("name", "caller"),
    [
        ("search", Caller("alice")),
        ("batch", Caller("alice")),
        ("steward", Caller("alice", operator=True)),
    ],
)
async def test_a_certificate_admits_as_the_tenant_its_names_stand_for(door, signed, name, caller):
    assert await admitted(door, files(signed, name)) == caller


async def test_the_client_that_waits_shows_its_certificate_too(door, signed):
    def ask() -> str:
        with Client(door.address, tls=files(signed, "search"), timeout=30) as client:
            return "".join(piece.text for piece in client.stream("hello"))

    assert await asyncio.to_thread(ask) == "Hello, world."
    assert door.callers == [Caller("alice")]


async def test_a_key_beside_a_certificate_is_of_the_same_tenant_and_adds_its_scopes(door, signed):
    assert await admitted(door, files(signed, "search"), ALICES) == Caller("alice")
    assert await admitted(door, files(signed, "search"), OPERATORS) == Caller("alice", operator=True)
    assert await admitted(door, files(signed, "steward"), ALICES) == Caller("alice", operator=True)


@pytest.mark.parametrize("key", [BOBS, mint(), BOOTSTRAP.reveal(), "nonsense"])
async def test_a_key_of_anybody_else_beside_a_certificate_is_refused_in_the_usual_words(door, signed, key):
    told = await refused(door, files(signed, "search"), key)
    assert (told.reason, told.message) == (Reason.UNAUTHENTICATED, "the caller's key is missing or wrong")


async def test_a_certificate_nobody_listed_opens_nothing_and_its_holder_needs_a_key(door, signed):
    told = await refused(door, files(signed, "stranger"))
    assert told.reason is Reason.UNAUTHENTICATED
    assert await admitted(door, files(signed, "stranger"), BOBS) == Caller("bob")
    assert await admitted(door, files(signed, "stranger"), BOOTSTRAP.reveal()) == LOCAL


async def test_names_of_two_tenants_in_one_certificate_open_nothing(door, signed):
    assert (await refused(door, files(signed, "both"))).reason is Reason.UNAUTHENTICATED
    assert (await refused(door, files(signed, "both"), ALICES)).reason is Reason.UNAUTHENTICATED


async def test_neither_the_subject_nor_a_mail_address_is_a_name(door, signed):
    told = await refused(door, files(signed, "spiffe://mesh.example/search"))
    assert told.reason is Reason.UNAUTHENTICATED


async def test_without_a_certificate_of_that_authority_nobody_comes_as_far_as_the_keys(door, signed, tmp_path):
    other = authority(tmp_path, "other")
    cert, key = other.sign("search", *NAMES["search"])
    for tls in (ClientTls(signed.cert), ClientTls(signed.cert, cert, key)):
        told = await refused(door, tls, ALICES)
        assert told.code == "UNAVAILABLE"


async def test_a_client_does_not_speak_to_a_router_its_authority_has_not_signed(door, signed, tmp_path):
    other = authority(tmp_path, "other")
    mine = files(signed, "search")
    told = await refused(door, ClientTls(other.cert, mine.cert, mine.key))
    assert told.code == "UNAVAILABLE"


async def test_metadata_that_claims_a_certificate_is_no_certificate(signed, tmp_path):
    path = tmp_path / "tenants.yaml"
    path.write_text(f"tenants: {{alice: {{}}, bob: {{}}}}\n{CERTIFICATES}", encoding="utf-8")
    keeper = Doorkeeper(read_admitted(path, shipped(), {}), ManualClock(NOON / 1_000))
    async with serving(signed, keeper, certified=False) as mesh:
        trusted = credentials.of_client(ClientTls(signed.cert))
        async with grpc.aio.secure_channel(mesh.address, trusted) as channel:
            call = channel.unary_unary("/llmmesh.router.v1.RouterService/ListModels")
            claimed = (("peer_uri", "spiffe://mesh.example/search"), ("x-forwarded-client-cert", "By=spiffe://x"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", metadata=claimed, timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert mesh.callers == []


def test_the_environment_names_a_clients_files(monkeypatch, signed):
    monkeypatch.setenv("MESH_TLS_CA", str(Path("/nowhere/ca.pem")))
    with pytest.raises(Exception, match=r"TLS ca: /nowhere/ca\.pem cannot be read: No such file"):
        Client("127.0.0.1:1")
