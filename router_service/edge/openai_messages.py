"""Reads the `messages` of a chat-completions request into turns of a prompt."""

import base64
import binascii
from collections.abc import Callable, Mapping

from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import invalid
from router_service.edge import state
from router_service.edge.fields import Fields
from router_service.edge.openai_functions import read_call, read_result

PartReader = Callable[[Fields], chat_pb2.Part]
# The name of every tool call seen so far, by its id: some vendors match results by name.
CallNames = dict[str, str]
DETAILS: "Mapping[str, chat_pb2.ImageDetail.ValueType]" = {
    "auto": chat_pb2.IMAGE_DETAIL_UNSPECIFIED,
    "low": chat_pb2.IMAGE_DETAIL_LOW,
    "high": chat_pb2.IMAGE_DETAIL_HIGH,
    "original": chat_pb2.IMAGE_DETAIL_HIGH,
}
LONGEST_LINK = 8_192


def read_messages(body: Fields) -> list[chat_pb2.Message]:
    """Return the conversation, `system_message` first."""
    messages = []
    system = body.text("system_message")
    if system is not None:
        messages.append(chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, parts=[_part(system)]))
    rows = body.objects("messages")
    if not rows:
        raise invalid("messages", "must be a list of at least one message")
    names: CallNames = {}
    return messages + [_read(row, names) for row in rows]


def _read(row: Fields, names: CallNames) -> chat_pb2.Message:
    role = row.text("role")
    if role is None or role not in ROLES:
        raise invalid(row.at("role"), f"must be one of {', '.join(ROLES)}")
    message = ROLES[role](row, names)
    message.name = row.name("name")
    return message


def _system(row: Fields, _names: CallNames) -> chat_pb2.Message:
    return chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, parts=_content(row, {"text": _text}))


def _user(row: Fields, _names: CallNames) -> chat_pb2.Message:
    parts = _content(row, {"text": _text, "image_url": _image})
    return chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=parts)


def _tool(row: Fields, names: CallNames) -> chat_pb2.Message:
    call = row.name("tool_call_id")
    if not call:
        raise invalid(row.at("tool_call_id"), "is required: the id of the call this message answers")
    text = "".join(part.text.text for part in _content(row, {"text": _text}))
    result = chat_pb2.ToolResult(tool_call_id=call, name=names.get(call, ""), text=text)
    return chat_pb2.Message(role=chat_pb2.ROLE_TOOL, parts=[chat_pb2.Part(tool_result=result)])


def _assistant(row: Fields, names: CallNames) -> chat_pb2.Message:
    row.ignore("annotations", "parsed")
    parts = []
    reasoning = row.text("reasoning_content")
    if reasoning:
        parts.append(chat_pb2.Part(reasoning=chat_pb2.Reasoning(text=reasoning)))
    if row.raw("content") not in (None, []):  # several clients send an empty list beside tool calls
        parts += _content(row, {"text": _text, "refusal": _refusal})
    if row.text("refusal") is not None:
        parts.append(_refusal(row))
    for call in row.objects("tool_calls"):
        parts.append(_tool_call(call, names))
    if (called := read_call(row, names)) is not None:
        parts.append(called)
    return chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, parts=_restored(row, parts))


def _restored(row: Fields, parts: list[chat_pb2.Part]) -> list[chat_pb2.Part]:
    """Return the parts as the vendor gave them, when the client kept both its state and its words."""
    packed = row.text(state.FIELD)
    if packed is None:
        return parts
    original = state.unpack(packed, row.at(state.FIELD))
    if state.same_words(original, parts):
        return original
    row.drop(state.FIELD, "the message was edited after it was received, so its vendor state was left out")
    return parts


def _content(row: Fields, readers: Mapping[str, PartReader]) -> list[chat_pb2.Part]:
    value = row.raw("content")
    if isinstance(value, str):
        return [_part(value)]
    if not isinstance(value, list) or not value:
        raise invalid(row.at("content"), "must be a text or a list of at least one part")
    return [_piece(part, readers) for part in row.objects("content")]


def _piece(part: Fields, readers: Mapping[str, PartReader]) -> chat_pb2.Part:
    kind = part.text("type")
    if kind is None or kind not in readers:
        raise invalid(part.at("type"), f"must be one of {', '.join(readers)} in a message of this role")
    return readers[kind](part)


def _text(part: Fields) -> chat_pb2.Part:
    text = part.text("text")
    if text is None:
        raise invalid(part.at("text"), "is required")
    return _part(text)


def _refusal(part: Fields) -> chat_pb2.Part:
    return chat_pb2.Part(refusal=chat_pb2.Refusal(text=part.text("refusal") or ""))


def _part(text: str) -> chat_pb2.Part:
    return chat_pb2.Part(text=chat_pb2.Text(text=text))


def _tool_call(row: Fields, names: CallNames) -> chat_pb2.Part:
    if (row.text("type") or "function") != "function":
        raise invalid(row.at("type"), "must be function; other kinds of tools are not supported")
    function = row.object("function")
    if function is None:
        raise invalid(row.at("function"), "is required")
    call = chat_pb2.ToolCall(
        id=row.name("id"), name=function.name("name"), arguments_json=function.text("arguments") or "{}"
    )
    if not call.name:
        raise invalid(function.at("name"), "is required")
    row.ignore("index")
    function.ignore("parsed_arguments")
    names[call.id] = call.name
    return chat_pb2.Part(tool_call=call)


def _image(part: Fields) -> chat_pb2.Part:
    link = part.object("image_url")
    if link is None:
        raise invalid(part.at("image_url"), "is required")
    url = link.text("url")
    image = _image_at(url or "", link.at("url"))
    image.detail = link.word("detail", DETAILS) or chat_pb2.IMAGE_DETAIL_UNSPECIFIED
    return chat_pb2.Part(image=image)


def _image_at(url: str, path: str) -> chat_pb2.Image:
    """Keep a link as it is; the mesh fetches nothing. Bytes inside the link become bytes."""
    if url[:5].lower() == "data:":
        return _inline(url[5:], path)
    if not url.lower().startswith(("https://", "http://")) or len(url) > LONGEST_LINK:
        raise invalid(path, f"must be an http, https or data link; a link has at most {LONGEST_LINK} characters")
    return chat_pb2.Image(uri=url)


def _inline(rest: str, path: str) -> chat_pb2.Image:
    kind, comma, payload = rest.partition(",")
    media_type, _, encoding = kind.lower().rpartition(";")
    if not comma or encoding != "base64" or not media_type.startswith("image/"):
        raise invalid(path, "must begin with data:image/<type>;base64,")
    try:
        content = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(path, "must be valid base64 after the comma") from None
    if not content:
        raise invalid(path, "must hold an image")
    return chat_pb2.Image(mime_type=media_type.partition(";")[0], data=content)


ROLES: Mapping[str, Callable[[Fields, CallNames], chat_pb2.Message]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
    "function": read_result,
}
