"""Schemas reach every vendor in their own order, or are refused by their field before anything is sent."""

import json
from typing import Any

import pytest
from fixtures.prompts import call, prompt

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS

# Models write properties in the schema's order: the verdict must come after the reasons.
ORDERED = '{"type": "object", "properties": {"why": {"type": "string"}, "score": {"maximum": 1.0}, "a": {}}}'


def asking(where: str, written: str) -> dict[str, Any]:
    if where == "tools[0].parameters_json":
        return {"tools": [{"name": "t", "parameters_json": written}]}
    return {"response_format": {"json_schema": {"schema_json": written}}}


@pytest.mark.parametrize("where", ["tools[0].parameters_json", "response_format.json_schema.schema_json"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
class TestEveryDialect:
    def test_embeds_a_schema_as_it_was_written(self, dialect: Any, where: str) -> None:
        body = dialect.encode(call(prompt(**asking(where, ORDERED)))).body
        assert ORDERED.encode() in body
        assert json.loads(body)

    @pytest.mark.parametrize("written", ["{", "[]", '{"a": NaN}', '{}, "model": "x"', "[" * 100_000])
    def test_refuses_what_is_no_json_object_by_its_field(self, dialect: Any, where: str, written: str) -> None:
        with pytest.raises(MeshError) as refused:
            dialect.encode(call(prompt(**asking(where, written))))
        assert refused.value.reason is Reason.VENDOR_BAD_REQUEST
        assert [violation.field for violation in refused.value.fields] == [where]

    def test_takes_an_empty_schema_for_none(self, dialect: Any, where: str) -> None:
        empty, absent = (json.loads(dialect.encode(call(prompt(**asking(where, text)))).body) for text in ("{}", ""))
        assert empty == absent
