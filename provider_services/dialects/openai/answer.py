"""Reads a whole chat-completions answer."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import (
    Choice,
    Completion,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)

from provider_services.dialects import estimate, think_tags, wire
from provider_services.dialects.interface import Call, HttpReply, VendorFault
from provider_services.dialects.openai import errors, pieces, state, usage


def decode(call: Call, reply: HttpReply) -> Completion:
    """Read a completion; raises VendorFault for an error or nonsense inside a success."""
    body = wire.decode_object(reply.body)
    if body.get("error"):
        raise VendorFault(errors.inside(call, body))
    try:
        return _completion(call, body)
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's answer has an unknown shape") from None


def _completion(call: Call, body: Mapping[str, Any]) -> Completion:
    listed = body.get("choices")
    if not listed:
        raise wire.nonsense("the vendor's answer holds no choice")
    completion = Completion(
        choices=[_choice(call, body, choice, number) for number, choice in enumerate(listed)],
        vendor_response_id=wire.text(body.get("id")),
        vendor_model=wire.text(body.get("model")),
    )
    if counted := usage.find(body):
        completion.usage.CopyFrom(usage.read(call, counted))
    else:
        _estimate(call, completion)
    return completion


def _choice(call: Call, body: Mapping[str, Any], choice: Mapping[str, Any], number: int) -> Choice:
    if choice.get("error"):
        raise VendorFault(errors.inside(call, choice))
    message = choice["message"]
    calls = _tool_calls(message, wire.text(body.get("id")))
    refused = wire.text(message.get("refusal"))
    parts = [*_said(call, message), *([Part(refusal=Refusal(text=refused))] if refused else ()), *calls]
    return Choice(
        index=number if choice.get("index") is None else choice["index"],
        parts=parts,
        finish_reason=pieces.finish(wire.text(choice.get("finish_reason")), called=bool(calls), refused=bool(refused)),
        logprobs=pieces.logprobs(choice),
    )


def _said(call: Call, message: Mapping[str, Any]) -> list[Part]:
    thought, said = pieces.content(message.get("content"))
    thought = pieces.reasoning(message) or thought
    said = said or wire.text(wire.mapping(message.get("audio")).get("transcript"))
    if "think_tags" in call.quirks and not thought:
        thought, said = think_tags.split(said)
    parts = []
    opaque = {field: message[field] for field in state.OPAQUE_FIELDS if message.get(field)}
    if thought or opaque:
        parts.append(
            Part(reasoning=Reasoning(text=thought), provider_data=state.keep(call, opaque, thought=bool(thought)))
        )
    if said:
        parts.append(Part(text=Text(text=said, citations=pieces.citations(message))))
    return parts


def _tool_calls(message: Mapping[str, Any], response_id: str) -> list[Part]:
    listed = list(message.get("tool_calls") or ())
    if wire.mapping(message.get("function_call")).get("name"):  # some hosts fill the old field with nothing
        listed.append({"function": message["function_call"]})
    return [
        Part(
            tool_call=ToolCall(
                id=called.get("id") or pieces.made_up_id(response_id, number),
                name=called["function"]["name"],
                arguments_json=pieces.arguments(called["function"]) or "{}",
            )
        )
        for number, called in enumerate(listed)
    ]


def _estimate(call: Call, completion: Completion) -> None:
    spoken = sum(part.ByteSize() for choice in completion.choices for part in choice.parts)
    completion.usage.output_tokens = estimate.tokens(spoken)
    completion.usage.input_tokens = estimate.prompt_tokens(call.prompt)
    completion.usage.estimated = True
