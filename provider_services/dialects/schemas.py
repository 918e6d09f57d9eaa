"""JSON Schemas of tools as their callers wrote them; what they describe is an object at every vendor."""

from collections.abc import Iterable

import msgspec
from llmmesh.chat.v1.chat_pb2 import Tool

from provider_services.dialects import wire
from provider_services.dialects.notes import bad, refuse

# Words that make a schema something else than one object, which some vendors take below the root only.
UNIONS = ("oneOf", "anyOf", "allOf", "enum", "const", "not")
NO_PARAMETERS = {"type": "object", "properties": {}}


def parameters(tool: Tool, field: str, *, untaken: Iterable[str] = ()) -> msgspec.Raw | None:
    """Return the schema of a tool's arguments, its root said to be an object; None when it says nothing.

    The vendor takes the `untaken` words below the root only.

    Raises:
        MeshError: VENDOR_BAD_REQUEST when it is none or of something else than an object, VENDOR_UNSUPPORTED for a
            word at its root.
    """
    field = f"{field}.parameters_json"
    schema = wire.schema(tool.parameters_json, field)
    if schema is None:
        return None
    root = wire.mapping(wire.try_decode(tool.parameters_json))
    if root.get("type", "object") != "object":
        raise bad(field, "must be the schema of an object, for arguments are one")
    for word in untaken:
        if word in root:
            raise refuse(field, f"this vendor takes no {word} at the root of a tool's schema")
    if "type" in root:
        return schema
    inner = tool.parameters_json.strip().removeprefix("{")
    return msgspec.Raw(f'{{"type":"object",{inner}'.encode())
