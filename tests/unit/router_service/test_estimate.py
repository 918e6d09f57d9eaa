"""Estimates of tokens, and what they learn; and what is read from a prompt for them."""

import pytest
from llmmesh.chat.v1 import chat_pb2

from router_service import prompt_facts
from router_service.estimate import UNKNOWN_OUTPUT, Estimator, Percentile, plain_input_tokens, text_tokens
from router_service.prompt_facts import PromptFacts

FACTS = PromptFacts(text_bytes=3_200, messages=2)


@pytest.mark.parametrize(
    ("facts", "tokens"),
    [
        (PromptFacts(), 3),
        (PromptFacts(text_bytes=1, messages=1), 3 + 1 + 4),
        (PromptFacts(text_bytes=3_200, messages=2), 3 + 1_000 + 8),
        (PromptFacts(images=2, messages=1), 3 + 4 + 2_200),
    ],
)
def test_input_is_estimated_from_sizes(facts, tokens):
    assert plain_input_tokens(facts) == tokens
    assert Estimator().input_tokens(facts, "alpha/one") == tokens


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (32, 10), (33, 11)])
def test_generated_text_is_estimated_from_its_bytes(size, tokens):
    assert text_tokens(size) == tokens


@pytest.mark.parametrize(("actual", "ratio"), [(1.5, 1.5), (0.1, 0.5), (9.0, 2.0)])
def test_a_model_teaches_its_ratio_within_bounds_after_eight_counts(actual, ratio):
    estimator, plain = Estimator(), plain_input_tokens(FACTS)
    for _ in range(7):
        estimator.learn(FACTS, "alpha/one", int(plain * actual), 10)
    assert estimator.input_tokens(FACTS, "alpha/one") == plain
    estimator.learn(FACTS, "alpha/one", int(plain * actual), 10)
    assert estimator.input_tokens(FACTS, "alpha/one") == pytest.approx(plain * ratio, abs=1)
    assert estimator.input_tokens(FACTS, "beta/two") == plain


@pytest.mark.parametrize(
    ("asked", "default", "longest", "answers", "held"),
    [
        (50, 70, 0, 1, 50),
        (None, 70, 0, 1, 70),
        (None, None, 0, 1, UNKNOWN_OUTPUT),
        (None, None, 100, 1, 100),
        (5_000, None, 4_096, 1, 4_096),
        (50, None, 0, 3, 150),
    ],
)
def test_output_is_the_callers_bound_else_the_use_cases_else_the_models_habit(asked, default, longest, answers, held):
    facts = PromptFacts(max_output_tokens=asked, answers=answers)
    assert Estimator().output_tokens(facts, default, "alpha/one", longest) == held


def test_the_models_habit_is_the_95th_percentile_of_what_one_answer_took():
    estimator = Estimator()
    for tokens in range(1, 21):
        estimator.learn(PromptFacts(answers=2), "alpha/one", 3, tokens * 20)
    assert estimator.output_tokens(PromptFacts(), None, "alpha/one", 0) == 190


def test_a_percentile_forgets_what_is_long_ago():
    percentile = Percentile(5.0)
    for _ in range(8):
        percentile.observe(1_000.0)
    assert percentile.value == 1_000.0
    for _ in range(64):
        percentile.observe(1.0)
    assert percentile.value == 1.0


def prompt(*parts: chat_pb2.Part, **more: object) -> chat_pb2.Prompt:
    return chat_pb2.Prompt(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=parts)], **more)


TEXT = chat_pb2.Part(text=chat_pb2.Text(text="x" * 100))
IMAGE = chat_pb2.Part(image=chat_pb2.Image(mime_type="image/png", data=b"1" * 100_000))


def test_text_counts_in_bytes_and_an_image_as_an_image_whatever_its_size():
    facts = prompt_facts.read(prompt(TEXT, IMAGE))
    assert 100 <= facts.text_bytes <= 110
    assert (facts.images, facts.messages, facts.needs) == (1, 1, {"vision"})


def schema() -> chat_pb2.ResponseFormat:
    asked = chat_pb2.ResponseFormat()
    asked.json_schema.schema_json = '{"properties":{"%s":{}}}' % ("a" * 200)
    return asked


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        (prompt(TEXT), set()),
        (prompt(TEXT, tools=[chat_pb2.Tool(name="t")]), {"tools"}),
        (prompt(TEXT, web_search=True), {"web_search"}),
        (prompt(TEXT, response_format=chat_pb2.ResponseFormat(json_object={})), {"json_object"}),
        (prompt(TEXT, response_format=schema()), {"json_schema"}),
        (prompt(TEXT, response_format=chat_pb2.ResponseFormat(text={})), set()),
    ],
)
def test_a_prompt_shows_what_the_model_must_be_able_to_do(asked, needs):
    assert prompt_facts.read(asked).needs == needs


def test_tools_and_the_schema_of_the_answer_are_read_by_the_model_too():
    assert prompt_facts.read(prompt(tools=[chat_pb2.Tool(name="t", description="d" * 300)])).text_bytes > 300
    assert prompt_facts.read(prompt(response_format=schema())).text_bytes > 200


def test_bounds_are_told_only_when_they_were_set():
    assert prompt_facts.read(prompt(TEXT)).max_output_tokens is None
    facts = prompt_facts.read(prompt(TEXT, sampling=chat_pb2.Sampling(max_output_tokens=9, n=3)))
    assert (facts.max_output_tokens, facts.answers) == (9, 3)
