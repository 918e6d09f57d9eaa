"""Every simulated vendor answers and refuses in its own words, and its dialect reads them as what they are."""

import httpx
import pytest
from fixtures.prompts import SCHEMA_JSON, prompt, user
from fixtures.simulated_vendors import ROWS, Guest, admitted
from llmmesh.chat.v1.chat_pb2 import FinishReason, Message, Part, Role, ToolResult

from meshkit.errors import Reason
from provider_services.dialects.interface import VendorFault
from provider_services.simulator.running import Simulator

TOOL = {"name": "forecast", "parameters_json": SCHEMA_JSON}
EACH_WAY = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
MAKES_VECTORS = sorted(name for name, row in ROWS.items() if any(model.kind == "embed" for model in row.models))
KEYED = sorted(name for name, row in ROWS.items() if row.auth.required)
# Those who say when to come back: in a header, in the body or in the sentence.
SAYS_WHEN = {"openai", "groq", "anthropic", "gemini", "mistral", "azure", "github", "openrouter", "kimi"}
RETIRED = {Reason.VENDOR_RETIRED, Reason.VENDOR_NOT_FOUND}
# Those whose 503 says no more than a 500.
JUST_BROKEN = {"ai21", "deepinfra", "huggingface", "perplexity", "qwen", "xai"}
FILTERED_OTHERWISE = {"xai": Reason.VENDOR_PERMISSION}


@pytest.fixture(params=sorted(ROWS))
async def each(request: pytest.FixtureRequest, sim: Simulator, http: httpx.AsyncClient) -> Guest:
    return await admitted(request.param, sim, http)


@EACH_WAY
async def test_a_good_key_gets_an_answer(each: Guest, stream: bool) -> None:
    answer = await each.say("say: a plain answer", stream=stream)
    assert answer.text == "a plain answer"
    assert answer.finish == FinishReason.FINISH_REASON_STOP
    used = answer.usage
    assert used.input_tokens > 0
    assert used.output_tokens >= 3
    assert not used.estimated
    if each.row.request_id is not None:
        assert answer.reply.headers[each.row.request_id.header]


@EACH_WAY
async def test_an_answer_is_cut_where_the_caller_says(each: Guest, stream: bool) -> None:
    model = each.model(reasoning=False) or each.model(when_asked=True)
    if model is None:
        pytest.skip("all its models think")
    answer = await each.say("tokens: 40", model=model.id, stream=stream, sampling={"max_output_tokens": 16})
    assert (len(answer.text.split()), answer.usage.output_tokens) == (16, 16)
    assert answer.finish == FinishReason.FINISH_REASON_LENGTH


@EACH_WAY
async def test_a_tool_is_called_and_its_result_answered(each: Guest, stream: bool) -> None:
    asked = user("call forecast")
    model = each.model() or each.row.models[0]
    called = await each.ask(each.call(model.id, prompt(asked, tools=[TOOL]), stream=stream))
    assert called.finish == FinishReason.FINISH_REASON_TOOL_CALLS
    (made,) = [part.tool_call for part in called.parts if part.HasField("tool_call")]
    assert (made.name, made.arguments_json.replace(" ", "")) == ("forecast", '{"city":"Lisbon","days":3}')
    turns = [
        asked,
        Message(role=Role.ROLE_ASSISTANT, parts=called.parts),
        Message(
            role=Role.ROLE_TOOL,
            parts=[Part(tool_result=ToolResult(tool_call_id=made.id, name=made.name, text="sunny"))],
        ),
    ]
    answer = await each.ask(each.call(model.id, prompt(*turns, tools=[TOOL]), stream=stream))
    assert answer.text
    assert answer.finish == FinishReason.FINISH_REASON_STOP


@EACH_WAY
async def test_reasoning_is_counted_once_and_shown_where_the_vendor_shows_it(each: Guest, stream: bool) -> None:
    model = each.model(reasoning=True, when_asked=False)
    if model is None:
        pytest.skip("none of its models thinks of its own accord")
    if not stream and each.row.quirks.get("refused", {}).get("thinking_whole"):
        pytest.skip("it thinks in streams only")
    answer = await each.say("tokens: 30", model=model.id, stream=stream, reasoning_effort="REASONING_EFFORT_HIGH")
    words = len(answer.text.split()) + len(answer.reasoning.split())
    assert answer.usage.output_tokens == 30
    if answer.reasoning:
        assert words == 30
    else:
        assert answer.usage.reasoning_tokens == 30 - words > 0


@pytest.mark.parametrize("name", MAKES_VECTORS)
async def test_vectors_are_made_where_the_vendor_makes_them(sim: Simulator, http: httpx.AsyncClient, name: str) -> None:
    each = await admitted(name, sim, http)
    model = each.model(kind="embed")
    assert model is not None
    found = await each.vectors(model.id, "one", "two")
    assert [len(one.values) for one in found.embeddings] == [model.dimensions] * 2
    assert found.usage.input_tokens > 0


async def test_the_list_names_what_is_hosted(each: Guest) -> None:
    assert await each.listed() >= {model.id for model in each.row.models if model.kind == "chat"}


@pytest.mark.parametrize("name", KEYED)
async def test_a_key_that_is_missing_malformed_or_rejected_is_refused_and_not_repeated(
    sim: Simulator, http: httpx.AsyncClient, name: str
) -> None:
    each = await admitted(name, sim, http)
    refusals = [await each.with_key(key).fault() for key in ("", "?", each.key[:-8] + "rejected")]
    await sim.set_standing(name, ended=False, rejected=["*"])
    refusals.append(await each.fault())
    for refusal in refusals:
        assert refusal.reason is Reason.VENDOR_AUTH
        assert refusal.message
        assert each.key not in refusal.message
        assert not refusal.retryable


async def test_an_account_without_credit_is_a_quota(each: Guest) -> None:
    await each.sim.set_standing(each.row.name, ended=False, out_of_credit=["*"])
    for stream in (False, True):
        refusal = await each.fault(stream=stream)
        assert (refusal.reason, refusal.retryable) == (Reason.VENDOR_QUOTA, False)


async def test_too_many_calls_a_minute_are_throttled(each: Guest) -> None:
    await each.sim.set_limits(each.row.name, [{"unit": "requests", "per": "minute", "amount": 1}])
    await each.say("say: x")
    refusal = await each.fault()
    assert (refusal.reason, refusal.retryable) == (Reason.VENDOR_THROTTLED, True)
    assert (refusal.retry_after is not None) is (each.row.name in SAYS_WHEN)
    if refusal.retry_after is not None:
        assert 50 < refusal.retry_after <= 61  # a date has no fractions of a second


async def test_a_model_nobody_knows_is_not_found(each: Guest) -> None:
    assert (await each.fault(model="no-such/model")).reason is Reason.VENDOR_NOT_FOUND


async def test_a_retired_model_is_gone(each: Guest) -> None:
    model = each.model() or each.row.models[0]
    await each.sim.set_standing(each.row.name, ended=False, retired_models=[model.id])
    asked = [*each.row.retired, model.id]
    for name in asked:
        assert (await each.fault(model=name)).reason in RETIRED
    assert model.id not in await each.listed()


async def test_a_prompt_too_long_for_the_model_is_told_so(each: Guest) -> None:
    model = min((model for model in each.row.models if model.kind == "chat"), key=lambda model: model.context)
    words = "x" * 4 * model.context
    if each.row.dialect == "ollama":  # cuts it in silence
        assert (await each.say(words, model=model.id)).usage.input_tokens < model.context
        return
    assert (await each.fault(words, model=model.id)).reason is Reason.VENDOR_CONTEXT


async def test_a_body_that_is_no_json_is_a_bad_request(each: Guest) -> None:
    made = each.call((each.model() or each.row.models[0]).id, prompt())
    request = each.dialect.encode(made)
    reply = await each.send(type(request)(request.method, request.path, request.body[:-3]))
    assert each.dialect.classify(made, reply).reason is Reason.VENDOR_BAD_REQUEST


async def test_a_vendor_that_ended_is_retired(each: Guest) -> None:
    await each.sim.set_standing(each.row.name, ended=True)
    refusal = await each.fault()
    assert (refusal.reason, refusal.http_status) == (Reason.VENDOR_RETIRED, 410)
    with pytest.raises(VendorFault):
        await each.listed()


async def test_an_overloaded_vendor_says_so(each: Guest) -> None:
    wanted = Reason.VENDOR_SERVER if each.row.name in JUST_BROKEN else Reason.VENDOR_OVERLOAD
    await each.sim.set_faults(each.row.name, [{"kind": "status", "says": "overloaded"}])
    refusal = await each.fault()
    assert (refusal.reason, refusal.retryable) == (wanted, True)


async def test_a_filtered_prompt_is_told_so(each: Guest) -> None:
    if each.row.name in {"ollama", "huggingface"}:
        pytest.skip("it has no filter")
    await each.sim.set_faults(each.row.name, [{"kind": "status", "says": "filtered"}])
    wanted = FILTERED_OTHERWISE.get(each.row.name, Reason.VENDOR_CONTENT_FILTER)
    assert (await each.fault()).reason is wanted


@EACH_WAY
async def test_an_error_inside_a_success_is_an_error(each: Guest, stream: bool) -> None:
    fault = {"kind": "error_in_stream", "says": "overloaded"}
    await each.sim.set_faults(each.row.name, [fault])
    refusal = await each.fault(stream=stream)
    assert refusal.retryable
