"""What a dialect says about a prompt it could not carry whole: warnings, or a refusal when the meaning would change."""

from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import FieldViolation, MeshError, Reason


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

    def own_state(self, part: chat_pb2.Part, vendor: str, field: str) -> bytes:
        """Return what this vendor wants back with a part; another vendor's is left out with a note."""
        if not part.HasField("provider_data"):
            return b""
        made_by = part.provider_data.vendor
        if made_by == vendor:
            return part.provider_data.data
        self.note("foreign_state", f"{field}.provider_data", f"state of {made_by} means nothing to {vendor}")
        return b""

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


def refuse(field: str, description: str) -> MeshError:
    """Make the error for a field the vendor cannot take and that must not be left out."""
    return MeshError(Reason.VENDOR_UNSUPPORTED, f"{field}: {description}", fields=[FieldViolation(field, description)])
