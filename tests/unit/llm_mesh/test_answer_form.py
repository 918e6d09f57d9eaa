"""What is wrong with the form of an answer, and what is not."""

from collections.abc import Callable
from typing import Any

import pytest
from fixtures import fake_mesh
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.checks import content, form

MODEL = "alpha/a-1"
LENGTH = chat_pb2.FINISH_REASON_LENGTH
FILTERED = chat_pb2.FINISH_REASON_CONTENT_FILTER
CALLS = chat_pb2.FINISH_REASON_TOOL_CALLS
Events = list[router_pb2.StreamGenerateResponse]
Delta = chat_pb2.Delta


def whole(change: Callable[[Any], Any] | None = None) -> router_pb2.GenerateResponse:
    response = fake_mesh.whole("Blue as ever.", MODEL)
    if change is not None:
        change(response)
    return response


def faults_of_whole(response: router_pb2.GenerateResponse) -> list[str]:
    choices = response.completion.choices
    return list(form.of_whole(MODEL, response, content.of_parts(choices[0].parts if choices else ())))


def faults_of_stream(events: Events) -> list[str]:
    said = content.of_deltas(delta for event in events for delta in event.deltas.deltas)
    return list(form.of_stream(MODEL, events, said))


def stream(*deltas: Delta, reason: Any = chat_pb2.FINISH_REASON_STOP) -> Events:
    begin, end = fake_mesh.stream("", MODEL, reason)
    return [begin, *map(fake_mesh.deltas, deltas), end]


def call(part: int = 0, arguments: str = "{}", name: str = "look") -> Delta:
    return Delta(part_index=part, tool_call=chat_pb2.ToolCall(id="c1", name=name, arguments_json=arguments))


def test_good_answers_have_no_faults() -> None:
    assert faults_of_whole(whole()) == []
    assert faults_of_stream(fake_mesh.stream("Blue as ever.", MODEL)) == []


@pytest.mark.parametrize("reason", [LENGTH, FILTERED])
def test_an_empty_answer_may_give_its_reason(reason: Any) -> None:
    assert faults_of_stream(stream(Delta(reasoning="hm"), reason=reason)) == []


def test_reasoning_text_and_calls_may_follow_one_another_in_parts_of_their_own() -> None:
    thought, said = Delta(reasoning="hm"), Delta(part_index=1, text="so")
    cited = Delta(part_index=1, citation=chat_pb2.Citation(uri="https://a.test"))
    opaque = Delta(part_index=2, provider_data=chat_pb2.ProviderData(vendor="alpha"))
    called = [call(3, '{"a"'), Delta(part_index=3, tool_arguments=": 1}")]
    assert faults_of_stream(stream(thought, said, cited, opaque, *called, reason=CALLS)) == []


def empty(response: router_pb2.GenerateResponse) -> None:
    response.completion.choices[0].parts[0].text.text = " \n"


def usage(**fields: int) -> Callable[[Any], None]:
    def change(response: Any) -> None:
        for field, figure in fields.items():
            setattr(response.completion.usage, field, figure)

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (empty, "the answer is empty and gives no reason"),
        (lambda r: r.completion.choices.add(index=1, finish_reason=1), "the answer has 2 choices instead of one"),
        (lambda r: r.completion.ClearField("choices"), "the answer has 0 choices instead of one"),
        (lambda r: r.completion.choices[0].ClearField("finish_reason"), "the answer has no finish reason"),
        (usage(input_tokens=0), "usage: 0 input tokens for a prompt"),
        (usage(output_tokens=0), "usage: 0 output tokens for 13 bytes"),
        (usage(cached_input_tokens=13), "usage: more input tokens cached than there are"),
        (usage(reasoning_tokens=5), "usage: more tokens of reasoning than of output"),
        (usage(list_cost_nanos=1), "usage: it cost 1234000 nano-dollars at a list price of 1"),
        (lambda r: r.route.CopyFrom(fake_mesh.route(model="beta/b-1")), "the route names beta/b-1"),
        (lambda r: r.route.ClearField("attempts"), "the route does not have one attempt that served"),
    ],
)
def test_a_whole_answer_is_faulty_when(change: Callable[[Any], Any], fault: str) -> None:
    assert fault in faults_of_whole(whole(change))


GOOD = fake_mesh.stream("Blue as ever.", MODEL)


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([], "the stream is empty"),
        (GOOD[1:], "the stream begins with deltas instead of start"),
        ([GOOD[0], *GOOD], "the stream has 2 events `start` instead of one"),
        (GOOD[:-1], "the stream has 0 events `finish` instead of one"),
        ([*GOOD, GOOD[-1]], "the stream has 2 events `finish` instead of one"),
        ([*GOOD, GOOD[1]], "the stream goes on after its finish, with deltas"),
        ([GOOD[0], router_pb2.StreamGenerateResponse(), *GOOD[1:]], "the stream has an event that says nothing"),
        ([fake_mesh.start("beta/b-1"), *GOOD[1:]], "the stream names several offers: alpha/a-1#1, beta/b-1#1"),
        (stream(Delta(part_index=1, text="so")), "part 1 begins when part 0 should"),
        (stream(Delta(text="so"), Delta(reasoning="hm")), "part 0 turns from text into reasoning"),
        (
            stream(Delta(text="so"), Delta(part_index=1, tool_arguments="{}")),
            "part 1 has arguments of a tool call that has not begun",
        ),
        (
            stream(call(arguments="{"), reason=CALLS),
            "the call of `look` has no name, or arguments that are no JSON object",
        ),
        (
            stream(call(arguments="[]"), reason=CALLS),
            "the call of `look` has no name, or arguments that are no JSON object",
        ),
        (stream(call(name=""), reason=CALLS), "the call of `` has no name, or arguments that are no JSON object"),
        (stream(Delta(text="so"), reason=CALLS), "the answer ends for tool calls and has none"),
        (stream(Delta(reasoning="hm")), "the answer is empty and gives no reason"),
        (stream(Delta(text="so"), reason=0), "the answer has no finish reason"),
    ],
)
def test_a_stream_is_faulty_when(events: Events, fault: str) -> None:
    assert fault in faults_of_stream(events)


def test_a_good_vector_has_no_faults() -> None:
    assert list(form.of_vectors(MODEL, fake_mesh.vectors(MODEL))) == []


def vectors(change: Callable[[Any], Any]) -> router_pb2.EmbedResponse:
    response = fake_mesh.vectors(MODEL)
    change(response)
    return response


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        (vectors(lambda r: r.ClearField("embeddings")), "0 vectors for one text"),
        (vectors(lambda r: r.embeddings.add(values=[1.0])), "2 vectors for one text"),
        (fake_mesh.vectors(MODEL, 0.0, 0.0, 0.0), "a vector of 3 numbers that are all zero"),
        (vectors(lambda r: r.embeddings[0].ClearField("values")), "a vector of 0 numbers that are all zero"),
        (fake_mesh.vectors(MODEL, 0.1, float("nan")), "a vector with something in it that is no number"),
        (vectors(lambda r: r.usage.Clear()), "usage: 0 input tokens for a prompt"),
        (fake_mesh.vectors("beta/b-1"), "the route names beta/b-1"),
    ],
)
def test_a_vector_is_faulty_when(response: router_pb2.EmbedResponse, fault: str) -> None:
    assert fault in list(form.of_vectors(MODEL, response))
