"""Writes a whole completion as a `chat.completion` object."""

import math
from collections.abc import Iterable, Mapping, Sequence

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from router_service.edge import extension, openai_functions, state
from router_service.edge.shapes.replies import (
    Annotation,
    Choice,
    ChosenToken,
    Completion,
    Delta,
    FinishReason,
    Logprobs,
    Message,
    Source,
    Token,
    ToolCall,
)

FINISH_REASONS: "Mapping[chat_pb2.FinishReason.ValueType, FinishReason]" = {
    chat_pb2.FINISH_REASON_STOP: "stop",
    chat_pb2.FINISH_REASON_LENGTH: "length",
    chat_pb2.FINISH_REASON_TOOL_CALLS: "tool_calls",
    chat_pb2.FINISH_REASON_CONTENT_FILTER: "content_filter",
}
# What stands for "impossible" where JSON has no minus infinity.
LEAST_LOGPROB = -9999.0


def completion(
    request_id: str,
    created: int,
    response: router_pb2.GenerateResponse,
    warnings: Iterable[chat_pb2.Warning],
    *,
    functions: bool = False,
) -> Completion:
    """Write a completion.

    Args:
        request_id: the id the request goes by.
        created: Unix seconds.
        response: what the router answered.
        warnings: what the edge itself dropped; named before the router's own.
        functions: a call is expected in the form of `functions`.
    """
    answer, route = response.completion, response.route
    choices = [_choice(choice) for choice in answer.choices]
    if functions and openai_functions.rewrite(choices):
        warnings = (*warnings, openai_functions.WARNING)
    mesh = extension.describe(route, answer.usage, (*warnings, *answer.warnings))
    if answer.vendor_model:
        mesh["vendor_model"] = answer.vendor_model
    return {
        "id": reply_id(request_id),
        "object": "chat.completion",
        "created": created,
        "model": route.model or answer.vendor_model,
        "choices": choices,
        "usage": extension.usage_of(answer.usage),
        "llm_mesh": mesh,
    }


def reply_id(request_id: str) -> str:
    """Return the id of a reply."""
    return f"chatcmpl-{request_id}"


def finish_reason(reason: "chat_pb2.FinishReason.ValueType") -> FinishReason:
    """Name why a generation ended."""
    return FINISH_REASONS.get(reason, "stop")


def message(parts: Sequence[chat_pb2.Part]) -> Message:
    """Write what the model said as one assistant message."""
    text = "".join(part.text.text for part in parts)
    refusal = "".join(part.refusal.text for part in parts)
    reasoning = "".join(part.reasoning.text for part in parts)
    calls = [_tool_call(part.tool_call) for part in parts if part.HasField("tool_call")]
    said: Message = {"role": "assistant", "content": text, "refusal": refusal or None}
    if not text and (calls or refusal):
        said["content"] = None
    if reasoning:
        said["reasoning_content"] = reasoning
    if calls:
        said["tool_calls"] = calls
    add_afterthoughts(said, parts)
    return said


def add_afterthoughts(said: Message | Delta, parts: Sequence[chat_pb2.Part]) -> None:
    """Add what can only be said once all of a message is there: its sources and its vendor state."""
    annotations = _annotations(parts)
    if annotations:
        said["annotations"] = annotations
    packed = state.pack(parts)
    if packed is not None:
        said["llm_mesh_state"] = packed


def logprobs(tokens: Sequence[chat_pb2.TokenLogprob]) -> Logprobs | None:
    """Write token probabilities; None when there are none."""
    if not tokens:
        return None
    content: list[ChosenToken] = [
        {**_token(token), "top_logprobs": [_token(other) for other in token.alternatives]} for token in tokens
    ]
    return {"content": content, "refusal": None}


def _choice(choice: chat_pb2.Choice) -> Choice:
    return {
        "index": choice.index,
        "message": message(choice.parts),
        "logprobs": logprobs(choice.logprobs),
        "finish_reason": finish_reason(choice.finish_reason),
    }


def _tool_call(call: chat_pb2.ToolCall) -> ToolCall:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_json}}


def _token(token: chat_pb2.TokenLogprob) -> Token:
    known = math.isfinite(token.logprob)
    return {
        "token": token.token,
        "logprob": token.logprob if known else LEAST_LOGPROB,
        "bytes": list(token.token.encode()),
    }


def _annotations(parts: Sequence[chat_pb2.Part]) -> list[Annotation]:
    """List the sources; their places count from the start of the whole text, not of their part."""
    found: list[Annotation] = []
    offset = 0
    for part in parts:
        length = len(part.text.text)
        found += [_annotation(citation, offset, length) for citation in part.text.citations]
        offset += length
    return found


def _annotation(citation: chat_pb2.Citation, offset: int, length: int) -> Annotation:
    start = citation.start if citation.HasField("start") else 0
    end = citation.end if citation.HasField("end") else length
    source: Source = {
        "start_index": offset + start,
        "end_index": offset + end,
        "title": citation.title,
        "url": citation.uri,
    }
    return {"type": "url_citation", "url_citation": source}
