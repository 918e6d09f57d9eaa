"""Bends the turns of the conversation as they were written: names, texts, images, ids, reasoning that must be there."""

import hashlib

from llmmesh.chat.v1.chat_pb2 import Role

from provider_services.dialects.notes import refuse
from provider_services.dialects.openai.quirks.draft import Draft

# What stands for reasoning the vendor has not seen. Its own parsers take an empty text for none at all.
NO_REASONING = " "


def no_message_names(draft: Draft) -> None:
    """Leave participants' names out."""
    _drop_names(draft, frozenset(), "this vendor takes no names")


def user_names_only(draft: Draft) -> None:
    """Leave the names of all but users out."""
    _drop_names(draft, frozenset({"user"}), "this vendor takes names of users only")


def images_as_data_only(draft: Draft) -> None:
    """Refuse links to images: the vendor fetches none."""
    for field, uri in _images(draft):
        if uri.lower().startswith(("http:", "https:")):
            raise refuse(f"{field}.uri", "this vendor fetches no links; send the image's bytes")


def text_as_one_string(draft: Draft) -> None:
    """Join a message's texts, for vendors that take no list; an image is refused."""
    for field, _ in _images(draft):
        raise refuse(field, "this vendor or model takes no images")
    for message in draft.body["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            message["content"] = "\n".join(part["text"] for part in content)


def tool_ids_of_nine(draft: Draft) -> None:
    """Replace every tool call's id by nine letters and digits made from it: the vendor takes no others."""
    for message in draft.body["messages"]:
        if "tool_call_id" in message:
            message["tool_call_id"] = _nine(message["tool_call_id"])
        for call in message.get("tool_calls", ()):
            call["id"] = _nine(call["id"])


def refusals_as_text(draft: Draft) -> None:
    """Write what the model said in refusal as what it said: the vendor knows no field for it."""
    for message in draft.body["messages"]:
        if refused := message.pop("refusal", None):
            message["content"] = message.get("content", "") + refused


def reasoning_content_required(draft: Draft) -> None:
    """Give turns of the model that have no reasoning of its own a blank one: where it thinks, it refuses them bare."""
    if not draft.thinks:
        return
    for message in draft.body["messages"]:
        if message["role"] == "assistant" and not message.get("reasoning_content"):
            message["reasoning_content"] = NO_REASONING


def preserve_thinking(draft: Draft) -> None:
    """Ask the model to read the reasoning that goes back to it, which it leaves aside otherwise."""
    if any("reasoning_content" in message for message in draft.body["messages"]):
        draft.body["preserve_thinking"] = True


def _drop_names(draft: Draft, kept: frozenset[str], why: str) -> None:
    for number, message in enumerate(draft.call.prompt.messages):
        if message.name and not (kept and message.role == Role.ROLE_USER):
            draft.notes.drop(f"messages[{number}].name", why)
    for message in draft.body["messages"]:
        if message["role"] not in kept:
            message.pop("name", None)


def _images(draft: Draft) -> list[tuple[str, str]]:
    return [
        (f"messages[{number}].parts[{place}].image", part.image.uri)
        for number, message in enumerate(draft.call.prompt.messages)
        for place, part in enumerate(message.parts)
        if part.HasField("image")
    ]


def _nine(identity: str) -> str:
    if len(identity) == 9 and identity.isascii() and identity.isalnum():
        return identity
    return hashlib.sha256(identity.encode()).hexdigest()[:9]
