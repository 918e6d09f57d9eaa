"""The same question always gets the same words, one piece per token, within the limits asked for."""

import msgspec
import pytest

from provider_services.simulator.ask import Ask, Call, Tool
from provider_services.simulator.examples import example
from provider_services.simulator.rows import ModelRow
from provider_services.simulator.speech import Speech

WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.fixture
def speech():
    return Speech(7)


def asked(text: str, **more):
    return Ask(call=Call("chat", "m"), model=ModelRow(id="m"), last_text=text, **more)


def said(speech: Speech, ask: Ask):
    return speech.answer(ask).choices[0]


def test_the_same_question_gets_the_same_words(speech):
    assert said(speech, asked("why?")) == said(Speech(7), asked("why?"))
    assert said(speech, asked("why?")) != said(speech, asked("how?"))


def test_a_natural_answer_is_about_forty_tokens(speech):
    lengths = [len(said(speech, asked(f"question {n}")).pieces) for n in range(200)]
    assert min(lengths) >= 28
    assert max(lengths) <= 52


def test_say_answers_exactly_that_text(speech):
    text = "two  spaces\n- and a list \n"
    choice = said(speech, asked(f"say: {text}"))
    assert "".join(choice.pieces) == text
    assert choice.finish == "stop"


@pytest.mark.parametrize("count", [1, 2, 50, 9_000])
def test_tokens_gives_exactly_so_many(speech, count):
    answer = speech.answer(asked(f"tokens: {count}", reasons=count > 1))
    assert answer.output_tokens == count
    assert answer.choices[0].finish == "stop"


def test_more_than_the_maximum_is_cut_and_finishes_for_length(speech):
    choice = said(speech, asked("tokens: 50", max_tokens=8))
    assert (len(choice.pieces), choice.finish) == (8, "length")
    assert said(speech, asked("tokens: 8", max_tokens=8)).finish == "stop"


def test_reasoning_counts_against_the_maximum_and_may_leave_no_text(speech):
    choice = said(speech, asked("why?", max_tokens=5, reasons=True))
    assert (len(choice.reasoning), choice.pieces, choice.finish) == (5, (), "length")


def test_a_stop_sequence_ends_the_text_before_it(speech):
    choice = said(speech, asked("say: one two three", stop=("wo", "three")))
    assert ("".join(choice.pieces), choice.finish) == ("one t", "stop")


def test_a_tool_named_after_call_is_called_with_arguments_its_schema_accepts(speech):
    choice = said(speech, asked("please call get_weather now", tools=(WEATHER,)))
    assert choice.finish == "calls"
    assert choice.calls[0].arguments == {"city": "Lisbon"}
    assert msgspec.json.decode("".join(choice.calls[0].pieces)) == {"city": "Lisbon"}


@pytest.mark.parametrize(
    ("text", "choice", "from_user", "called"),
    [
        ("call get_weather", "auto", True, True),
        ("call get_weather_map", "auto", True, False),
        ("the weather?", "auto", True, False),
        ("the weather?", "required", True, True),
        ("the weather?", "get_weather", True, True),
        ("call get_weather", "none", True, False),
        ("call get_weather", "auto", False, False),
        ("say: call get_weather", "auto", True, False),
    ],
)
def test_a_tool_is_called_when_asked_for_and_not_again_after_its_result(speech, text, choice, from_user, called):
    ask = asked(text, tools=(WEATHER,), tool_choice=choice, from_user=from_user)
    assert bool(said(speech, ask).calls) is called


def test_json_mode_answers_an_object_the_schema_accepts(speech):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 10}, "b": {"type": "boolean"}}}
    choice = said(speech, asked("json", json_schema=schema))
    assert msgspec.json.decode("".join(choice.pieces)) == {"n": 10, "b": True}
    assert isinstance(msgspec.json.decode("".join(said(speech, asked("json", json_schema={})).pieces)), dict)


def test_an_example_follows_references_choices_and_both_spellings_of_types():
    schema = {
        "$defs": {"Step": {"type": "object", "properties": {"weight": {"type": "number"}}}},
        "properties": {
            "steps": {"type": "ARRAY", "items": {"$ref": "#/$defs/Step"}},
            "lane": {"enum": ["canary", "main"]},
            "note": {"anyOf": [{"type": "STRING"}, {"type": "null"}]},
            "self": {"$ref": "#/$defs/None"},
        },
    }
    made = example(schema)
    assert made["steps"] == [{"weight": 2.5}]
    assert (made["lane"], made["note"]) == ("canary", "example")


def test_a_schema_that_contains_itself_has_an_example():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert "next" in example({"$defs": {"Node": node}, "$ref": "#/$defs/Node"})


def test_vectors_have_length_one_and_the_size_asked_for(speech):
    ask = Ask(call=Call("embed"), model=ModelRow(id="e", kind="embed", dimensions=64), inputs=("a", "b"))
    first, second = speech.vectors(ask).vectors
    assert len(first) == len(second) == 64
    assert sum(n * n for n in first) == pytest.approx(1)
    assert first != second
