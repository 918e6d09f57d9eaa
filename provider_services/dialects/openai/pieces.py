"""Reads the parts of a choice that whole answers and streams have in common."""

from collections.abc import Iterable, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Citation, FinishReason, TokenLogprob

from provider_services.dialects import wire

# Every spelling seen at any vendor of this wire; what ends an answer in an error is not here.
FINISHES: Mapping[str, FinishReason.ValueType] = {
    "stop": FinishReason.FINISH_REASON_STOP,
    "eos": FinishReason.FINISH_REASON_STOP,
    "stop_sequence": FinishReason.FINISH_REASON_STOP,
    "length": FinishReason.FINISH_REASON_LENGTH,
    "max_tokens": FinishReason.FINISH_REASON_LENGTH,
    "model_length": FinishReason.FINISH_REASON_LENGTH,
    "model_context_window_exceeded": FinishReason.FINISH_REASON_LENGTH,
    "tool_calls": FinishReason.FINISH_REASON_TOOL_CALLS,
    "tool_call": FinishReason.FINISH_REASON_TOOL_CALLS,
    "function_call": FinishReason.FINISH_REASON_TOOL_CALLS,
    "content_filter": FinishReason.FINISH_REASON_CONTENT_FILTER,
    "sensitive": FinishReason.FINISH_REASON_CONTENT_FILTER,
}
BROKEN = frozenset({"error", "network_error", "insufficient_system_resource"})


def finish(said: str, *, called: bool, refused: bool) -> FinishReason.ValueType:
    """Return why a choice ended; a forced call and a refusal end with a mere "stop" at some vendors."""
    if said in BROKEN:
        raise wire.nonsense(f"the vendor ended the answer with {said}")
    reason = FINISHES.get(said, FinishReason.FINISH_REASON_STOP)
    if reason == FinishReason.FINISH_REASON_STOP:
        if called:
            return FinishReason.FINISH_REASON_TOOL_CALLS
        if refused:
            return FinishReason.FINISH_REASON_CONTENT_FILTER
    return reason


def content(value: Any) -> tuple[str, str]:
    """Return (reasoning, text) of a content field: a text, or a list of typed pieces."""
    if isinstance(value, str):
        return "", value
    if isinstance(value, dict):  # JSON mode of some hosts
        return "", wire.encode(value).decode()
    thought, said = [], []
    for piece in value or ():
        if piece.get("type") == "thinking":
            thought.append("".join(wire.text(inner.get("text")) for inner in piece.get("thinking") or ()))
        else:
            said.append(wire.text(piece.get("text")))
    return "".join(thought), "".join(said)


def reasoning(message: Mapping[str, Any]) -> str:
    """Return the reasoning text, under either of its names or in its details alone."""
    named = wire.text(message.get("reasoning_content")) or wire.text(message.get("reasoning"))
    if named or not message.get("reasoning_details"):
        return named
    details = [wire.mapping(detail) for detail in message["reasoning_details"]]
    return "".join(wire.text(detail.get("text")) or wire.text(detail.get("summary")) for detail in details)


def citations(message: Mapping[str, Any]) -> Iterable[Citation]:
    """Return the sources a message names: annotations, or what its built-in tools found."""
    for annotation in message.get("annotations") or ():
        source = wire.mapping(annotation.get("url_citation"))
        if source:
            citation = Citation(uri=wire.text(source.get("url")), title=wire.text(source.get("title")))
            start, end = source.get("start_index"), source.get("end_index")
            if isinstance(start, int) and isinstance(end, int) and 0 <= start < end < 2**31:
                citation.start, citation.end = start, end
            yield citation
    for tool in message.get("executed_tools") or ():
        for found in wire.mapping(tool.get("search_results")).get("results") or ():
            yield Citation(
                uri=wire.text(found.get("url")),
                title=wire.text(found.get("title")),
                quote=wire.text(found.get("content")),
            )


def logprobs(choice: Mapping[str, Any]) -> list[TokenLogprob]:
    """Return token probabilities, if there are any."""
    listed = wire.mapping(choice.get("logprobs")).get("content")
    return [_logprob(token) for token in listed] if listed else []


def _logprob(token: Mapping[str, Any]) -> TokenLogprob:
    return TokenLogprob(
        token=token["token"],
        logprob=token["logprob"],
        alternatives=[
            TokenLogprob(token=other["token"], logprob=other["logprob"]) for other in token.get("top_logprobs") or ()
        ],
    )


def arguments(function: Mapping[str, Any]) -> str:
    """Return a call's arguments as text; some hosts send the JSON itself."""
    value = function.get("arguments")
    return value if isinstance(value, str) else wire.encode(value).decode() if value else ""


def made_up_id(response_id: str, number: int) -> str:
    """Return an id for a tool call that came without one."""
    return f"call_{response_id or 'mesh'}_{number}"
