"""The Python client: what it asks, what it returns, and which errors it raises, over a real channel."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fixtures.fake_mesh import FakeMesh, fake_mesh
from llmmesh.router.v1 import router_pb2

import llm_mesh
from llm_mesh import AsyncClient, Client, failures
from llm_mesh.questions import Options, generate_request
from meshkit.errors import FieldViolation, MeshError, QuotaViolation, Reason


@pytest.fixture
async def mesh() -> AsyncIterator[FakeMesh]:
    async with fake_mesh() as running:
        running.scripts["alpha/a-1"] = "Hello, world."
        yield running


async def waiting(mesh: FakeMesh, use):
    """Run what uses the client that waits, in a thread of its own."""

    def run():
        with Client(mesh.address, api_key="mesh_0_secret") as client:
            return use(client)

    return await asyncio.to_thread(run)


async def test_a_whole_answer_is_its_text_its_cost_and_its_route(mesh):
    answer = await waiting(mesh, lambda client: client.generate("Say hello.", model="alpha/a-1"))
    assert answer.text == "Hello, world."
    assert answer.route.offer == "alpha/a-1#1"
    assert answer.cost_usd == answer.completion.usage.cost_nanos / 1e9


async def test_what_is_said_reaches_the_router_with_the_key(mesh):
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    said = {"use_case": "analysis", "tier": "economy", "data_policy": "local_only", "guarantee": "whole"}
    await waiting(
        mesh,
        lambda client: client.generate(
            turns, system="be brief", max_tokens=9, temperature=0.5, max_cost_usd=0.01, labels={"a": "b"}, **said
        ),
    )
    (request,) = mesh.asked
    said_text = [part.text.text for message in request.prompt.messages for part in message.parts]
    assert said_text == ["be brief", "one", "two"]
    assert (request.prompt.sampling.max_output_tokens, request.prompt.sampling.temperature) == (9, 0.5)
    assert request.intent == router_pb2.Intent(
        use_case="analysis",
        tier=router_pb2.TIER_ECONOMY,
        data_policy=router_pb2.DATA_POLICY_LOCAL_ONLY,
        stream_guarantee=router_pb2.STREAM_GUARANTEE_WHOLE,
        max_cost_nanos=10_000_000,
        labels={"a": "b"},
    )
    assert mesh.metadata[0]["authorization"] == "Bearer mesh_0_secret"


async def test_a_stream_comes_piece_by_piece_and_ends_with_its_route(mesh):
    pieces = await waiting(mesh, lambda client: list(client.stream("Say hello.", model="alpha/a-1")))
    assert "".join(piece.text for piece in pieces) == "Hello, world."
    assert len(pieces) > 2
    assert [piece.route is not None for piece in pieces] == [False] * (len(pieces) - 1) + [True]


async def test_leaving_a_stream_cancels_it(mesh):
    mesh.hang_after = 2

    def first(client):
        pieces = client.stream("Say hello.")
        text = next(pieces).text
        pieces.close()
        return text

    assert await waiting(mesh, first) == "Hello"
    await asyncio.wait_for(mesh.closed.wait(), 30)


async def test_a_stream_without_its_finish_is_an_error(mesh):
    mesh.scripts["cut"] = lambda request: [router_pb2.StreamGenerateResponse(start={"offer": "cut#1"})]
    with pytest.raises(failures.StreamIncompleteError):
        await waiting(mesh, lambda client: list(client.stream("x", model="cut")))


async def test_a_second_start_voids_what_came_before(mesh):
    start = router_pb2.StreamGenerateResponse(start={"offer": "a#1"})
    finish = router_pb2.StreamGenerateResponse(finish={})
    mesh.scripts["again"] = lambda request: [start, start, finish]
    pieces = await waiting(mesh, lambda client: list(client.stream("x", model="again")))
    assert [piece.void for piece in pieces] == [True, False]


async def test_texts_become_vectors(mesh):
    told = await waiting(mesh, lambda client: client.embed(["a text"]))
    assert told.vectors[0] == pytest.approx((0.6, 0.8))
    assert told.cost_usd == pytest.approx(9e-6)


async def test_a_route_can_be_explained(mesh):
    assert await waiting(mesh, lambda client: client.explain(use_case="analysis")) == mesh.plan


ERRORS = [
    (MeshError(Reason.UNAUTHENTICATED, "no"), failures.UnauthenticatedError),
    (MeshError(Reason.FORBIDDEN, "no"), failures.ForbiddenError),
    (MeshError(Reason.INVALID_REQUEST, "no", fields=[FieldViolation("prompt", "x")]), failures.InvalidRequestError),
    (MeshError(Reason.UNKNOWN_MODEL, "no"), failures.NotFoundError),
    (
        MeshError(Reason.BUDGET_EXHAUSTED, "no", quota=[QuotaViolation("a", "b")], retry_after=2),
        failures.BudgetExhaustedError,
    ),
    (MeshError(Reason.NO_OFFER, "no"), failures.NoOfferError),
    (MeshError(Reason.ROUTE_EXHAUSTED, "no"), failures.UnavailableError),
    (MeshError(Reason.REQUEST_RUNNING, "no"), failures.RepeatedError),
    (MeshError(Reason.VENDOR_THROTTLED, "no"), failures.BudgetExhaustedError),
    (MeshError(Reason.INTERNAL, "no"), MeshError),
]


@pytest.mark.parametrize(("sent", "kind"), ERRORS, ids=[error.reason for error, _ in ERRORS])
async def test_each_reason_is_an_error_of_its_class_with_all_it_carries(mesh, sent, kind):
    mesh.error = sent
    with pytest.raises(MeshError) as caught:
        await waiting(mesh, lambda client: client.generate("x"))
    error = caught.value
    assert type(error) is kind
    assert (error.reason, error.message, error.retry_after) == (sent.reason, "no", sent.retry_after)
    assert (error.fields, error.quota) == (sent.fields, sent.quota)


async def test_nobody_there_is_unavailable_and_a_short_deadline_is_told(mesh):
    with pytest.raises(failures.UnavailableError):
        await asyncio.to_thread(lambda: Client("127.0.0.1:9").generate("x"))
    mesh.hang_after = 1
    with pytest.raises(failures.DeadlineExceededError):
        await waiting(mesh, lambda client: list(client.stream("x", timeout=1)))


async def test_the_one_for_asyncio_answers_alike(mesh):
    async with AsyncClient(mesh.address) as client:
        assert (await client.generate("x", model="alpha/a-1")).text == "Hello, world."
        pieces = [piece async for piece in client.stream("x", model="alpha/a-1")]
        assert "".join(piece.text for piece in pieces) == "Hello, world."
        assert (await client.embed(["x"])).vectors[0] == pytest.approx((0.6, 0.8))
        mesh.error = MeshError(Reason.FORBIDDEN, "no")
        with pytest.raises(failures.ForbiddenError):
            await client.generate("x")


@pytest.mark.parametrize(
    ("messages", "options", "told"),
    [
        ("", {}, "messages: at least one turn is needed"),
        ([{"role": "judge", "content": "x"}], {}, r"messages\[0\]: a turn is"),
        ([{"role": "user", "content": 3}], {}, r"messages\[0\]: a turn is"),
        ([{"role": "user", "content": "x", "name": "y"}], {}, r"messages\[0\]: a turn is"),
        ("x", {"tier": "cheap"}, "tier: `cheap` is not known; allowed: free, ultra_economy"),
        ("x", {"data_policy": "none"}, "data_policy: `none` is not known; allowed: local_only, no_training"),
        ("x", {"guarantee": "slow"}, "guarantee: `slow` is not known; allowed: fast, whole, restart"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(messages, options, told):
    with pytest.raises(ValueError, match=told):
        generate_request(messages, Options(**options))


def test_a_key_is_in_no_repr_and_an_unknown_name_is_none():
    assert "mesh_0_secret" not in repr(Client("127.0.0.1:9", api_key="mesh_0_secret"))
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = llm_mesh.Server
