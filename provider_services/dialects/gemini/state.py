"""Keeps what this wire wants back verbatim: thought signatures, and parts that mean nothing to anyone else."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ProviderData

from provider_services.dialects import wire
from provider_services.dialects.interface import Call

KINDS = ("functionCall", "text")


def keep(call: Call, part: Mapping[str, Any]) -> ProviderData | None:
    """Return what must go back with a part, or None: the signature, or the whole part if it is of no kind of ours."""
    if not any(kind in part for kind in KINDS):
        return ProviderData(vendor=call.vendor, model=call.model, data=wire.encode({"part": part}))
    if signed := part.get("thoughtSignature"):
        return ProviderData(vendor=call.vendor, model=call.model, data=wire.encode({"thoughtSignature": signed}))
    return None


def opaque(data: bytes) -> dict[str, Any] | None:
    """Return the whole part that was kept, or None when only a signature was."""
    part = wire.mapping(wire.try_decode(data)).get("part")
    return part if isinstance(part, dict) else None


def signature(data: bytes) -> dict[str, str]:
    """Return the signature that was kept, as the field of a part."""
    signed = wire.mapping(wire.try_decode(data)).get("thoughtSignature") if data else None
    return {"thoughtSignature": signed} if isinstance(signed, str) else {}
