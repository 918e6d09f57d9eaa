"""Carries what vendors need back verbatim through clients that know nothing of it.

A message whose parts hold provider data goes out with `llm_mesh_state`: all its parts as the vendor gave them. A client
that sends the message back unchanged gets exactly those parts before the vendor again; an edited message loses them.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError
from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import invalid

FIELD = "llm_mesh_state"
ALLOWED = ("text", "reasoning", "tool_call", "refusal")


def pack(parts: Sequence[chat_pb2.Part]) -> str | None:
    """Return the state of a message, or None when no part holds any."""
    if not any(part.HasField("provider_data") for part in parts):
        return None
    message = chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, parts=parts)
    return base64.b64encode(message.SerializeToString()).decode()


def unpack(state: str, path: str) -> list[chat_pb2.Part]:
    """Return the parts in a state.

    Raises:
        MeshError: INVALID_REQUEST when it is no state, or holds what no model says.
    """
    try:
        message = chat_pb2.Message.FromString(base64.b64decode(state, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        raise invalid(path, "must be sent back exactly as it was received, or left out") from None
    if any(part.WhichOneof("kind") not in ALLOWED for part in message.parts):
        raise invalid(path, "must be sent back exactly as it was received, or left out")
    return list(message.parts)


def same_words(left: Iterable[chat_pb2.Part], right: Iterable[chat_pb2.Part]) -> bool:
    """Tell whether two messages say the same to a reader; reasoning, which clients may strip, is left aside."""
    return _words(left) == _words(right)


def _words(parts: Iterable[chat_pb2.Part]) -> tuple[str, str, tuple[tuple[str, str, str], ...]]:
    parts = tuple(parts)
    return (
        "".join(part.text.text for part in parts),
        "".join(part.refusal.text for part in parts),
        tuple(
            (part.tool_call.id, part.tool_call.name, part.tool_call.arguments_json)
            for part in parts
            if part.HasField("tool_call")
        ),
    )
