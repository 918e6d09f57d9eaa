"""The official client works against the edge by its base URL alone."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from fixtures.fake_router import FakeRouter, answer, deltas, finish, route, start, usage
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2
from openai import AsyncOpenAI
from pydantic import BaseModel

from meshkit import identity
from meshkit.errors import MeshError, QuotaViolation, Reason, invalid
from meshkit.secret import Secret
from router_service.edge.server import EdgeServer

HELLO: list[Any] = [{"role": "user", "content": "Say hello in one sentence"}]
WEATHER: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            "strict": True,
        },
    }
]
CALL = chat_pb2.Part(tool_call=chat_pb2.ToolCall(id="c1", name="weather", arguments_json='{"city":"Oslo"}'))
SIGNED = chat_pb2.ProviderData(vendor="acme", model="parrot-1", data=b"\x00signature")


class Fruit(BaseModel):
    name: str
    sweet: bool


@asynccontextmanager
async def client(router: FakeRouter, key: str = "any", **options: Any) -> AsyncIterator[AsyncOpenAI]:
    async with EdgeServer("127.0.0.1:0", router, **options) as edge:
        base_url = f"http://127.0.0.1:{edge.port}/v1"
        async with AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as official:
            yield official


async def test_a_completion_has_text_usage_model_and_the_mesh_s_own_account() -> None:
    router = FakeRouter(answer=answer("Hello there."))
    async with client(router) as official:
        reply = await official.chat.completions.create(model="acme/parrot-1", messages=HELLO, temperature=0.5)
    assert reply.choices[0].message.content == "Hello there."
    assert (reply.model, reply.choices[0].finish_reason) == ("parrot-1", "stop")
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (20, 25)
    mesh = reply.model_extra["llm_mesh"]  # type: ignore[index]
    assert mesh["vendor"] == "acme"
    assert mesh["cost_usd"] == 0.00001475
    assert mesh["attempts"][0]["outcome"] == "served"
    assert router.request.intent.model == "acme/parrot-1"
    assert router.request.prompt.sampling.temperature == 0.5


async def test_headers_of_a_whole_reply_name_request_offer_and_exact_cost() -> None:
    async with client(FakeRouter(answer=answer("hi"))) as official:
        raw = await official.chat.completions.with_raw_response.create(
            model="auto", messages=HELLO, extra_headers={"x-request-id": "mine-1"}
        )
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-llm-mesh-offer"] == "acme/parrot-1#1"
    assert raw.headers["x-llm-mesh-cost-usd"] == "0.00001475"
    assert b'"cost_usd":0.00001475,' in raw.content


async def test_a_stream_arrives_piece_by_piece_and_ends_with_its_reason() -> None:
    async with client(FakeRouter(steps=[start(), deltas("Hel"), deltas("lo", "!"), finish()])) as official:
        stream = await official.chat.completions.create(model="auto", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello!"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert {chunk.model for chunk in chunks} == {"parrot-1"}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert chunks[-1].model_extra["llm_mesh"]["offer"] == "acme/parrot-1#1"  # type: ignore[index]


async def test_a_stream_says_its_usage_in_a_last_chunk_without_choices_when_asked() -> None:
    async with client(FakeRouter(steps=[start(), deltas("Hi"), finish()])) as official:
        stream = await official.chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 25
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_the_streaming_helper_gathers_text_tool_calls_and_sources() -> None:
    pieces = [
        start(),
        deltas(chat_pb2.Delta(part_index=0, reasoning="Where? ")),
        deltas(chat_pb2.Delta(part_index=1, text="Let me look.")),
        deltas(chat_pb2.Delta(part_index=1, citation=chat_pb2.Citation(uri="https://a.example", title="A"))),
        deltas(chat_pb2.Delta(part_index=2, tool_call=chat_pb2.ToolCall(id="c1", name="weather"))),
        deltas(chat_pb2.Delta(part_index=2, tool_arguments='{"city":')),
        deltas(chat_pb2.Delta(part_index=2, tool_arguments='"Oslo"}')),
        deltas(chat_pb2.Delta(part_index=3, tool_call=chat_pb2.ToolCall(id="c2", name="weather", arguments_json="{}"))),
        finish(chat_pb2.FINISH_REASON_TOOL_CALLS),
    ]
    async with (
        client(FakeRouter(steps=pieces)) as official,
        official.chat.completions.stream(model="auto", messages=HELLO, tools=WEATHER) as stream,
    ):
        final = await stream.get_final_completion()
    message = final.choices[0].message
    assert message.content == "Let me look."
    calls = message.tool_calls or []
    assert [(call.id, call.function.arguments) for call in calls] == [("c1", '{"city":"Oslo"}'), ("c2", "{}")]
    assert message.annotations is not None
    assert message.annotations[0].url_citation.end_index == 12
    assert message.model_extra["reasoning_content"] == "Where? "  # type: ignore[index]


async def test_tools_go_in_calls_come_out_and_their_results_go_back_by_name() -> None:
    router = FakeRouter(answer=answer(CALL, reason=chat_pb2.FINISH_REASON_TOOL_CALLS))
    async with client(router) as official:
        reply = await official.chat.completions.create(
            model="auto", messages=HELLO, tools=WEATHER, tool_choice="required", parallel_tool_calls=False
        )
        message = reply.choices[0].message
        assert message.content is None
        assert message.tool_calls is not None
        router.answer = answer("It snows.")
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "snow"}
        again = await official.chat.completions.create(
            model="auto", messages=[*HELLO, message.model_dump(), result], tools=WEATHER
        )
    prompt = router.requests[0].prompt
    assert prompt.tools[0].parameters_json == json.dumps(WEATHER[0]["function"]["parameters"], separators=(",", ":"))
    assert prompt.tool_choice.mode == chat_pb2.ToolChoice.MODE_REQUIRED
    assert prompt.parallel_tool_calls is False
    assert prompt.HasField("parallel_tool_calls")
    back = router.request.prompt.messages
    assert back[1].parts[0].tool_call.arguments_json == '{"city":"Oslo"}'
    assert back[2].parts[0].tool_result == chat_pb2.ToolResult(tool_call_id="c1", name="weather", text="snow")
    assert again.model_extra["llm_mesh"]["warnings"] == []  # type: ignore[index]


async def test_parse_sends_a_schema_and_returns_an_object_of_it() -> None:
    router = FakeRouter(answer=answer('{"name":"plum","sweet":true}'))
    async with client(router) as official:
        reply = await official.chat.completions.parse(model="auto", messages=HELLO, response_format=Fruit)
        echo: Any = reply.choices[0].message.model_dump()
        again = await official.chat.completions.create(model="auto", messages=[*HELLO, echo])
    assert reply.choices[0].message.parsed == Fruit(name="plum", sweet=True)
    assert again.model_extra["llm_mesh"]["warnings"] == []  # type: ignore[index]
    schema = router.requests[0].prompt.response_format.json_schema
    assert (schema.name, schema.strict) == ("Fruit", True)
    assert list(json.loads(schema.schema_json)["properties"]) == ["name", "sweet"]


async def test_vendor_state_survives_a_client_that_sends_the_message_back() -> None:
    parts = [
        chat_pb2.Part(reasoning=chat_pb2.Reasoning(text="hm"), provider_data=SIGNED),
        chat_pb2.Part(text=chat_pb2.Text(text="Look: ")),
        chat_pb2.Part(reasoning=chat_pb2.Reasoning(text="hm again"), provider_data=SIGNED),
        CALL,
    ]
    router = FakeRouter(answer=answer(*parts))
    async with client(router) as official:
        reply = await official.chat.completions.create(model="auto", messages=HELLO)
        message = reply.choices[0].message.model_dump()
        del message["reasoning_content"]
        await official.chat.completions.create(model="auto", messages=[*HELLO, message])  # type: ignore[list-item]
    assert list(router.request.prompt.messages[1].parts) == parts


async def test_vendor_state_of_a_stream_survives_too() -> None:
    pieces = [
        start(),
        deltas(chat_pb2.Delta(part_index=0, reasoning="hm")),
        deltas(chat_pb2.Delta(part_index=0, provider_data=SIGNED)),
        deltas(chat_pb2.Delta(part_index=1, text="So.")),
        finish(),
    ]
    router = FakeRouter(steps=pieces, answer=answer("ok"))
    async with client(router) as official:
        async with official.chat.completions.stream(model="auto", messages=HELLO) as stream:
            message = (await stream.get_final_completion()).choices[0].message.model_dump()
        await official.chat.completions.create(model="auto", messages=[*HELLO, message])  # type: ignore[list-item]
    first, second = router.request.prompt.messages[1].parts
    assert first == chat_pb2.Part(reasoning=chat_pb2.Reasoning(text="hm"), provider_data=SIGNED)
    assert second.text.text == "So."


async def test_an_edited_message_loses_its_vendor_state_with_a_warning() -> None:
    router = FakeRouter(answer=answer(chat_pb2.Part(text=chat_pb2.Text(text="yes"), provider_data=SIGNED)))
    async with client(router) as official:
        message = (await official.chat.completions.create(model="auto", messages=HELLO)).choices[0].message.model_dump()
        message["content"] = "no"
        reply = await official.chat.completions.create(model="auto", messages=[*HELLO, message])  # type: ignore[list-item]
    assert router.request.prompt.messages[1].parts[0] == chat_pb2.Part(text=chat_pb2.Text(text="no"))
    warning = reply.model_extra["llm_mesh"]["warnings"][0]  # type: ignore[index]
    assert warning["field"] == "messages[1].llm_mesh_state"


async def test_probabilities_refusals_and_several_answers_come_through() -> None:
    tokens = [chat_pb2.TokenLogprob(token="é", logprob=float("-inf"), alternatives=[chat_pb2.TokenLogprob(token="e")])]
    choices = [
        chat_pb2.Choice(index=0, parts=answer("é").completion.choices[0].parts, logprobs=tokens),
        chat_pb2.Choice(
            index=1,
            parts=[chat_pb2.Part(refusal=chat_pb2.Refusal(text="I will not."))],
            finish_reason=chat_pb2.FINISH_REASON_CONTENT_FILTER,
        ),
    ]
    spent = usage(cached_input_tokens=7, reasoning_tokens=3)
    completion = chat_pb2.Completion(choices=choices, usage=spent)
    router = FakeRouter(answer=router_pb2.GenerateResponse(completion=completion, route=route()))
    async with client(router) as official:
        reply = await official.chat.completions.create(model="auto", messages=HELLO, n=2, logprobs=True, top_logprobs=1)
    first, second = reply.choices
    assert first.logprobs is not None
    assert first.logprobs.content is not None
    assert first.logprobs.content[0].logprob == -9999.0
    assert first.logprobs.content[0].bytes == [0xC3, 0xA9]
    assert (second.message.content, second.message.refusal) == (None, "I will not.")
    assert second.finish_reason == "content_filter"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens_details is not None
    assert reply.usage.prompt_tokens_details.cached_tokens == 7
    assert reply.usage.completion_tokens_details is not None
    assert reply.usage.completion_tokens_details.reasoning_tokens == 3


async def test_an_image_inside_the_request_becomes_bytes_and_a_link_stays_a_link() -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    content = [
        {"type": "text", "text": "What do you see?"},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/image.jpg"}},
    ]
    router = FakeRouter(answer=answer("a dot"))
    async with client(router) as official:
        await official.chat.completions.create(model="auto", messages=[{"role": "user", "content": content}])  # type: ignore[list-item,misc]
    text, inline, link = router.request.prompt.messages[0].parts
    assert text.text.text == "What do you see?"
    expected = chat_pb2.Image(mime_type="image/png", data=b"\x89PNG", detail=chat_pb2.IMAGE_DETAIL_LOW)
    assert inline.image == expected
    assert link.image.uri == "https://example.com/image.jpg"


SPENT = MeshError(
    Reason.BUDGET_EXHAUSTED,
    "every budget is used up",
    quota=[QuotaViolation("account/acme", "0 of 100 requests left")],
    retry_after=1.2,
)


BUSY, LATE = "service_unavailable_error", "timeout_error"
FAILURES = [
    (SPENT, openai.RateLimitError, (429, "rate_limit_exceeded", "insufficient_quota")),
    (Reason.VENDOR_THROTTLED, openai.RateLimitError, (429, "rate_limit_exceeded", "rate_limit_error")),
    (invalid("n", "too many"), openai.BadRequestError, (400, "invalid_request", "invalid_request_error")),
    (Reason.UNKNOWN_MODEL, openai.NotFoundError, (404, "unknown_model", "not_found_error")),
    (Reason.FORBIDDEN, openai.PermissionDeniedError, (403, "forbidden", "permission_error")),
    (Reason.REQUEST_REPEATED, openai.ConflictError, (409, "request_repeated", "conflict_error")),
    (Reason.REQUEST_RUNNING, openai.ConflictError, (409, "request_running", "conflict_error")),
    (Reason.NO_OFFER, openai.APIStatusError, (503, "no_offer", BUSY)),
    (Reason.VENDOR_NOT_CONFIGURED, openai.APIStatusError, (503, "vendor_not_configured", BUSY)),
    (Reason.DEADLINE_EXCEEDED, openai.APIStatusError, (504, "deadline_exceeded", LATE)),
    (ValueError("sk-secret prompt"), openai.InternalServerError, (500, "internal", "server_error")),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("cause", "kind", "expected"), FAILURES)
async def test_every_failure_before_the_first_piece_is_the_client_s_own_exception(
    cause: Any, kind: type[openai.APIStatusError], expected: tuple[int, str, str], stream: bool
) -> None:
    error = MeshError(cause, "so it is") if isinstance(cause, Reason) else cause
    async with client(FakeRouter(answer=error, steps=[start(), error])) as official:
        with pytest.raises(kind) as caught:
            await official.chat.completions.create(model="auto", messages=HELLO, stream=stream)
    assert (caught.value.status_code, caught.value.code, caught.value.type) == expected
    assert "sk-secret" not in caught.value.response.text
    assert caught.value.body["llm_mesh"]["request_id"] == caught.value.request_id  # type: ignore[index]


async def test_a_failure_says_when_to_come_back_which_budget_is_empty_and_what_was_tried() -> None:
    failure = router_pb2.RouteFailure(
        route=router_pb2.Route(attempts=[router_pb2.Attempt(offer="acme/parrot-1#1", outcome="failed")]),
        partial_usage=usage(),
    )
    error = MeshError(
        SPENT.reason, SPENT.message, quota=SPENT.quota, retry_after=1.2, details=[failure], metadata={"vendor": "acme"}
    )
    async with client(FakeRouter(answer=error)) as official:
        with pytest.raises(openai.RateLimitError) as caught:
            await official.chat.completions.create(model="auto", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "2"
    assert caught.value.response.headers["retry-after-ms"] == "1200"
    mesh = caught.value.body["llm_mesh"]  # type: ignore[index]
    assert mesh["reason"] == "BUDGET_EXHAUSTED"
    assert mesh["budgets"][0]["subject"] == "account/acme"
    assert mesh["attempts"][0]["outcome"] == "failed"
    assert mesh["partial_usage"]["total_tokens"] == 25
    assert mesh["metadata"] == {"vendor": "acme"}


async def test_what_cannot_succeed_is_not_asked_again_by_the_client() -> None:
    router = FakeRouter(answer=MeshError(Reason.VENDOR_NOT_CONFIGURED, "no API key for acme"))
    async with client(router) as official:
        with pytest.raises(openai.InternalServerError, match="no API key for acme"):
            await official.with_options(max_retries=2).chat.completions.create(model="acme/parrot-1", messages=HELLO)
    assert len(router.requests) == 1


async def test_a_stream_that_fails_after_it_began_raises_and_is_never_taken_for_complete() -> None:
    broken = MeshError(Reason.STREAM_INCOMPLETE, "the vendor hung up")
    async with client(FakeRouter(steps=[start(), deltas("Hel"), broken])) as official:
        stream = await official.chat.completions.create(model="auto", messages=HELLO, stream=True)
        assert [(await anext(stream)).choices[0].delta.content for _ in range(2)] == ["", "Hel"]
        with pytest.raises(openai.APIError, match="the vendor hung up") as caught:
            await anext(stream)
    assert caught.value.code == "stream_incomplete"
    assert caught.value.body["llm_mesh"]["reason"] == "STREAM_INCOMPLETE"  # type: ignore[index]


@pytest.mark.parametrize("steps", [[start(), deltas("Hel")], [start(), deltas("Hel"), start(), deltas("Hello")]])
async def test_a_stream_without_its_finish_or_begun_anew_is_incomplete(steps: list[Any]) -> None:
    async with client(FakeRouter(steps=steps)) as official:
        stream = await official.chat.completions.create(model="auto", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError) as caught:
            async for _ in stream:
                pass
    assert caught.value.code == "stream_incomplete"


async def test_the_key_is_checked_in_either_header_and_health_needs_none() -> None:
    router = FakeRouter(answer=answer("hi"))
    authenticate = identity.with_key(Secret("right"))
    async with client(router, key="wrong", authenticate=authenticate) as official:
        with pytest.raises(openai.AuthenticationError) as caught:
            await official.models.list()
        assert caught.value.code == "unauthenticated"
        right = official.with_options(api_key="right")
        await right.chat.completions.create(model="auto", messages=HELLO)
        either = await official.chat.completions.create(
            model="auto", messages=HELLO, extra_headers={"Authorization": "", "X-API-Key": "right"}
        )
    assert either.choices[0].message.content == "hi"
    assert router.callers == [identity.LOCAL, identity.LOCAL]


async def test_models_are_listed_with_price_and_status_and_found_by_either_name() -> None:
    rows = [
        router_pb2.Model(
            id="acme/parrot-1",
            vendor="acme",
            model="parrot-1",
            status="active",
            context_window=128_000,
            input_price_nanos=590_000_000,
            output_price_nanos=0,
            capabilities=["tools"],
            usable=True,
        ),
        router_pb2.Model(
            id="acme/org/dodo", vendor="acme", model="org/dodo", status="retired", retired_on="2024-01-31"
        ),
    ]
    async with client(FakeRouter(models=rows)) as official:
        listed = (await official.models.list()).data
        every = (await official.models.list(extra_query={"all": "true"})).data
        dodo = await official.models.retrieve("acme/org/dodo")
        parrot = await official.models.retrieve("parrot-1")
        with pytest.raises(openai.NotFoundError, match="closest: acme/parrot-1"):
            await official.models.retrieve("acme/parot-1")
    assert [model.id for model in listed] == ["acme/parrot-1"]
    assert [model.id for model in every] == ["acme/parrot-1", "acme/org/dodo"]
    assert listed[0].model_dump()["input_usd_per_1m"] == 0.59
    assert listed[0].model_dump()["output_usd_per_1m"] == 0
    assert listed[0].model_dump()["capabilities"] == ["tools"]
    assert (dodo.model_dump()["input_usd_per_1m"], dodo.shutdown_date) == (None, "2024-01-31")
    assert parrot.id == "acme/parrot-1"
