"""Keeps what this wire wants back verbatim: reasoning with its encrypted content, items of the vendor's own tools, ids.

Nothing is stored at the vendor, so an id alone finds nothing there: ids go back only beside reasoning that carries its
content with it, and then all of them do, because the vendor checks that what belongs together comes together.
"""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ProviderData

from provider_services.dialects import wire
from provider_services.dialects.interface import Call

PLAIN = "plain_input"  # the vendor takes messages, calls and results, and of those no more than what they say
CALL_FIELDS = frozenset({"type", "id", "status", "call_id", "name", "arguments", "input"})


class Keeper:
    """Keeps the state of one answer, item by item in their order."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._plain = PLAIN in call.quirks
        self._signed = False

    def item(self, item: Mapping[str, Any]) -> ProviderData | None:
        """Return the state of a reasoning item, or of one that means nothing to anyone else; None when it has none."""
        if self._plain:
            return None
        if item.get("type") == "reasoning":
            if not (item.get("encrypted_content") or item.get("content")):
                return None
            self._signed = True
        return self._keep({"item": item})

    def call(self, item: Mapping[str, Any]) -> ProviderData | None:
        """Return the state of a tool call: signatures and the like, and its id where ids go back."""
        fields = {name: value for name, value in item.items() if name not in CALL_FIELDS and value is not None}
        return self._keep_fields(fields, item)

    def message(self, item: Mapping[str, Any]) -> ProviderData | None:
        """Return the state of a message: whether it was a comment or the answer, and its id where ids go back."""
        fields = {"phase": item["phase"]} if item.get("phase") else {}
        return None if self._plain else self._keep_fields(fields, item)

    def _keep_fields(self, fields: dict[str, Any], item: Mapping[str, Any]) -> ProviderData | None:
        if self._signed and item.get("id"):
            fields["id"] = item["id"]
        return self._keep({"fields": fields}) if fields else None

    def _keep(self, state: dict[str, Any]) -> ProviderData:
        return ProviderData(vendor=self._call.vendor, model=self._call.model, data=wire.encode(state))


def item(data: bytes) -> dict[str, Any] | None:
    """Return the whole item that was kept, or None when none was."""
    kept = wire.mapping(wire.try_decode(data)).get("item") if data else None
    return kept if isinstance(kept, dict) else None


def fields(data: bytes) -> dict[str, Any]:
    """Return the fields of an item that were kept."""
    return dict(wire.mapping(wire.mapping(wire.try_decode(data)).get("fields"))) if data else {}
