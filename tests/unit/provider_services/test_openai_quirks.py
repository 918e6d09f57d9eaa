"""What vendors of the chat-completions wire do differently, word by word."""

import json
from typing import Any

import pytest
from fixtures.prompts import SCHEMA_JSON, call, prompt, user, warned
from llmmesh.chat.v1.chat_pb2 import (
    Image,
    Message,
    Part,
    ProviderData,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.openai.quirks import ALL, BENDING

DIALECT = DIALECTS["openai"]
TOOL = {"name": "weather", "parameters_json": SCHEMA_JSON, "strict": True}
NEWS = {"name": "news"}
REQUIRED, NONE, AUTO = ({"mode": f"MODE_{mode}"} for mode in ("REQUIRED", "NONE", "AUTO"))
NAMED = {"mode": "MODE_NAMED", "name": "weather"}
NAMING = {"type": "function", "function": {"name": "weather"}}
SCHEMA = {"response_format": {"json_schema": {"schema_json": SCHEMA_JSON}}}
STOPS = {"sampling": {"stop": [f"stop {number}" for number in range(17)]}}
SAMPLING = {"temperature": 0.1, "top_p": 0.5, "frequency_penalty": 1, "presence_penalty": 1, "top_logprobs": 2}
SAMPLED = {f"sampling.{name}" for name in SAMPLING}
PICTURE = Message(role=Role.ROLE_USER, parts=[Part(image=Image(uri="https://x/y.png"))])
PIXELS = Message(role=Role.ROLE_USER, parts=[Part(image=Image(mime_type="image/png", data=b"\x89P"))])
Fields = dict[str, Any]


def effort(word: str) -> Fields:
    return {"reasoning_effort": f"REASONING_EFFORT_{word.upper()}"}


def body(*messages: Message, quirks: list[str], **fields: Any) -> Fields:
    calling = {name: fields.pop(name) for name in ("reasons", "stream", "max_output_tokens") if name in fields}
    encoded: Fields = json.loads(DIALECT.encode(call(prompt(*messages, **fields), quirks=quirks, **calling)).body)
    return encoded


BENT = [
    ("max_completion_tokens", {"sampling": {"max_output_tokens": 5}}, {"max_completion_tokens": 5}, set()),
    ("random_seed", {"sampling": {"seed": 5}}, {"random_seed": 5}, set()),
    ("no_seed", {"sampling": {"seed": 5}}, {}, {"sampling.seed"}),
    ("one_answer", {"sampling": {"n": 1}}, {}, set()),
    ("at_most_4_answers", {"sampling": {"n": 4}}, {"n": 4}, set()),
    ("one_answer_in_streams", {"sampling": {"n": 4}}, {"n": 4}, set()),
    ("no_logprobs", {"sampling": {"top_logprobs": 2}}, {}, {"sampling.top_logprobs"}),
    (
        "at_most_8_logprobs",
        {"sampling": {"top_logprobs": 20}},
        {"logprobs": True, "top_logprobs": 8},
        {"sampling.top_logprobs"},
    ),
    (
        "no_penalties",
        {"sampling": {"frequency_penalty": 1, "presence_penalty": 1}},
        {},
        {"sampling.frequency_penalty", "sampling.presence_penalty"},
    ),
    (
        "no_frequency_penalty",
        {"sampling": {"frequency_penalty": 1, "presence_penalty": 1}},
        {"presence_penalty": 1},
        {"sampling.frequency_penalty"},
    ),
    ("no_sampling", {"sampling": SAMPLING | {"seed": 5}}, {"seed": 5}, SAMPLED),
    ("no_sampling_when_thinking", {"sampling": SAMPLING | {"stop": ["a"]}}, {"stop": ["a"]}, SAMPLED),
    (
        "no_sampling_when_thinking",
        {"sampling": {"top_p": 0.5}, **effort("none")},
        {"top_p": 0.5, "reasoning_effort": "none"},
        set(),
    ),
    ("zero_temperature_is_tiny", {"sampling": {"temperature": 0}}, {"temperature": 1e-8}, set()),
    (
        "temperature_at_least_a_hundredth",
        {"sampling": {"temperature": 0}},
        {"temperature": 0.01},
        {"sampling.temperature"},
    ),
    ("temperature_at_least_a_hundredth", {"sampling": {"temperature": 0.5}}, {"temperature": 0.5}, set()),
    ("temperature_at_most_1", {"sampling": {"temperature": 1.5}}, {"temperature": 1}, {"sampling.temperature"}),
    ("temperature_below_2", {"sampling": {"temperature": 2}}, {"temperature": 1.99}, {"sampling.temperature"}),
    ("temperature_below_2", {"sampling": {"temperature": 1.995}}, {"temperature": 1.995}, set()),
    ("effort_low_to_high", effort("extra_high"), {"reasoning_effort": "high"}, {"reasoning_effort"}),
    ("effort_low_to_high", effort("none"), {"reasoning_effort": "low"}, {"reasoning_effort"}),
    ("effort_low_high_max", effort("extra_high"), {"reasoning_effort": "max"}, set()),
    ("effort_low_high_max", effort("medium"), {"reasoning_effort": "high"}, {"reasoning_effort"}),
    ("effort_low_high_max", effort("none"), {"reasoning_effort": "low"}, {"reasoning_effort"}),
    ("effort_low_high_max", effort("low"), {"reasoning_effort": "low"}, set()),
    ("effort_none_or_default", effort("high"), {"reasoning_effort": "default"}, set()),
    ("effort_none_or_high", effort("low"), {"reasoning_effort": "high"}, {"reasoning_effort"}),
    ("effort_none_or_high", effort("none"), {"reasoning_effort": "none"}, set()),
    ("no_minimal_effort", effort("minimal"), {"reasoning_effort": "low"}, {"reasoning_effort"}),
    ("no_xhigh_effort", effort("extra_high"), {"reasoning_effort": "high"}, {"reasoning_effort"}),
    ("no_reasoning_effort", effort("high"), {}, {"reasoning_effort"}),
    ("no_reasoning_effort", effort("none"), {}, set()),
    ("thinking_always", effort("none"), {"reasoning_effort": "low"}, {"reasoning_effort"}),
    ("thinking_switch", effort("none"), {"thinking": {"type": "disabled"}}, set()),
    ("thinking_switch", effort("high"), {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, set()),
    ("thinking_switch", {}, {}, set()),
    ("enable_thinking", effort("none"), {"enable_thinking": False}, set()),
    ("enable_thinking", effort("low"), {"enable_thinking": True, "thinking_budget": 2048}, set()),
    ("enable_thinking", effort("extra_high"), {"enable_thinking": True}, set()),
    ("enable_thinking", {}, {}, set()),
    ("reasoning_object", effort("extra_high"), {"reasoning": {"effort": "xhigh"}}, set()),
    ("reasoning_format_parsed", {}, {"reasoning_format": "parsed"}, set()),
    ("web_search_options", {"web_search": True}, {"web_search_options": {}}, set()),
    ("takes_top_k", {"sampling": {"top_k": 4}}, {"top_k": 4}, set()),
    ("at_most_4_stops", {"sampling": {"stop": ["a", "b"]}}, {"stop": ["a", "b"]}, set()),
    ("one_stop", {"sampling": {"stop": ["a"]}}, {"stop": ["a"]}, set()),
]


@pytest.mark.parametrize(("quirk", "fields", "expected", "warnings"), BENT)
def test_a_quirk_bends_what_it_is_named_for(quirk: str, fields: Fields, expected: Fields, warnings: set[str]) -> None:
    request = DIALECT.encode(call(prompt(**fields), quirks=[quirk]))
    written = json.loads(request.body)
    assert {key: written[key] for key in written if key not in {"model", "messages"}} == expected
    assert {field for _, field in warned(request)} == warnings


REFUSED = [
    ("one_answer", {"sampling": {"n": 2}}, "sampling.n"),
    ("one_answer_beside_tools", {"sampling": {"n": 2}, "tools": [NEWS]}, "sampling.n"),
    ("one_answer_in_streams", {"sampling": {"n": 2}, "stream": True}, "sampling.n"),
    ("at_most_4_answers", {"sampling": {"n": 5}}, "sampling.n"),
    ("one_stop", STOPS, "sampling.stop"),
    ("at_most_4_stops", STOPS, "sampling.stop"),
    ("at_most_5_stops", STOPS, "sampling.stop"),
    ("at_most_16_stops", STOPS, "sampling.stop"),
    ("no_stops", {"sampling": {"stop": ["a"]}}, "sampling.stop"),
    ("no_json_schema", SCHEMA, "response_format.json_schema"),
    ("no_forced_tools", {"tools": [TOOL], "tool_choice": REQUIRED}, "tool_choice"),
    ("no_tool_choice", {"tools": [TOOL], "tool_choice": NAMED}, "tool_choice"),
    ("no_required_tools", {"tools": [TOOL, NEWS], "tool_choice": REQUIRED}, "tool_choice"),
    ("no_forced_tools_when_thinking", {"tools": [TOOL], "tool_choice": NAMED}, "tool_choice"),
    ("no_json_when_thinking", {"response_format": {"json_object": {}}}, "response_format"),
]


@pytest.mark.parametrize(("quirk", "fields", "field"), REFUSED)
def test_what_would_change_the_meaning_is_refused_with_its_field(quirk: str, fields: Fields, field: str) -> None:
    with pytest.raises(MeshError) as refused:
        body(quirks=[quirk], **fields)
    assert refused.value.reason is Reason.VENDOR_UNSUPPORTED
    assert [violation.field for violation in refused.value.fields] == [field]


@pytest.mark.parametrize("quirk", ["at_most_5_stops", "at_most_16_stops"])
def test_as_many_stop_texts_as_the_vendor_takes_go_through(quirk: str) -> None:
    most = int(quirk.split("_")[2])
    assert len(body(quirks=[quirk], sampling={"stop": ["a"] * most})["stop"]) == most


@pytest.mark.parametrize(
    ("quirk", "choice", "tools", "offered", "chosen"),
    [
        ("required_is_any", REQUIRED, [TOOL, NEWS], ["weather", "news"], "any"),
        ("no_required_tools", REQUIRED, [TOOL], ["weather"], NAMING),
        ("no_required_tools", NAMED, [TOOL, NEWS], ["weather", "news"], NAMING),
        ("no_required_tools", AUTO, [TOOL, NEWS], ["weather", "news"], "auto"),
        ("no_named_tools", NAMED, [TOOL, NEWS], ["weather"], "required"),
        ("no_named_tools", REQUIRED, [TOOL, NEWS], ["weather", "news"], "required"),
        ("no_tool_choice", AUTO, [TOOL], ["weather"], None),
        ("no_tool_choice", NONE, [TOOL], None, None),
        ("no_forced_tools", NONE, [TOOL], ["weather"], "none"),
    ],
)
def test_a_choice_the_vendor_has_no_word_for_becomes_one_that_means_the_same(
    quirk: str, choice: Fields, tools: list[Fields], offered: list[str] | None, chosen: Any
) -> None:
    request = DIALECT.encode(call(prompt(tools=tools, tool_choice=choice, parallel_tool_calls=True), quirks=[quirk]))
    written = json.loads(request.body)
    listed = written.get("tools")
    assert (listed and [tool["function"]["name"] for tool in listed]) == offered
    assert written.get("tool_choice") == chosen
    assert ("parallel_tool_calls" in written) == (offered is not None)
    assert warned(request) == set()


def test_what_is_said_of_tools_is_left_out_where_it_is_not_taken() -> None:
    request = DIALECT.encode(
        call(prompt(tools=[TOOL], parallel_tool_calls=False), quirks=["no_parallel_tool_calls", "no_strict_tools"])
    )
    written = json.loads(request.body)
    assert "parallel_tool_calls" not in written
    assert "strict" not in written["tools"][0]["function"]
    assert warned(request) == {("dropped", "parallel_tool_calls")}


def test_usage_is_not_asked_for_where_it_comes_unasked() -> None:
    assert "stream_options" not in body(quirks=["no_stream_options"], stream=True)


@pytest.mark.parametrize(("asked", "sent", "warned_of"), [(5000, 4096, 1), (4096, 4096, 0), (None, None, 0)])
def test_the_answers_limit_is_clamped_to_what_the_model_writes(asked: Any, sent: Any, warned_of: int) -> None:
    limited = prompt(sampling={"max_output_tokens": asked}) if asked else prompt()
    request = DIALECT.encode(call(limited, max_output_tokens=4096))
    assert json.loads(request.body).get("max_tokens") == sent
    assert len(request.warnings) == warned_of
    unknown = body(quirks=[], sampling={"max_output_tokens": 9})
    assert unknown["max_tokens"] == 9


# Thinking


@pytest.mark.parametrize("word", ["low", "none"])
def test_a_reasoning_model_is_told_no_sampling_unless_it_does_not_reason(word: str) -> None:
    fields = {"sampling": {"temperature": 0.1, "top_p": 0.5}, **effort(word)}
    written = body(quirks=["reasoning_models_fix_sampling"], reasons=True, **fields)
    assert ("temperature" in written) == (word == "none")


def test_a_model_that_cannot_but_think_is_told_no_sampling_though_it_was_asked_not_to_think() -> None:
    quirks = ["reasoning_models_fix_sampling", "effort_low_to_high"]
    written = body(quirks=quirks, reasons=True, sampling={"temperature": 0.1}, **effort("none"))
    assert written["reasoning_effort"] == "low"
    assert "temperature" not in written


@pytest.mark.parametrize("quirk", ["effort_needs_reasoning", "thinking_switch", "enable_thinking", "reasoning_object"])
@pytest.mark.parametrize(("word", "warnings"), [("high", {("dropped", "reasoning_effort")}), ("none", set())])
def test_a_model_that_does_not_think_is_not_told_how_long_to(quirk: str, word: str, warnings: set[Any]) -> None:
    request = DIALECT.encode(call(prompt(**effort(word)), reasons=False, quirks=[quirk]))
    assert set(json.loads(request.body)) == {"model", "messages"}
    assert warned(request) == warnings


@pytest.mark.parametrize(
    ("quirk", "fields", "off", "warnings"),
    [
        ("no_forced_tools_when_thinking", {"tools": [TOOL], "tool_choice": REQUIRED}, True, {"reasoning_effort"}),
        ("no_forced_tools_when_thinking", {"tools": [TOOL], "tool_choice": AUTO}, False, set()),
        ("no_forced_tools_when_thinking", {"tools": [TOOL], "tool_choice": NAMED, **effort("none")}, True, set()),
        ("no_json_when_thinking", SCHEMA, True, {"reasoning_effort"}),
        ("no_json_when_thinking", {}, False, set()),
    ],
)
def test_thinking_is_switched_off_for_what_cannot_be_had_with_it(
    quirk: str, fields: Fields, off: bool, warnings: set[str]
) -> None:
    for switch, silenced in (
        ("thinking_switch", {"thinking": {"type": "disabled"}}),
        ("enable_thinking", {"enable_thinking": False}),
        ("reasoning_object", {"reasoning": {"effort": "none"}}),
    ):
        request = DIALECT.encode(call(prompt(**fields), quirks=[quirk, switch], reasons=True))
        written = json.loads(request.body)
        assert {name: written[name] for name in ("thinking", "enable_thinking", "reasoning") if name in written} == (
            silenced if off else {}
        )
        assert {field for _, field in warned(request)} == warnings


def test_thinking_that_cannot_be_switched_off_is_not_and_what_it_forbids_is_refused() -> None:
    quirks = ["thinking_switch", "thinking_always"]
    assert body(quirks=quirks, **effort("none"))["thinking"] == {"type": "enabled"}
    with pytest.raises(MeshError):
        body(quirks=[*quirks, "no_json_when_thinking"], response_format={"json_object": {}})


@pytest.mark.parametrize("quirk", ["no_json_when_thinking", "reasoning_content_required"])
def test_a_model_that_thinks_when_asked_does_nothing_of_the_kind_unasked(quirk: str) -> None:
    quirks = ["thinks_when_asked", "enable_thinking", quirk]
    unasked = DIALECT.encode(call(prompt(*calling(), **SCHEMA), quirks=quirks, reasons=True))
    written = json.loads(unasked.body)
    assert "enable_thinking" not in written
    assert "reasoning_content" not in written["messages"][0]
    assert warned(unasked) == set()
    written = body(*calling(), quirks=quirks, reasons=True, **SCHEMA, **effort("low"))
    assert written["enable_thinking"] is (quirk == "reasoning_content_required")
    assert ("reasoning_content" in written["messages"][0]) is (quirk == "reasoning_content_required")


def test_a_switch_may_stand_alone_without_levels() -> None:
    quirks = ["thinking_switch", "no_reasoning_effort"]
    assert body(quirks=quirks, **effort("none"))["thinking"] == {"type": "disabled"}
    on = body(quirks=quirks, **effort("high"))
    assert on["thinking"] == {"type": "enabled"}
    assert "reasoning_effort" not in on


# Turns


def said(text: str = "so", *, reasoning: str = "", vendor: str = "", state: bytes = b"") -> Message:
    parts = [Part(reasoning=Reasoning(text=reasoning))] if reasoning or vendor else []
    if vendor:
        parts[0].provider_data.CopyFrom(ProviderData(vendor=vendor, data=state))
    return Message(role=Role.ROLE_ASSISTANT, parts=[*parts, Part(text=Text(text=text))])


def calling(identity: str = "call_a-b") -> list[Message]:
    return [
        Message(role=Role.ROLE_ASSISTANT, parts=[Part(tool_call=ToolCall(id=identity, name="weather"))]),
        Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=ToolResult(tool_call_id=identity, text="1"))]),
    ]


@pytest.mark.parametrize(
    ("turn", "expected", "warnings"),
    [
        (said(), " ", set()),
        (said(reasoning="hm"), "hm", set()),
        (said(reasoning="hm", vendor="acme"), "hm", set()),
        (said(reasoning="hm", vendor="other"), " ", {"foreign_state", "dropped"}),
        (said(vendor="other", state=b"sealed"), " ", {"foreign_state"}),
        (calling()[0], " ", set()),
    ],
)
def test_a_turn_without_reasoning_of_this_vendor_gets_a_blank_where_some_is_demanded(
    turn: Message, expected: str, warnings: set[str]
) -> None:
    request = DIALECT.encode(call(prompt(user("hi"), turn), quirks=["reasoning_content_required"], reasons=True))
    asked, answered = json.loads(request.body)["messages"]
    assert "reasoning_content" not in asked
    assert answered["reasoning_content"] == expected
    assert {code for code, _ in warned(request)} == warnings


@pytest.mark.parametrize(
    ("reasons", "fields", "quirks"),
    [
        (False, {}, []),
        (True, effort("none"), []),
        (True, effort("none"), ["thinking_switch"]),
        (True, effort("none"), ["enable_thinking"]),
        (True, {"tools": [TOOL], "tool_choice": NAMED}, ["thinking_switch", "no_forced_tools_when_thinking"]),
    ],
)
def test_no_blank_reasoning_goes_where_none_is_wanted(reasons: bool, fields: Fields, quirks: list[str]) -> None:
    written = body(*calling(), quirks=["reasoning_content_required", *quirks], reasons=reasons, **fields)
    assert "reasoning_content" not in written["messages"][0]


def test_blank_reasoning_goes_to_a_model_that_thinks_though_it_was_asked_not_to() -> None:
    quirks = ["reasoning_content_required", "effort_low_high_max"]
    written = body(*calling(), quirks=quirks, reasons=True, **effort("none"))
    assert written["messages"][0]["reasoning_content"] == " "


def test_reasoning_goes_back_as_a_piece_of_the_content() -> None:
    turn = Message(role=Role.ROLE_ASSISTANT, parts=[Part(reasoning=Reasoning(text=text)) for text in ("hm", "well")])
    turn.parts.extend(said().parts)
    thoughts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True} for text in ("hm", "well")
    ]
    (written,) = body(turn, quirks=["thinking_returns_in_content"])["messages"]
    assert written == {"role": "assistant", "content": [*thoughts, {"type": "text", "text": "so"}]}
    del turn.parts[1:]
    turn.parts.extend(calling()[0].parts)
    (written,) = body(turn, quirks=["thinking_returns_in_content"])["messages"]
    assert written["content"] == thoughts[:1]
    assert len(written["tool_calls"]) == 1


def test_a_refusal_is_what_was_said_where_there_is_no_field_for_it() -> None:
    turn = Message(role=Role.ROLE_ASSISTANT, parts=[Part(refusal=Refusal(text="No."))])
    assert body(turn, quirks=["refusals_as_text"])["messages"] == [{"role": "assistant", "content": "No."}]


def test_reasoning_does_not_go_back_to_a_model_that_does_not_think() -> None:
    asked = prompt(said(reasoning="hm", vendor="acme"))
    request = DIALECT.encode(call(asked, quirks=["thinking_returns_in_content"], reasons=False))
    assert json.loads(request.body)["messages"] == [{"role": "assistant", "content": "so"}]
    assert warned(request) == {("dropped", "messages[0].parts[0]")}


def test_a_model_is_asked_to_read_its_reasoning_when_some_goes_back() -> None:
    quirks = ["preserve_thinking", "reasoning_returns_as_reasoning_content"]
    assert body(said(reasoning="hm"), quirks=quirks)["preserve_thinking"] is True
    assert "preserve_thinking" not in body(said(), quirks=quirks)


@pytest.mark.parametrize(
    ("quirk", "kept", "warnings"),
    [
        ("no_message_names", [None, None], {("dropped", "messages[2].name"), ("dropped", "messages[3].name")}),
        ("user_names_only", [None, "ann"], {("dropped", "messages[2].name")}),
    ],
)
def test_names_stay_where_the_vendor_takes_them(quirk: str, kept: list[Any], warnings: set[Any]) -> None:
    (first, one), (second, other) = calling("a"), calling("b")
    called = Message(role=Role.ROLE_ASSISTANT, parts=[*first.parts, *second.parts])
    twice = Message(role=Role.ROLE_TOOL, parts=[*one.parts, *other.parts])
    system = Message(role=Role.ROLE_SYSTEM, name="ops", parts=said().parts)
    asked = prompt(called, twice, system, Message(role=Role.ROLE_USER, name="ann", parts=said().parts))
    request = DIALECT.encode(call(asked, quirks=[quirk]))
    assert [message.get("name") for message in json.loads(request.body)["messages"]] == [None, None, None, *kept]
    assert warned(request) == warnings


@pytest.mark.parametrize(
    ("quirk", "picture", "field"),
    [
        ("images_as_data_only", PICTURE, "messages[1].parts[0].image.uri"),
        ("text_as_one_string", PICTURE, "messages[1].parts[0].image"),
        ("text_as_one_string", PIXELS, "messages[1].parts[0].image"),
    ],
)
def test_an_image_the_vendor_cannot_see_is_refused_with_its_place(quirk: str, picture: Message, field: str) -> None:
    with pytest.raises(MeshError) as refused:
        body(user("hi"), picture, quirks=[quirk])
    assert [violation.field for violation in refused.value.fields] == [field]


def test_bytes_and_texts_go_where_links_and_lists_do_not() -> None:
    (message,) = body(PIXELS, quirks=["images_as_data_only"])["messages"]
    assert message["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert body(user("a", "b"), quirks=["text_as_one_string"])["messages"][0]["content"] == "a\nb"


def test_tool_call_ids_become_nine_characters_the_same_for_call_and_result() -> None:
    asking, result = body(*calling(), quirks=["tool_ids_of_nine"])["messages"]
    assert asking["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()


def test_every_quirk_has_a_name_that_rows_can_use() -> None:
    assert set(BENDING) <= ALL
    assert DIALECT.quirks == ALL
