"""What a dialect says about a prompt it could not carry whole: warnings, or a refusal when the meaning would change."""

import msgspec
from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import FieldViolation, MeshError, Reason

# What is said for the operator where a vendor answers in JSON only when the prompt speaks of it.
SPEAK_OF_JSON = "Answer in JSON."


class Notes:
    """Collects the warnings of one request, without repeating itself."""

    def __init__(self) -> None:
        self._warnings: dict[tuple[str, str], chat_pb2.Warning] = {}

    def drop(self, field: str, message: str) -> None:
        """Note that a field was left out."""
        self.note("dropped", field, message)

    def note(self, code: str, field: str, message: str) -> None:
        """Note anything else, such as "clamped" or "foreign_state"; the first note of a kind and field stays."""
        self._warnings.setdefault((code, field), chat_pb2.Warning(code=code, field=field, message=message))

    def speak_of_json(self) -> None:
        """Note that the word was put into the prompt."""
        self.note("added", "response_format.json_object", "this vendor wants the prompt to speak of JSON: it does now")

    def own_state(self, part: chat_pb2.Part, vendor: str, field: str) -> bytes:
        """Return what this vendor wants back with a part; another vendor's is left out with a note."""
        if not part.HasField("provider_data"):
            return b""
        made_by = part.provider_data.vendor
        if made_by == vendor:
            return part.provider_data.data
        self.note("foreign_state", f"{field}.provider_data", f"state of {made_by} means nothing to {vendor}")
        return b""

    def arguments(self, called: chat_pb2.ToolCall, field: str) -> msgspec.Raw | dict[str, object]:
        """Return a call's arguments as the object some wires want, as they were written; what is none is left out."""
        given = called.arguments_json or "{}"
        try:
            if isinstance(msgspec.json.decode(given), dict):
                return msgspec.Raw(given.encode())
        except (ValueError, RecursionError):
            pass
        self.drop(f"{field}.tool_call.arguments_json", "this vendor takes an object only")
        return {}

    @property
    def warnings(self) -> tuple[chat_pb2.Warning, ...]:
        """Every note so far."""
        return tuple(self._warnings.values())


def unused_kind(kind: "chat_pb2.InputKind.ValueType") -> tuple[chat_pb2.Warning, ...]:
    """Note that a model is not told what a text is for, if the caller said it."""
    notes = Notes()
    if kind != chat_pb2.INPUT_KIND_UNSPECIFIED:
        notes.drop("input_kind", "this model makes one vector of a text, whatever it is for")
    return notes.warnings


def bad(field: str, description: str) -> MeshError:
    """Make the error for a field that no vendor could take."""
    return MeshError(Reason.VENDOR_BAD_REQUEST, f"{field}: {description}", fields=[FieldViolation(field, description)])


def refuse(field: str, description: str) -> MeshError:
    """Make the error for a field the vendor cannot take and that must not be left out."""
    return MeshError(Reason.VENDOR_UNSUPPORTED, f"{field}: {description}", fields=[FieldViolation(field, description)])
