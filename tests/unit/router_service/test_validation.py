"""Which field is named for which mistake, before anything is held or sent."""

import pytest
from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import MeshError, Reason
from router_service import validation

USER, SYSTEM, ASSISTANT, TOOL = (
    chat_pb2.ROLE_USER,
    chat_pb2.ROLE_SYSTEM,
    chat_pb2.ROLE_ASSISTANT,
    chat_pb2.ROLE_TOOL,
)


def text(words: str = "Hi") -> chat_pb2.Part:
    return chat_pb2.Part(text=chat_pb2.Text(text=words))


def image(**row: object) -> chat_pb2.Part:
    return chat_pb2.Part(image=chat_pb2.Image(**row))


def result(call: str) -> chat_pb2.Part:
    return chat_pb2.Part(tool_result=chat_pb2.ToolResult(tool_call_id=call, text="42"))


def said(role: int, *parts: chat_pb2.Part) -> chat_pb2.Message:
    return chat_pb2.Message(role=role, parts=parts)


def prompt(*messages: chat_pb2.Message, **more: object) -> chat_pb2.Prompt:
    return chat_pb2.Prompt(messages=messages or [said(USER, text())], **more)


def sampling(**row: object) -> chat_pb2.Prompt:
    return prompt(sampling=chat_pb2.Sampling(**row))


def tools(*names: str, **choice: object) -> chat_pb2.Prompt:
    chosen = chat_pb2.ToolChoice(**choice) if choice else None
    return prompt(tools=[chat_pb2.Tool(name=name) for name in names], tool_choice=chosen)


def schema(written: str = "") -> chat_pb2.Prompt:
    asked = prompt()
    asked.response_format.json_schema.name = "s"
    asked.response_format.json_schema.schema_json = written
    return asked


def parameters(written: str) -> chat_pb2.Prompt:
    return prompt(tools=[chat_pb2.Tool(name="t", parameters_json=written)])


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


NAMED, REQUIRED = chat_pb2.ToolChoice.MODE_NAMED, chat_pb2.ToolChoice.MODE_REQUIRED
NO_SCHEMAS = ["", "{", "[]", "null", '"object"', "{}{}", '{"a": NaN}', "{" * 100_000, nested(29), nested(5_000)]
WRONG = [
    (chat_pb2.Prompt(), "prompt.messages"),
    (prompt(said(SYSTEM, text())), "prompt.messages"),
    (chat_pb2.Prompt(messages=[said(USER, text())] * 10_001), "prompt.messages"),
    (prompt(said(0, text())), "prompt.messages[0].role"),
    (prompt(said(99, text())), "prompt.messages[0].role"),
    (prompt(said(USER)), "prompt.messages[0].parts"),
    (prompt(said(USER, text()), said(TOOL, text())), "prompt.messages[1].parts[0]"),
    (prompt(said(USER, text(), chat_pb2.Part())), "prompt.messages[0].parts[1]"),
    (prompt(said(USER, result("c"))), "prompt.messages[0].parts[0]"),
    (prompt(said(SYSTEM, image(mime_type="image/png", data=b"1")), said(USER, text())), "prompt.messages[0].parts[0]"),
    (prompt(said(TOOL, result(""))), "prompt.messages[0].parts[0].tool_result.tool_call_id"),
    (prompt(said(USER, image())), "prompt.messages[0].parts[0].image"),
    (prompt(said(USER, image(mime_type="text/html", data=b"1"))), "prompt.messages[0].parts[0].image.mime_type"),
    (prompt(said(USER, image(uri="file:///etc/passwd"))), "prompt.messages[0].parts[0].image.uri"),
    (tools("bad name"), "prompt.tools[0].name"),
    (tools(""), "prompt.tools[0].name"),
    (tools("x" * 65), "prompt.tools[0].name"),
    (tools("same", "same"), "prompt.tools[1].name"),
    (tools(*(f"t{n}" for n in range(513))), "prompt.tools"),
    (tools("a", mode=NAMED, name="b"), "prompt.tool_choice.name"),
    (prompt(tool_choice=chat_pb2.ToolChoice(mode=REQUIRED)), "prompt.tool_choice"),
    (sampling(temperature=2.01), "prompt.sampling.temperature"),
    (sampling(temperature=-0.01), "prompt.sampling.temperature"),
    (sampling(temperature=float("nan")), "prompt.sampling.temperature"),
    (sampling(top_p=1.5), "prompt.sampling.top_p"),
    (sampling(top_k=0), "prompt.sampling.top_k"),
    (sampling(max_output_tokens=0), "prompt.sampling.max_output_tokens"),
    (sampling(frequency_penalty=-3), "prompt.sampling.frequency_penalty"),
    (sampling(presence_penalty=3), "prompt.sampling.presence_penalty"),
    (sampling(n=0), "prompt.sampling.n"),
    (sampling(n=129), "prompt.sampling.n"),
    (sampling(top_logprobs=21), "prompt.sampling.top_logprobs"),
    (sampling(stop=["x"] * 65), "prompt.sampling.stop"),
    (sampling(stop=["x", ""]), "prompt.sampling.stop"),
    *[(schema(written), "prompt.response_format.json_schema.schema_json") for written in NO_SCHEMAS],
    *[(parameters(written), "prompt.tools[0].parameters_json") for written in NO_SCHEMAS if written],
]
RIGHT = [
    prompt(),
    prompt(said(USER, text()), said(ASSISTANT), said(USER, image(uri="https://a.test/b.png"))),
    prompt(said(USER, image(mime_type="image/png", data=b"1")), said(TOOL, result("c"))),
    tools("a", "b-_9", mode=NAMED, name="a"),
    tools("a", mode=REQUIRED),
    *[schema(written) for written in ("{}", ' {"b": {}, "a": 1e3} ', nested(28))],
    *[parameters(written) for written in ("", "{}", nested(28))],
    sampling(temperature=0, top_p=0, top_k=1, max_output_tokens=1, n=1, top_logprobs=0),
    sampling(temperature=2, top_p=1, n=128, top_logprobs=20, frequency_penalty=2, presence_penalty=-2),
]


@pytest.mark.parametrize(("asked", "field"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_refused_by_its_field(asked, field):
    with pytest.raises(MeshError) as caught:
        validation.check("", asked)
    error = caught.value
    assert (error.reason, error.code) == (Reason.INVALID_REQUEST, "INVALID_ARGUMENT")
    assert [violation.field for violation in error.fields] == [field]
    assert error.message.startswith(field + ": must ") or "requires" in error.message


@pytest.mark.parametrize("asked", RIGHT)
def test_what_is_right_passes(asked):
    validation.check("", asked)


@pytest.mark.parametrize("request_id", ["", "a", "x" * 100, "a/b:c~!"])
def test_a_request_id_is_up_to_a_hundred_printable_characters(request_id):
    validation.check(request_id, prompt())


@pytest.mark.parametrize("request_id", ["x" * 101, "a b", "a\n", "é", "\x7f"])
def test_any_other_request_id_is_refused(request_id):
    with pytest.raises(MeshError) as caught:
        validation.check(request_id, prompt())
    assert [violation.field for violation in caught.value.fields] == ["request_id"]


def test_every_mistake_is_named_up_to_twenty():
    with pytest.raises(MeshError) as caught:
        validation.check("a b", chat_pb2.Prompt(messages=[said(0)] * 30, sampling=chat_pb2.Sampling(n=0)))
    assert len(caught.value.fields) == 20
    assert caught.value.fields[0].field == "request_id"
