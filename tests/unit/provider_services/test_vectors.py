"""What each dialect makes of a request for vectors beyond the texts: what they are for, how the numbers travel."""

import base64
import json
from typing import Any

import grpc
import pytest
from aiohttp import web
from fixtures.provider import provider, served
from fixtures.vendor_server import http_vendor
from llmmesh.chat.v1.chat_pb2 import InputKind
from llmmesh.provider.v1.provider_pb2 import EmbedRequest, Target
from llmmesh.provider.v1.provider_pb2_grpc import ProviderServiceStub
from prometheus_client import REGISTRY

from meshkit import status
from meshkit.channel import open_channel
from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, HttpReply

UNSAID, DOCUMENT, QUERY, CLASSIFICATION, CLUSTERING = InputKind.values()
UNTOLD = ["openai", "responses", "ollama", "gemini"]


def asked(kind: Any, *quirks: str, **more: Any) -> EmbedCall:
    return EmbedCall("acme", "e1", frozenset(quirks), kind=kind, texts=["a", "b"], **more)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (UNSAID, {"cohere": "search_document", "gemini": None}),
        (DOCUMENT, {"cohere": "search_document", "gemini": "RETRIEVAL_DOCUMENT"}),
        (QUERY, {"cohere": "search_query", "gemini": "RETRIEVAL_QUERY"}),
        (CLASSIFICATION, {"cohere": "classification", "gemini": "CLASSIFICATION"}),
        (CLUSTERING, {"cohere": "clustering", "gemini": "CLUSTERING"}),
    ],
)
def test_a_model_that_wants_to_know_what_a_text_is_for_is_told(kind: Any, words: dict[str, str | None]) -> None:
    cohere = DIALECTS["cohere"].encode_embed(asked(kind))
    assert json.loads(cohere.body)["input_type"] == words["cohere"]
    gemini = DIALECTS["gemini"].encode_embed(asked(kind, "task_types"))
    assert [one.get("taskType") for one in json.loads(gemini.body)["requests"]] == [words["gemini"]] * 2
    assert (cohere.warnings, gemini.warnings) == ((), ())


@pytest.mark.parametrize("dialect", UNTOLD)
def test_where_a_model_is_not_told_what_a_text_is_for_the_caller_is(dialect: str) -> None:
    silent, told = (DIALECTS[dialect].encode_embed(asked(kind)) for kind in (UNSAID, QUERY))
    assert silent.body == told.body
    assert silent.warnings == ()
    (warning,) = told.warnings
    assert (warning.code, warning.field) == ("dropped", "input_kind")


def test_vectors_may_travel_as_bytes_and_are_the_same_numbers() -> None:
    dialect = DIALECTS["openai"]
    forms = [
        json.loads(dialect.encode_embed(asked(UNSAID, *q)).body)["encoding_format"] for q in ((), ("base64_vectors",))
    ]
    assert forms == ["float", "base64"]
    rows = {"numbers": [[1, 2], [3, 4]], "bytes": ["AACAPwAAAEA=", "AABAQAAAgEA="]}
    read = {}
    for form, vectors in rows.items():
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        body = json.dumps({"data": data, "model": "e1-0042", "usage": {"prompt_tokens": 2}}).encode()
        read[form] = dialect.decode_embed(asked(UNSAID), HttpReply(200, {}, body))
    assert read["numbers"] == read["bytes"]
    assert read["bytes"].vendor_model == "e1-0042"


def test_a_text_too_long_for_a_local_model_is_an_error_and_never_cut_in_silence() -> None:
    assert json.loads(DIALECTS["ollama"].encode_embed(asked(UNSAID)).body)["truncate"] is False
    refusal = HttpReply(400, {}, b'{"error":"the input length exceeds the context length"}')
    assert DIALECTS["ollama"].classify(asked(UNSAID), refusal).reason == "VENDOR_CONTEXT"


SMALL = "text-embedding-3-small"


def vendor_of(vector: str) -> Any:
    """Answer every request with this vector for each text."""

    async def handler(request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        data = [{"index": index, "embedding": vector} for index in range(len(asked["input"]))]
        return web.json_response({"data": data, "model": "e1-0042", "usage": {"prompt_tokens": 7, "total_tokens": 7}})

    return http_vendor(handler)


async def test_over_grpc_vectors_come_with_the_vendors_own_model_and_with_what_was_dropped() -> None:
    async with vendor_of("AACAPwAAAEA=") as url, provider("openai", url) as stub:
        request = EmbedRequest(target=Target(model=SMALL), texts=["a"], input_kind=QUERY)
        response = await stub.Embed(request, timeout=10)
    assert list(response.embeddings[0].values) == [1, 2]
    assert (response.vendor_model, response.usage.input_tokens) == ("e1-0042", 7)
    assert [warning.field for warning in response.warnings] == ["input_kind"]


async def test_a_kind_of_a_newer_contract_is_refused() -> None:
    async with provider("openai", "http://127.0.0.1:9") as stub:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Embed(EmbedRequest(target=Target(model=SMALL), texts=["a"], input_kind=99), timeout=10)  # type: ignore[arg-type]
    error = status.from_rpc_error(raised.value)
    assert (error.reason, error.fields[0].field) == (Reason.INVALID_REQUEST, "input_kind")


async def test_the_largest_request_there_is_comes_back_whole() -> None:
    vector = base64.b64encode(bytes(4 * 3072)).decode()
    async with vendor_of(vector) as url, served("openai", url) as address, open_channel(address) as channel:
        request = EmbedRequest(target=Target(model="text-embedding-3-large"), texts=["a"] * 2048)
        response = await ProviderServiceStub(channel).Embed(request, timeout=60)
    assert {len(embedding.values) for embedding in response.embeddings} == {3072}
    assert len(response.embeddings) == 2048


async def test_calls_for_vectors_are_measured_as_embeddings_that_have_no_output() -> None:
    def counted(kind: str) -> float | None:
        labels = {"gen_ai_operation_name": "embeddings", "gen_ai_provider_name": "openai"}
        model = {"gen_ai_request_model": SMALL, "gen_ai_token_type": kind}
        return REGISTRY.get_sample_value("gen_ai_client_token_usage_sum", labels | model)

    before = counted("input") or 0
    async with vendor_of("AACAPwAAAEA=") as url, provider("openai", url) as stub:
        await stub.Embed(EmbedRequest(target=Target(model=SMALL), texts=["a"]), timeout=10)
    assert counted("input") == before + 7
    assert counted("output") is None
