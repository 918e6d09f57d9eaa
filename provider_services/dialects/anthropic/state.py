"""Keeps what the vendor wants to see again as it was: signatures, sources, blocks of its own tools."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ProviderData

from provider_services.dialects import wire
from provider_services.dialects.interface import Subject


def keep_block(subject: Subject, block: Mapping[str, Any]) -> ProviderData:
    """Keep a whole block that is of no kind of ours."""
    return _data(subject, {"block": block})


def keep_fields(subject: Subject, fields: Mapping[str, Any]) -> ProviderData:
    """Keep fields that go back beside what a part says."""
    return _data(subject, {"fields": fields})


def block(data: bytes) -> dict[str, Any] | None:
    """Return the whole block that was kept, or None."""
    kept = wire.mapping(wire.try_decode(data)).get("block") if data else None
    return kept if isinstance(kept, dict) else None


def fields(data: bytes) -> dict[str, Any]:
    """Return the fields that were kept."""
    return dict(wire.mapping(wire.mapping(wire.try_decode(data)).get("fields"))) if data else {}


def _data(subject: Subject, kept: Mapping[str, Any]) -> ProviderData:
    return ProviderData(vendor=subject.vendor, model=subject.model, data=wire.encode(kept))
