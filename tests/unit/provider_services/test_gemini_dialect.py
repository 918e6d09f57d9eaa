"""The generate-content dialect, both ways."""

import json
from itertools import pairwise
from typing import Any

import pytest
from fixtures.prompts import SCHEMA, SCHEMA_JSON, call, prompt, reply, user, warned
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.chat.v1.chat_pb2 import (
    FinishReason,
    Image,
    Message,
    Part,
    Prompt,
    ProviderData,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, Subject, VendorFault

DIALECT = DIALECTS["gemini"]
STOP, LENGTH = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_LENGTH
TOOLS, FILTER = FinishReason.FINISH_REASON_TOOL_CALLS, FinishReason.FINISH_REASON_CONTENT_FILTER
TOOL = {"name": "weather", "description": "Tells it.", "parameters_json": SCHEMA_JSON}
DECLARED = {"name": "weather", "description": "Tells it.", "parametersJsonSchema": SCHEMA}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def body(asked: Prompt, **fields: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(DIALECT.encode(call(asked, **fields)).body)
    return encoded


def config(effort: str, **fields: Any) -> Any:
    return body(prompt(reasoning_effort=f"REASONING_EFFORT_{effort}"), **fields).get("generationConfig")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        (
            {"sampling": {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "max_output_tokens": 7, "seed": 3, "n": 2}},
            {
                "generationConfig": {
                    "temperature": 0.5,
                    "topP": 0.9,
                    "topK": 4,
                    "maxOutputTokens": 7,
                    "seed": 3,
                    "candidateCount": 2,
                }
            },
        ),
        (
            {"sampling": {"stop": ["a"], "frequency_penalty": 1, "presence_penalty": 1, "top_logprobs": 3}},
            {
                "generationConfig": {
                    "stopSequences": ["a"],
                    "frequencyPenalty": 1,
                    "presencePenalty": 1,
                    "responseLogprobs": True,
                    "logprobs": 3,
                }
            },
        ),
        ({"response_format": {"json_object": {}}}, {"generationConfig": {"responseMimeType": "application/json"}}),
        (
            {"response_format": {"json_schema": {"schema_json": SCHEMA_JSON}}},
            {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
        ),
        ({"tools": [TOOL]}, {"tools": [{"functionDeclarations": [DECLARED]}]}),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_NAMED", "name": "weather"}, "web_search": True},
            {
                "tools": [{"functionDeclarations": [DECLARED]}, {"googleSearch": {}}],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
            },
        ),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}},
            {
                "tools": [{"functionDeclarations": [DECLARED]}],
                "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
            },
        ),
    ],
)
def test_a_prompts_fields_are_written_as_the_wire_names_them(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(prompt(**fields)) == CONTENTS | expected


def test_the_model_is_in_the_path_and_the_key_is_nowhere() -> None:
    assert DIALECT.encode(call(model="models/acme-1")).path == "/models/acme-1:generateContent"
    assert DIALECT.encode(call(stream=True)).path == "/models/acme-1:streamGenerateContent?alt=sse"
    assert DIALECT.encode(call(model="../x?y")).path == "/models/..%2Fx%3Fy:generateContent"


def test_system_text_stands_apart_and_turns_alternate() -> None:
    asked = prompt(
        Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="Be brief."))]),
        user("a"),
        user("b"),
        Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="Be kind."))]),
        Message(role=Role.ROLE_ASSISTANT, parts=[Part(text=Text(text="c"))]),
    )
    request = DIALECT.encode(call(asked))
    assert json.loads(request.body) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}]},
        ],
    }
    assert warned(request) == {("moved", "messages[3]")}


def test_calls_and_results_are_written_as_objects_and_matched_by_name() -> None:
    asked = prompt(
        user("hi"),
        Message(
            role=Role.ROLE_ASSISTANT,
            parts=[Part(tool_call=ToolCall(id=f"c{n}", name=f"f{n}", arguments_json='{"a":1}')) for n in (1, 2, 3)],
        ),
        Message(
            role=Role.ROLE_TOOL,
            parts=[
                Part(tool_result=ToolResult(tool_call_id="c1", text='{"b":2}')),
                Part(tool_result=ToolResult(tool_call_id="c2", text="sun")),
                Part(tool_result=ToolResult(tool_call_id="c3", text="no", is_error=True)),
            ],
        ),
    )
    _, model, results = body(asked)["contents"]
    assert model["parts"][0] == {"functionCall": {"name": "f1", "args": {"a": 1}, "id": "c1"}}
    assert results == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "f1", "response": {"b": 2}, "id": "c1"}},
            {"functionResponse": {"name": "f2", "response": {"result": "sun"}, "id": "c2"}},
            {"functionResponse": {"name": "f3", "response": {"error": "no"}, "id": "c3"}},
        ],
    }


def kept(vendor: str, **state: Any) -> ProviderData:
    return ProviderData(vendor=vendor, data=json.dumps(state).encode())


def test_signatures_go_back_on_the_part_they_came_with() -> None:
    executed = {"executableCode": {"code": "1+1"}, "thoughtSignature": "e"}
    asked = prompt(
        user("hi"),
        Message(
            role=Role.ROLE_ASSISTANT,
            parts=[
                Part(reasoning=Reasoning(text="hm"), provider_data=kept("acme", thoughtSignature="r")),
                Part(reasoning=Reasoning(text="unsigned")),
                Part(text=Text(text=""), provider_data=kept("acme", part=executed)),
                Part(text=Text(text=""), provider_data=kept("acme", thoughtSignature="t")),
                Part(tool_call=ToolCall(name="f"), provider_data=kept("acme", thoughtSignature="c")),
            ],
        ),
    )
    assert body(asked, quirks=["signatures_required"])["contents"][1]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "r"},
        executed,
        {"text": "", "thoughtSignature": "t"},
        {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c"},
    ]


def test_a_call_another_vendor_made_stands_without_its_state_and_is_no_400() -> None:
    called = Part(tool_call=ToolCall(id="c", name="f"), provider_data=kept("other", secret=1))
    request = DIALECT.encode(
        call(
            prompt(user("hi"), Message(role=Role.ROLE_ASSISTANT, parts=[called, called])),
            quirks=["signatures_required"],
        )
    )
    first, second = json.loads(request.body)["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert ("foreign_state", "messages[1].parts[0].provider_data") in warned(request)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image(mime_type="image/png", data=b"\x89P"), {"inlineData": {"mimeType": "image/png", "data": "iVA="}}),
        (Image(uri="data:image/jpg;base64,AAAA"), {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}),
        (Image(uri="gs://bucket/a.jpg"), {"fileData": {"fileUri": "gs://bucket/a.jpg", "mimeType": "image/jpeg"}}),
    ],
)
def test_images_are_sent_inline_or_from_where_the_vendor_fetches(image: Image, expected: dict[str, Any]) -> None:
    asked = prompt(Message(role=Role.ROLE_USER, parts=[Part(image=image)]))
    assert body(asked)["contents"][0]["parts"] == [expected]


@pytest.mark.parametrize(
    ("asked", "quirks", "field"),
    [
        (prompt(Message(role=Role.ROLE_USER, parts=[Part(image=Image(uri="https://x/y.png"))])), [], "image.uri"),
        (prompt(sampling={"stop": list("abcdef")}), [], "sampling.stop"),
        (
            prompt(tools=[TOOL], response_format={"json_object": {}}),
            ["json_excludes_tools"],
            "response_format",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused_with_its_field(asked: Prompt, quirks: list[str], field: str) -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode(call(asked, quirks=quirks))
    assert refused.value.reason is Reason.VENDOR_UNSUPPORTED
    assert refused.value.fields[0].field.endswith(field)


@pytest.mark.parametrize(
    ("fields", "quirks", "warning"),
    [
        ({"tools": [TOOL], "parallel_tool_calls": False}, [], ("dropped", "parallel_tool_calls")),
        ({"tools": [TOOL], "web_search": True}, ["search_excludes_tools"], ("dropped", "web_search")),
        ({"sampling": {"seed": 2**40}}, [], ("dropped", "sampling.seed")),
        ({"sampling": {"presence_penalty": 1}}, ["no_penalties"], ("dropped", "sampling.presence_penalty")),
    ],
)
def test_what_the_vendor_cannot_take_is_left_out_with_a_warning(
    fields: dict[str, Any], quirks: list[str], warning: tuple[str, str]
) -> None:
    assert warned(DIALECT.encode(call(prompt(**fields), quirks=quirks))) == {warning}


@pytest.mark.parametrize(
    ("effort", "fields", "expected"),
    [
        ("AUTO", {}, None),
        ("LOW", {}, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("EXTRA_HIGH", {}, {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        ("NONE", {}, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("NONE", {"quirks": ["thinking_budget"]}, {"thinkingBudget": 0, "includeThoughts": False}),
        ("MEDIUM", {"quirks": ["thinking_budget"]}, {"thinkingBudget": 8192, "includeThoughts": True}),
        (
            "NONE",
            {"quirks": ["thinking_budget", "thinking_always"]},
            {"thinkingBudget": 128, "includeThoughts": True},
        ),
        ("HIGH", {"reasons": False}, None),
        ("NONE", {"reasons": False}, None),
    ],
)
def test_the_effort_becomes_a_level_or_a_budget(effort: str, fields: dict[str, Any], expected: Any) -> None:
    wanted = None if expected is None else {"thinkingConfig": expected}
    assert config(effort, **fields) == wanted


# Answers


def answer(*parts: dict[str, Any], finish: Any = "STOP", **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    counted = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 6, "totalTokenCount": 19}
    base = {"candidates": [candidate | fields], "usageMetadata": counted}
    return base | {"responseId": "r1", "modelVersion": "acme-1-0101"}


CALLED = {"functionCall": {"name": "f", "args": {"a": 1}}}


@pytest.mark.parametrize(
    ("parts", "finish", "kinds", "reason"),
    [
        ([{"text": "x"}], "STOP", ["text"], STOP),
        ([{"text": "x"}], 1, ["text"], STOP),
        ([{"text": "x"}], "MAX_TOKENS", ["text"], LENGTH),
        ([{"text": "x"}], "CONTINUATION", ["text"], LENGTH),
        ([], "SAFETY", [], FILTER),
        ([], 3, [], FILTER),
        ([CALLED, {"functionCall": {"name": "g"}}], "STOP", ["tool_call", "tool_call"], TOOLS),
        ([{"text": "hm", "thought": True}, {"text": "x"}], "STOP", ["reasoning", "text"], STOP),
        ([{"executableCode": {"code": "1"}}, {"text": "x"}], "STOP", ["text", "text"], STOP),
        ([{"text": "x"}], "NEW_REASON", ["text"], STOP),
    ],
)
def test_a_whole_answer_is_read_in_all_its_shapes(
    parts: list[dict[str, Any]], finish: Any, kinds: list[str], reason: FinishReason.ValueType
) -> None:
    read = DIALECT.decode(call(), reply(json.dumps(answer(*parts, finish=finish))))
    assert [part.WhichOneof("kind") for part in read.choices[0].parts] == kinds
    assert read.choices[0].finish_reason == reason
    assert (read.vendor_response_id, read.vendor_model) == ("r1", "acme-1-0101")


def test_output_tokens_include_thoughts_and_input_includes_tool_use() -> None:
    counted = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 6,
        "toolUsePromptTokenCount": 2,
        "cachedContentTokenCount": 5,
    }
    used = DIALECT.decode(call(), reply(json.dumps(answer({"text": "x"}) | {"usageMetadata": counted}))).usage
    read = (used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens)
    assert read == (11, 10, 5, 6)


def test_a_candidate_without_content_is_an_empty_answer() -> None:
    read = DIALECT.decode(call(), reply('{"candidates":[{"finishReason":"MAX_TOKENS"}]}'))
    assert read.choices[0].finish_reason == LENGTH
    assert read.usage.estimated


def test_calls_without_ids_get_ones_of_their_own() -> None:
    read = DIALECT.decode(call(), reply(json.dumps(answer(CALLED, CALLED))))
    first, second = (part.tool_call for part in read.choices[0].parts)
    assert first.id != second.id
    assert json.loads(first.arguments_json) == {"a": 1}


def test_what_the_vendor_wants_back_survives_a_round_trip() -> None:
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": "r"},
        {"toolCall": {"toolType": "SEARCH"}, "thoughtSignature": "s"},
        {"functionCall": {"name": "f", "args": {}, "id": "c1"}, "thoughtSignature": "c"},
    ]
    read = DIALECT.decode(call(), reply(json.dumps(answer(*parts)))).choices[0]
    again = prompt(user("hi"), Message(role=Role.ROLE_ASSISTANT, parts=read.parts))
    assert body(again)["contents"][1]["parts"] == parts


def test_sources_are_placed_by_characters_though_the_vendor_counts_bytes() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}, {"retrievedContext": {"uri": "v", "title": "w"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 7, "endIndex": 10, "text": "56°"[:2]}, "groundingChunkIndices": [0]},
            {"segment": {"endIndex": 4, "text": "56°"}, "groundingChunkIndices": [0, 1, 9]},
        ],
    }
    read = DIALECT.decode(call(), reply(json.dumps(answer({"text": "56° is warm"}, groundingMetadata=grounding))))
    citations = read.choices[0].parts[0].text.citations
    assert [(c.uri, c.quote, c.start, c.end) for c in citations] == [
        ("u", "56", 0, 0),
        ("u", "56°", 0, 3),
        ("v", "56°", 0, 3),
    ]
    assert not citations[0].HasField("start")


def test_a_blocked_prompt_is_a_content_filter_with_its_usage() -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 8}}
    with pytest.raises(VendorFault) as fault:
        DIALECT.decode(call(), reply(json.dumps(blocked)))
    assert fault.value.fault.reason is Reason.VENDOR_CONTENT_FILTER
    assert fault.value.fault.answered
    assert fault.value.fault.usage is not None
    assert fault.value.fault.usage.input_tokens == 8


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL", 10])
def test_an_answer_the_vendor_spoilt_is_a_fault_with_its_usage(finish: Any) -> None:
    with pytest.raises(VendorFault) as fault:
        DIALECT.decode(call(), reply(json.dumps(answer(finish=finish, finishMessage="why"))))
    assert fault.value.fault.reason is Reason.VENDOR_SERVER
    assert fault.value.fault.usage is not None
    assert fault.value.fault.usage.output_tokens == 10


@pytest.mark.parametrize(
    "broken", ["", "[]", '{"candidates":[3]}', '{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}']
)
def test_nonsense_is_a_fault_of_the_vendors_and_no_crash(broken: str) -> None:
    with pytest.raises(VendorFault) as fault:
        DIALECT.decode(call(), reply(broken))
    assert fault.value.fault.reason is Reason.VENDOR_SERVER


# Streams

STREAM = [
    answer({"text": "h", "thought": True}, finish=None),
    answer({"text": "m", "thought": True}, finish=None),
    answer({"text": "Hé"}, finish=None),
    answer({"text": "llo"}, finish=None),
    answer({"text": "", "thoughtSignature": "t"}, finish=None),
    answer(CALLED | {"thoughtSignature": "c"}, {"text": ""}, finish=None),
    answer({"text": "end"}, finish="STOP"),
]


def framed(*bodies: Any, array: bool = False) -> bytes:
    if array:
        return json.dumps(list(bodies), ensure_ascii=False).encode()
    return "".join(f"data: {json.dumps(body, ensure_ascii=False)}\r\n\r\n" for body in bodies).encode()


def test_a_stream_is_put_into_parts_and_a_signed_part_stands_alone() -> None:
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(framed(*STREAM))
    assert [(delta.part_index, delta.WhichOneof("piece"), delta.HasField("provider_data")) for delta in deltas] == [
        (0, "reasoning", False),
        (0, "reasoning", False),
        (1, "text", False),
        (1, "text", False),
        (2, "text", True),
        (3, "tool_call", True),
        (4, "text", False),
    ]
    finish = decoder.finish()
    assert finish.choices[0].reason == TOOLS
    assert (finish.usage.input_tokens, finish.usage.output_tokens, finish.vendor_response_id) == (9, 10, "r1")


@given(cuts=st.lists(st.integers(min_value=0, max_value=3000), max_size=30))
@pytest.mark.parametrize("array", [False, True])
def test_no_cutting_and_neither_framing_changes_what_is_read(array: bool, cuts: list[int]) -> None:
    data = framed(*STREAM, array=array)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder, whole = DIALECT.stream(call()), DIALECT.stream(call())
    pieces = [delta for begin, end in pairwise(edges) for delta in decoder.feed(data[begin:end])]
    assert pieces == whole.feed(framed(*STREAM))
    assert decoder.finish() == whole.finish()


def test_arguments_that_come_path_by_path_make_one_call() -> None:
    pieces: list[dict[str, Any]] = [
        {"name": "f", "id": "c1", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.city", "stringValue": "is"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.days[1].n", "numberValue": 2}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$['a b']", "boolValue": True}], "willContinue": True},
        {},
    ]
    decoder = DIALECT.stream(call())
    bodies = [answer({"functionCall": piece}, finish=None) for piece in pieces]
    (delta,) = decoder.feed(framed(*bodies, answer(finish="STOP")))
    assert (delta.tool_call.id, delta.tool_call.name) == ("c1", "f")
    assert json.loads(delta.tool_call.arguments_json) == {"city": "Paris", "days": [None, {"n": 2}], "a b": True}


def test_sources_in_a_stream_are_placed_in_the_text_that_came_before() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u"}}],
        "groundingSupports": [{"segment": {"endIndex": 4, "text": "Hél"}, "groundingChunkIndices": [0]}],
    }
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(
        framed(answer({"text": "Hé"}, finish=None), answer({"text": "llo"}, groundingMetadata=grounding))
    )
    assert (deltas[-1].citation.uri, deltas[-1].citation.start, deltas[-1].citation.end) == ("u", 0, 3)


@pytest.mark.parametrize("stream", [b"", b" ", framed(answer({"text": "x"}, finish=None)), b'data: {"cand'])
def test_a_stream_without_its_finish_is_incomplete_never_a_success(stream: bytes) -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(stream)
    with pytest.raises(VendorFault) as cut:
        decoder.finish()
    assert cut.value.fault.reason is Reason.VENDOR_INCOMPLETE


def test_a_stream_that_only_blocks_is_a_content_filter() -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(framed({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}))
    with pytest.raises(VendorFault) as blocked:
        decoder.finish()
    assert blocked.value.fault.reason is Reason.VENDOR_CONTENT_FILTER


def test_an_error_in_a_stream_ends_it_and_what_came_is_counted() -> None:
    decoder = DIALECT.stream(call())
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    assert [delta.text for delta in decoder.feed(framed(answer({"text": "x"}, finish=None), error))] == ["x"]
    with pytest.raises(VendorFault) as broken:
        decoder.feed(b"")
    assert broken.value.fault.reason is Reason.VENDOR_OVERLOAD
    assert decoder.partial_usage().output_tokens == 10


# Vectors and models


def test_vectors_are_asked_for_in_one_batch() -> None:
    asked = EmbedCall("acme", "e1", texts=["a", "b"], dimensions=2)
    request = DIALECT.encode_embed(asked)
    assert request.path == "/models/e1:batchEmbedContents"
    one = {"model": "models/e1", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2}
    assert json.loads(request.body)["requests"][0] == one
    read = DIALECT.decode_embed(asked, reply('{"embeddings":[{"values":[1,2]},{"values":[3,4]}]}'))
    assert [list(vector.values) for vector in read.embeddings] == [[1, 2], [3, 4]]
    assert read.usage.estimated
    with pytest.raises(VendorFault):
        DIALECT.decode_embed(asked, reply("{}"))


def test_models_that_can_answer_are_listed() -> None:
    rows = [
        {"name": "models/a", "inputTokenLimit": 8, "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/b", "supportedGenerationMethods": ["predict"]},
    ]
    assert DIALECT.encode_models(Subject("acme")).path.startswith("/models?")
    listed = DIALECT.decode_models(reply(json.dumps({"models": rows})))
    assert [(model.id, model.context_window) for model in listed] == [("a", 8)]
