"""Bad input at every dialect: what docs/bad-input.md says becomes of it is what becomes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fixtures.prompts import SCHEMA_JSON, call, prompt, user, warned
from google.protobuf.json_format import ParseDict
from llmmesh.chat.v1.chat_pb2 import Message, Prompt

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS

DOC = Path(__file__).parents[3] / "docs" / "bad-input.md"
TOOL = {"name": "weather", "parameters_json": SCHEMA_JSON}
NOTED = {"dropped", "clamped", "moved", "added"}
REFUSED = {Reason.VENDOR_UNSUPPORTED: "refused", Reason.VENDOR_BAD_REQUEST: "bad request"}


@dataclass(frozen=True)
class Case:
    """A bad input, the field that is to be named, and what a request that takes it as it is must hold."""

    asked: Prompt
    field: str
    held: str = "never"


def turn(role: str, *parts: dict[str, Any]) -> Message:
    return ParseDict({"role": f"ROLE_{role}", "parts": list(parts)}, Message())


def text(said: str) -> dict[str, Any]:
    return {"text": {"text": said}}


def image(role: str = "USER", **fields: str) -> Prompt:
    parts = [turn(role, {"image": fields})]
    return prompt(*([user("hi")] if role == "ASSISTANT" else []), *parts, user("Look."))


def tool(**fields: Any) -> Prompt:
    return prompt(tools=[TOOL | fields])


def sampling(**fields: Any) -> Prompt:
    return prompt(sampling=fields)


def talk(*messages: Message) -> Prompt:
    return Prompt(messages=messages)


CALL = {"tool_call": {"id": "c1", "name": "weather", "arguments_json": "[1]"}}
RESULT = {"tool_result": {"tool_call_id": "c1", "text": "sun"}}
SCHEMA = {"json_schema": {"name": "day", "schema_json": SCHEMA_JSON}}
PIXELS, USER_IMAGE = "iVBORw0KGgo=", "messages[0].parts[0].image"
WITH_LIMIT = {"max_output_tokens": 4096}
CASES: dict[str, Case] = {
    "a link to an image": Case(image(uri="https://x.org/a.png"), f"{USER_IMAGE}.uri", '"https://x.org/a.png"'),
    "a link that is not of the web": Case(image(uri="ftp://x.org/a.png"), f"{USER_IMAGE}.uri"),
    "an image as data that is not base64": Case(image(uri="data:image/png,%89PNG"), f"{USER_IMAGE}.uri"),
    "an image type nobody looks at": Case(image(mime_type="image/tiff", data=PIXELS), f"{USER_IMAGE}.mime_type"),
    "an image without a type": Case(image(data=PIXELS), f"{USER_IMAGE}.mime_type"),
    "a moving image": Case(image(mime_type="image/gif", data=PIXELS), f"{USER_IMAGE}.mime_type", PIXELS),
    "an image without a source": Case(image(mime_type="image/png"), USER_IMAGE),
    "an image in a turn of the model": Case(
        image("ASSISTANT", mime_type="image/png", data=PIXELS), "messages[1].parts[0]", PIXELS
    ),
    "an image in system text": Case(image("SYSTEM", mime_type="image/png", data=PIXELS), USER_IMAGE),
    "a tool schema that is no JSON": Case(tool(parameters_json="{"), "tools[0].parameters_json"),
    "a tool schema that is an array": Case(tool(parameters_json="[]"), "tools[0].parameters_json"),
    "a tool schema of something else than an object": Case(
        tool(parameters_json='{"type":"string"}'), "tools[0].parameters_json"
    ),
    "a tool schema with `oneOf` at the root": Case(
        tool(parameters_json='{"oneOf":[{"type":"object"}]}'), "tools[0].parameters_json", '"oneOf":'
    ),
    "a tool name with a dot": Case(tool(name="day.weather"), "tools[0].name"),
    "a tool name of 65 letters": Case(tool(name="a" * 65), "tools[0].name"),
    "two tools of one name": Case(prompt(tools=[TOOL, TOOL]), "tools[1].name"),
    "a tool that must be called": Case(
        prompt(tools=[TOOL], tool_choice={"mode": "MODE_NAMED", "name": "weather"}), "tool_choice", "weather"
    ),
    "a named tool nobody offers": Case(
        prompt(tools=[TOOL], tool_choice={"mode": "MODE_NAMED", "name": "time"}), "tool_choice.name"
    ),
    "a forced call without tools": Case(prompt(tool_choice={"mode": "MODE_REQUIRED"}), "tool_choice"),
    "a JSON answer without a schema": Case(
        prompt(user("JSON, please."), response_format={"json_object": {}}), "response_format.json_object", "json"
    ),
    "a JSON answer the prompt does not speak of": Case(
        prompt(response_format={"json_object": {}}), "response_format.json_object", "json"
    ),
    "a schema for the answer beside tools": Case(
        prompt(tools=[TOOL], response_format=SCHEMA), "response_format", "json"
    ),
    "a schema for the answer that is no JSON": Case(
        prompt(response_format={"json_schema": {"name": "day", "schema_json": "{"}}),
        "response_format.json_schema.schema_json",
    ),
    "a schema's name with a space": Case(
        prompt(response_format={"json_schema": {"name": "a day", "schema_json": SCHEMA_JSON}}),
        "response_format.json_schema.name",
    ),
    "two answers": Case(sampling(n=2), "sampling.n", ":2"),
    "nine answers": Case(sampling(n=9), "sampling.n", ":9"),
    "no answer": Case(sampling(n=0), "sampling.n"),
    "five stop texts": Case(sampling(stop=list("vwxyz")), "sampling.stop", '["v","w","x","y","z"]'),
    "six stop texts": Case(sampling(stop=list("uvwxyz")), "sampling.stop", '["u","v","w","x","y","z"]'),
    "a stop text of white space": Case(sampling(stop=[" "]), "sampling.stop", '[" "]'),
    "an empty stop text": Case(sampling(stop=[""]), "sampling.stop[0]"),
    "temperature 1.5": Case(sampling(temperature=1.5), "sampling.temperature", ":1.5"),
    "temperature 3": Case(sampling(temperature=3), "sampling.temperature"),
    "temperature NaN": Case(sampling(temperature="NaN"), "sampling.temperature"),
    "`top_k` 600": Case(sampling(top_k=600), "sampling.top_k", ":600"),
    "a negative seed": Case(sampling(seed=-7), "sampling.seed", ":-7"),
    "a seed of 64 bits": Case(sampling(seed=2**40), "sampling.seed", f":{2**40}"),
    "`top_logprobs` 5": Case(sampling(top_logprobs=5), "sampling.top_logprobs", ":5"),
    "`top_logprobs` 21": Case(sampling(top_logprobs=21), "sampling.top_logprobs"),
    "`max_output_tokens` 0": Case(sampling(max_output_tokens=0), "sampling.max_output_tokens"),
    "`max_output_tokens` above the model's": Case(
        sampling(max_output_tokens=9999), "sampling.max_output_tokens", ":9999"
    ),
    "`max_output_tokens` beyond all models": Case(sampling(max_output_tokens=2**31 - 1), "sampling.max_output_tokens"),
    "no conversation": Case(Prompt(), "messages"),
    "system text alone": Case(talk(turn("SYSTEM", text("Be brief."))), "messages", "Be brief."),
    "a user who says nothing": Case(talk(turn("USER", text(""))), "messages", '"user"'),
    "a turn without parts": Case(talk(turn("USER"), user("hi")), "messages[0].parts"),
    "system text in the middle": Case(talk(user("hi"), turn("SYSTEM", text("Be brief."))), "messages[1]", "Be brief."),
    "a turn of the model first": Case(talk(turn("ASSISTANT", text("Hello!")), user("hi")), "messages", "Hello!"),
    "a result without its call": Case(
        talk(user("hi"), turn("TOOL", RESULT)), "messages[1].parts[0].tool_result.tool_call_id"
    ),
    "a past call's arguments that are no object": Case(
        talk(user("hi"), turn("ASSISTANT", CALL), turn("TOOL", RESULT)),
        "messages[1].parts[0].tool_call.arguments_json",
        '"[1]"',
    ),
    "text in a turn of tools": Case(talk(user("hi"), turn("TOOL", text("sun"))), "messages[1].parts[0].text"),
    "a turn of nobody": Case(talk(turn("UNSPECIFIED", text("hi"))), "messages[0].role"),
}


def cells() -> Iterator[list[str]]:
    """Yield the rows of the document's tables, without their heads."""
    for line in DOC.read_text("utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| bad input"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


ROWS = list(cells())
PLAIN = [row for row in ROWS if len(row) == 1 + len(DIALECTS)]
BENT = [row for row in ROWS if len(row) == 4]


def becomes(case: Case, dialect: str, quirks: frozenset[str] = frozenset()) -> str:
    """Say what becomes of a bad input, in the document's words; whatever happens has to name the field."""
    try:
        request = DIALECTS[dialect].encode(call(case.asked, quirks=quirks, **WITH_LIMIT))
    except MeshError as refused:
        return refusal(case, refused)
    noted = {code for code, field in warned(request) if field.startswith(case.field) and code in NOTED}
    if noted:
        (code,) = noted
        return code
    held = case.held in request.body.decode().replace(": ", ":")
    return "taken" if held else "changed in silence"


def refusal(case: Case, refused: MeshError) -> str:
    named = bool(refused.fields) and refused.fields[0].field.startswith(case.field) and refused.fields[0].description
    return REFUSED[refused.reason] if named else f"refused without its field: {refused}"


def test_the_document_tells_of_every_bad_input_tried_here() -> None:
    assert [row[0] for row in PLAIN] == list(CASES)
    assert BENT


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row[0])
def test_bad_input_becomes_what_the_document_says(row: list[str]) -> None:
    assert {dialect: becomes(CASES[row[0]], dialect) for dialect in DIALECTS} == dict(
        zip(("openai", "anthropic", "gemini", "cohere", "responses", "ollama"), row[1:], strict=True)
    )


@pytest.mark.parametrize("row", BENT, ids=lambda row: f"{row[1]} {row[2]}")
def test_a_quirk_changes_what_becomes_of_bad_input_as_the_document_says(row: list[str]) -> None:
    name, dialect, quirk, expected = row
    before = becomes(CASES[name], dialect)
    assert becomes(CASES[name], dialect, frozenset({quirk.strip("`")})) == expected != before
