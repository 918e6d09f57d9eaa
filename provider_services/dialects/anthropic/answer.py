"""Reads a whole answer: a message made of blocks."""

from collections.abc import Iterable, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import (
    Choice,
    Citation,
    Completion,
    Part,
    ProviderData,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
)

from provider_services.dialects import estimate, wire
from provider_services.dialects.anthropic import errors, finishes, state, usage
from provider_services.dialects.interface import Call, HttpReply, Subject, VendorFault


def decode(call: Call, reply: HttpReply) -> Completion:
    """Read a completion; raises VendorFault for an error or nonsense inside a success."""
    body = wire.decode_object(reply.body)
    if body.get("type") == "error" or body.get("error"):
        raise VendorFault(errors.inside(call, body))
    try:
        return _completion(call, body)
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's answer has an unknown shape") from None


def _completion(call: Call, body: Mapping[str, Any]) -> Completion:
    parts = [part(call, block) for block in body["content"] or ()]
    called = bool(parts) and parts[-1].HasField("tool_call")
    if why := finishes.refused(body.get("stop_details")):
        parts.append(Part(refusal=Refusal(text=why)))
    used = usage.read(wire.mapping(body.get("usage")))
    if used is None:
        used = _estimate(call, parts)
    return Completion(
        choices=[Choice(parts=parts, finish_reason=finishes.read(body.get("stop_reason"), called=called))],
        usage=used,
        vendor_response_id=wire.text(body.get("id")),
        vendor_model=wire.text(body.get("model")),
    )


def _estimate(call: Call, parts: Iterable[Part]) -> Usage:
    """Guess what an answer used that nobody counted."""
    return Usage(
        input_tokens=estimate.prompt_tokens(call.prompt),
        output_tokens=estimate.tokens(sum(part.ByteSize() for part in parts)),
        estimated=True,
    )


def part(subject: Subject, block: Mapping[str, Any]) -> Part:
    """Read one whole block; one of an unknown kind is kept as it is, and says nothing."""
    match block["type"]:
        case "text":
            cited = block.get("citations") or ()
            read = Part(text=Text(text=block.get("text") or "", citations=map(citation, cited)))
        case "thinking":
            read = Part(reasoning=Reasoning(text=block.get("thinking") or ""))
        case "redacted_thinking":
            read = Part(reasoning=Reasoning())
        case "tool_use":
            read = Part(tool_call=tool_call(block))
        case _:
            read = Part(text=Text())
    if (kept := kept_of(subject, block)) is not None:
        read.provider_data.CopyFrom(kept)
    return read


def kept_of(subject: Subject, block: Mapping[str, Any]) -> ProviderData | None:
    """Return what must go back with a block, or None when its part says it all."""
    match block["type"]:
        case "text":
            kept = {"citations": block["citations"]} if block.get("citations") else {}
        case "thinking":
            kept = {"signature": block["signature"]} if block.get("signature") else {}
        case "tool_use":
            caller = wire.mapping(block.get("caller"))
            kept = {"caller": caller} if caller.get("type", "direct") != "direct" else {}
        case _:
            return state.keep_block(subject, block)
    return state.keep_fields(subject, kept) if kept else None


def tool_call(block: Mapping[str, Any]) -> ToolCall:
    """Read a tool call with all its arguments."""
    return ToolCall(id=block["id"], name=block["name"], arguments_json=arguments(block.get("input")))


def arguments(given: Any) -> str:
    """Write arguments as JSON text; an answer that was cut may have text instead of an object."""
    return given if isinstance(given, str) else wire.encode(given or {}).decode()


def citation(source: Mapping[str, Any]) -> Citation:
    """Read a source; it speaks of its block's whole text, so it has no place in it."""
    return Citation(
        uri=wire.text(source.get("url")) or wire.text(source.get("source")),
        title=wire.text(source.get("title")) or wire.text(source.get("document_title")),
        quote=wire.text(source.get("cited_text")),
    )
