"""JSON in and out, for every dialect: fast, strict with callers, forgiving with vendors, schemas in their own order."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from meshkit.errors import Reason
from provider_services.dialects.interface import Fault, VendorFault
from provider_services.dialects.notes import bad

# What reading a value of the wrong shape raises; a dialect turns them into one VendorFault at its own border.
MALFORMED = (TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError)

Json = Any
encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def decode(data: bytes) -> Json:
    """Read a vendor's JSON; raises VendorFault VENDOR_SERVER when it is none."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return _forgiven(data)


def decode_object(data: bytes) -> dict[str, Json]:
    """Read a JSON object; raises VendorFault VENDOR_SERVER when it is none."""
    value = decode(data)
    if not isinstance(value, dict):
        raise nonsense("the vendor's answer is not a JSON object")
    return value


def try_decode(data: bytes | str) -> Json:
    """Read JSON, or None when it is none."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return None


def _forgiven(data: bytes) -> Json:
    """Read what is JSON but for raw control characters, halves of a character, or numbers that are none."""
    try:
        value = json.loads(data.decode(errors="replace"), strict=False)
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        raise nonsense("the vendor's answer is not JSON") from None


def nonsense(message: str) -> VendorFault:
    """Make the fault of a vendor that does not speak its own language."""
    return VendorFault(Fault(Reason.VENDOR_SERVER, message, retryable=True))


def text(value: Json) -> str:
    """Return a text, or nothing when it is no text."""
    return value if isinstance(value, str) else ""


def count(value: Json) -> int:
    """Return a number of something; 0 when it is none, negative or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**62:
        return 0
    return int(value)


def mapping(value: Json) -> Mapping[str, Json]:
    """Return an object, or an empty one when it is none."""
    return value if isinstance(value, dict) else {}


def rows(body: Json, key: str) -> list[Json]:
    """Return the objects a list of a vendor holds, whatever else stands among them.

    A list is bare or stands under the key; without the key it is empty. Raises VendorFault VENDOR_SERVER when there is
    something else.
    """
    found = body.get(key) if isinstance(body, dict) else body
    if found is None and isinstance(body, dict):
        return []
    if not isinstance(found, list):
        raise nonsense("the vendor's list of models has an unknown shape")
    return [row for row in found if isinstance(row, dict)]


def schema(text: str, field: str) -> msgspec.Raw | None:
    """Return a JSON Schema as the caller wrote it, to be embedded as it is; None when it says nothing.

    Raises:
        MeshError: VENDOR_BAD_REQUEST when the text is no JSON object.
    """
    if not text:
        return None
    value = try_decode(text)
    if not isinstance(value, dict):
        raise bad(field, "must be the text of a JSON object")
    return msgspec.Raw(text) if value else None
