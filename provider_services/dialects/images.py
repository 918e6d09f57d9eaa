"""Images of a prompt: bytes with their type, or a link; what a vendor does not look at or cannot fetch is refused."""

import base64
import binascii
from collections.abc import Collection

from llmmesh.chat.v1.chat_pb2 import Image

from provider_services.dialects.notes import refuse

# What nearly every vendor that sees looks at.
PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
PDF = "application/pdf"


def inline(image: Image, field: str, kinds: Collection[str]) -> tuple[str, str] | None:
    """Return the type and the base64 of an image that travels with the prompt; None for a link.

    Raises:
        MeshError: VENDOR_UNSUPPORTED for a type that is not among `kinds`, and for data in anything but base64.
    """
    if image.WhichOneof("source") == "data":
        return _known(image.mime_type, field, kinds), base64.b64encode(image.data).decode()
    if not image.uri.startswith("data:"):
        return None
    described, _, data = image.uri.removeprefix("data:").partition(",")
    if not described.endswith(";base64") or not _is_base64(data):
        raise refuse(f"{field}.image.uri", "this vendor takes data in base64 only")
    return _known(described.partition(";")[0] or image.mime_type, field, kinds), data


def link(image: Image, field: str, kinds: Collection[str]) -> str:
    """Return a link the vendor can fetch; raises MeshError VENDOR_UNSUPPORTED for any other."""
    if not image.uri.startswith(("https://", "http://")):
        raise refuse(f"{field}.image.uri", "this vendor fetches links of the web only")
    if image.mime_type:
        _known(image.mime_type, field, kinds)
    return image.uri


def url(image: Image, field: str, kinds: Collection[str] = PICTURES) -> str:
    """Return the link, or the bytes as a data URL."""
    held = inline(image, field, kinds)
    return link(image, field, kinds) if held is None else f"data:{held[0]};base64,{held[1]}"


def _known(kind: str, field: str, kinds: Collection[str]) -> str:
    kind = {"image/jpg": "image/jpeg"}.get(kind.lower(), kind.lower())
    if kind not in kinds:
        raise refuse(f"{field}.image.mime_type", f"this vendor looks at {', '.join(sorted(kinds))}")
    return kind


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False
