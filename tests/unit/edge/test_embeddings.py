"""POST /v1/embeddings as its protocol has it: the official client is understood, and reads what was meant."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from fixtures.fake_router import FakeRouter, vectors
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2
from openai import AsyncOpenAI

from meshkit import identity
from meshkit.errors import FieldViolation, MeshError, Reason
from meshkit.secret import Secret
from router_service.edge.server import EdgeServer

PATH = "/v1/embeddings"
TWO = vectors([0.5, -1.25], [3.0, 0.1])


@asynccontextmanager
async def client(router: FakeRouter, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    async with EdgeServer("127.0.0.1:0", router, **options) as edge:
        base_url = f"http://127.0.0.1:{edge.port}/v1"
        async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as official:
            yield official


async def posted(router: FakeRouter, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    async with (
        EdgeServer("127.0.0.1:0", router) as edge,
        aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as http,
        http.post(PATH, data=body if isinstance(body, bytes) else json.dumps(body), headers=headers) as response,
    ):
        return response.status, await response.json()


async def test_the_official_client_gets_its_vectors_without_saying_how_they_should_travel() -> None:
    router = FakeRouter(answer=TWO)
    async with client(router) as official:
        reply = await official.embeddings.create(model="acme/parrot-1", input=["one", "two"], dimensions=2)
    assert [list(row.embedding) for row in reply.data] == [[0.5, -1.25], [3.0, pytest.approx(0.1)]]
    assert [(row.object, row.index) for row in reply.data] == [("embedding", 0), ("embedding", 1)]
    assert (reply.object, reply.model) == ("list", "parrot-1")
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (20, 20)
    mesh = reply.model_extra["llm_mesh"]  # type: ignore[index]
    assert (mesh["offer"], mesh["use_case"], mesh["cost_usd"]) == ("acme/parrot-1#1", "embedding", 0.00001475)
    asked = router.request
    assert (list(asked.texts), asked.dimensions, asked.intent.model) == (["one", "two"], 2, "acme/parrot-1")


async def test_numbers_come_as_numbers_unless_base64_is_asked_for() -> None:
    _, numbers = await posted(FakeRouter(answer=TWO), {"input": "one"})
    _, said = await posted(FakeRouter(answer=TWO), {"input": "one", "encoding_format": "float"})
    _, packed = await posted(FakeRouter(answer=TWO), {"input": "one", "encoding_format": "base64"})
    assert numbers["data"] == said["data"]
    assert numbers["data"][0]["embedding"] == [0.5, -1.25]
    unpacked = [struct.unpack("<2f", base64.b64decode(row["embedding"])) for row in packed["data"]]
    assert unpacked == [tuple(row["embedding"]) for row in numbers["data"]]


async def test_the_reply_names_request_offer_and_exact_cost_in_headers() -> None:
    async with client(FakeRouter(answer=TWO)) as official:
        raw = await official.embeddings.with_raw_response.create(
            model="auto", input="one", extra_headers={"x-request-id": "mine-1"}
        )
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-llm-mesh-offer"] == "acme/parrot-1#1"
    assert raw.headers["x-llm-mesh-cost-usd"] == "0.00001475"


@pytest.mark.parametrize(
    ("body", "intent"),
    [
        ({"model": "auto"}, {}),
        ({}, {}),
        ({"model": "use_case:search/free"}, {"use_case": "search", "tier": router_pb2.TIER_FREE}),
        ({"model": "text-embedding-3-small"}, {"model": "text-embedding-3-small"}),
        ({"model": "parrot-1", "provider": "acme"}, {"model": "acme/parrot-1"}),
        ({"model": "parrot-1", "fallback": True}, {"preferred_model": "parrot-1"}),
        (
            {"llm_mesh": {"use_case": "search", "deny_vendors": ["acme"]}},
            {"use_case": "search", "deny_vendors": ["acme"]},
        ),
    ],
)
async def test_the_model_s_name_says_what_the_vectors_are_for(body: dict[str, Any], intent: dict[str, Any]) -> None:
    router = FakeRouter(answer=TWO)
    assert (await posted(router, {"input": "one", **body}))[0] == 200
    assert router.request.intent == router_pb2.Intent(**intent)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (None, chat_pb2.INPUT_KIND_UNSPECIFIED),
        ("document", chat_pb2.INPUT_KIND_DOCUMENT),
        ("passage", chat_pb2.INPUT_KIND_DOCUMENT),
        ("search_document", chat_pb2.INPUT_KIND_DOCUMENT),
        ("query", chat_pb2.INPUT_KIND_QUERY),
        ("search_query", chat_pb2.INPUT_KIND_QUERY),
        ("classification", chat_pb2.INPUT_KIND_CLASSIFICATION),
        ("clustering", chat_pb2.INPUT_KIND_CLUSTERING),
    ],
)
async def test_what_a_text_is_for_may_be_said(word: str | None, kind: Any) -> None:
    router = FakeRouter(answer=TWO)
    assert (await posted(router, {"input": "one", "input_type": word}))[0] == 200
    assert router.request.input_kind == kind


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({}, "input", "must be a text or a list of texts, and not empty"),
        ({"input": None}, "input", "not empty"),
        ({"input": ""}, "input", "must be a text that is not empty"),
        ({"input": []}, "input", "not empty"),
        ({"input": ["one", ""]}, "input[1]", "must be a text that is not empty"),
        ({"input": ["one", None]}, "input[1]", "must be a text that is not empty"),
        ({"input": [1, 2, 3]}, "input", "token ids are those of one vendor's models: send the text itself"),
        ({"input": [[1, 2], [3]]}, "input", "token ids are those of one vendor's models: send the text itself"),
        ({"input": {"text": "one"}}, "input", "must be a list, not an object"),
        ({"input": ["a"] * 2049}, "input", "must not have more than 2048 items"),
        ({"input": "a", "dimensions": 0}, "dimensions", "must be between 1 and 65536"),
        ({"input": "a", "dimensions": 1.5}, "dimensions", "must be a whole number"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "must be one of float, base64"),
        ({"input": "a", "input_type": "poem"}, "input_type", "must be one of document, query"),
        ({"input": "a", "llm_mesh": {"tier": "golden"}}, "llm_mesh.tier", "must be one of free"),
        ({"input": "a", "models": ["x"]}, "models", "vectors of different models cannot be compared"),
        (b'{"input": ', "body", "is not JSON"),
    ],
)
async def test_a_body_that_cannot_be_right_is_400_and_names_the_field(body: Any, param: str, says: str) -> None:
    router = FakeRouter()
    status, reply = await posted(router, body)
    error = reply["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert says in error["message"]
    assert router.requests == []


async def test_what_nobody_reads_is_warned_of_and_the_user_s_name_is_nobody_s_business() -> None:
    answer = vectors(
        [1.0], warnings=[chat_pb2.Warning(code="dropped", field="input_kind")], vendor_model="parrot-1-0042"
    )
    _, reply = await posted(FakeRouter(answer=answer), {"input": "one", "user": "u1", "temperature": 0.5})
    assert [warning["field"] for warning in reply["llm_mesh"]["warnings"]] == ["temperature", "input_kind"]
    assert reply["llm_mesh"]["vendor_model"] == "parrot-1-0042"


async def test_the_router_s_objection_names_the_field_of_the_body() -> None:
    fields = [FieldViolation("texts", "too many for every candidate"), FieldViolation("intent.model", "unknown")]
    error = MeshError(Reason.VENDOR_UNSUPPORTED, "too many for every candidate", fields=fields)
    async with client(FakeRouter(answer=error)) as official:
        with pytest.raises(openai.BadRequestError) as caught:
            await official.embeddings.create(model="auto", input=["one"])
    assert (caught.value.param, caught.value.code) == ("input", "vendor_unsupported")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.BUDGET_EXHAUSTED, openai.RateLimitError),
        (Reason.UNKNOWN_MODEL, openai.NotFoundError),
        (Reason.ROUTE_EXHAUSTED, openai.InternalServerError),
    ],
)
async def test_a_failure_is_the_client_s_own_exception(reason: Reason, kind: type[openai.APIStatusError]) -> None:
    async with client(FakeRouter(answer=MeshError(reason, "so it is"))) as official:
        with pytest.raises(kind, match="so it is"):
            await official.embeddings.create(model="auto", input=["one"])


async def test_the_key_is_checked() -> None:
    async with client(FakeRouter(answer=TWO), authenticate=identity.with_key(Secret("right"))) as official:
        with pytest.raises(openai.AuthenticationError):
            await official.embeddings.create(model="auto", input="one")
        await official.with_options(api_key="right").embeddings.create(model="auto", input="one")


async def test_a_request_that_outlives_its_deadline_is_a_timeout() -> None:
    status, reply = await posted(FakeRouter(), {"input": "one"}, **{"x-request-timeout": "0.05"})
    assert (status, reply["error"]["code"]) == (504, "deadline_exceeded")
