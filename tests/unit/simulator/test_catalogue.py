"""What the catalogue's rows let through, the strict vendors take: every model is asked for all that may be asked."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.prompts import SCHEMA_JSON, prompt, user
from fixtures.shipped import shipped
from fixtures.simulated_vendors import Guest, admitted

from llm_mesh.simulated import hosted
from meshkit.errors import MeshError, Reason
from provider_services.dialects.interface import VendorFault
from provider_services.simulator.rows import VendorRow, load_rows
from provider_services.simulator.running import running_simulator, without_latency

CATALOGUE = shipped().vendors
TOOL = {"name": "now", "parameters_json": '{"type":"object"}'}
SAMPLING = {"temperature": 1.9, "top_p": 0.9, "top_k": 9, "seed": 3, "frequency_penalty": 0.2, "presence_penalty": 0.2}
ASKED: Mapping[str, dict[str, Any]] = {
    "nothing": {},
    "no thinking": {"reasoning_effort": "REASONING_EFFORT_NONE"},
    "minimal thinking": {"reasoning_effort": "REASONING_EFFORT_MINIMAL"},
    "medium thinking": {"reasoning_effort": "REASONING_EFFORT_MEDIUM"},
    "most thinking": {"reasoning_effort": "REASONING_EFFORT_EXTRA_HIGH"},
    "sampling": {"sampling": SAMPLING},
    "heat": {"sampling": {"temperature": 2}},
    "cold": {"sampling": {"temperature": 0}},
    "two stops": {"sampling": {"stop": ["zz", "yy"]}},
    "probabilities": {"sampling": {"top_logprobs": 12}},
    "json": {"response_format": {"json_object": {}}},
    "a schema": {"response_format": {"json_schema": {"schema_json": SCHEMA_JSON}}},
    "tools": {"tools": [TOOL | {"strict": True}], "parallel_tool_calls": False},
    "a tool": {"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}},
    "this tool": {"tools": [TOOL], "tool_choice": {"mode": "MODE_NAMED", "name": "now"}},
    "no tool": {"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}},
    "two answers": {"sampling": {"n": 2}},
}
# Refused by the vendor itself: its dialect has no word for it.
LEFT_TO_THE_VENDOR = {("gemini", "two answers")}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[VendorRow, ...]:
    file: Path = tmp_path_factory.mktemp("rows") / "hosted.json"
    file.write_text(json.dumps(hosted(shipped())), encoding="utf-8")
    return without_latency(load_rows(file))


@pytest.fixture(params=sorted(CATALOGUE))
async def each(
    request: pytest.FixtureRequest, rows: tuple[VendorRow, ...], http: httpx.AsyncClient
) -> AsyncIterator[Guest]:
    async with running_simulator(rows) as sim:
        yield await admitted(request.param, sim, http, {row.name: row for row in rows})


async def refusal(each: Guest, model: str, fields: dict[str, Any]) -> str:
    """Ask and say how the vendor refused; nothing when it answered, or when its dialect knew better than to ask."""
    try:
        await each.ask(each.call(model, prompt(user("say: json"), **fields)))
    except VendorFault as refused:
        return refused.fault.message
    except MeshError as unsent:
        assert unsent.reason is Reason.VENDOR_UNSUPPORTED  # noqa: PT017 - anything else is a crash
    return ""


async def test_every_model_takes_what_its_row_lets_through(each: Guest) -> None:
    models = [model.id for model in CATALOGUE[each.row.name].models.values() if model.status == "active"]
    chats = [model for model in models if (row := each.row.model(model)) is not None and row.kind == "chat"]
    wrong: dict[str, list[str]] = {}
    for what, fields in ASKED.items():
        for model in chats if (each.row.name, what) not in LEFT_TO_THE_VENDOR else ():
            if told := await refusal(each, model, fields):
                wrong.setdefault(f"{what}: {told}", []).append(model)
    assert wrong == {}


async def test_every_model_that_makes_vectors_makes_them(each: Guest) -> None:
    for model in CATALOGUE[each.row.name].models.values():
        if model.embeds and model.status == "active":
            most = model.dimensions or 64
            (natural,) = (await each.vectors(model.id, "a text")).embeddings
            (short,) = (await each.vectors(model.id, "a text", dimensions=64)).embeddings
            (long,) = (await each.vectors(model.id, "a text", dimensions=most)).embeddings
            assert (len(short.values), len(long.values), len(natural.values) > 0) == (64, most, True)
