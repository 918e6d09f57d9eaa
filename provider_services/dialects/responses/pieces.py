"""Reads the parts of an output item that whole answers and streams have in common."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Citation, FinishReason, TokenLogprob

from meshkit.errors import Reason
from provider_services.dialects import wire
from provider_services.dialects.interface import Fault, VendorFault

# What a response says of its own end; "requires_action" waits for tool results.
ENDED = frozenset({"completed", "requires_action"})
RUNNING = frozenset({"queued", "in_progress"})
# Calls of tools of ours, by the field that holds what they are called with; a custom tool's input is no JSON.
CALLS: Mapping[str, str] = {"function_call": "arguments", "custom_tool_call": "input"}


def reasoning(item: Mapping[str, Any]) -> str:
    """Return the reasoning text of an item: the text itself where the vendor shows it, else its summary."""
    return section(item, "content") or section(item, "summary")


def section(item: Mapping[str, Any], name: str) -> str:
    """Return the text of one list of an item, "content" or "summary"."""
    return "".join(wire.text(part.get("text")) for part in item.get(name) or ())


def finish(response: Mapping[str, Any], *, called: bool, refused: bool) -> FinishReason.ValueType:
    """Return why a response ended; raises VendorFault when it did not, or broke."""
    status = wire.text(response.get("status")) or "completed"
    if status == "incomplete":
        said = wire.mapping(response.get("incomplete_details")).get("reason")
        return (
            FinishReason.FINISH_REASON_CONTENT_FILTER if said == "content_filter" else FinishReason.FINISH_REASON_LENGTH
        )
    if status in RUNNING:
        raise VendorFault(Fault(Reason.VENDOR_INCOMPLETE, f"the vendor's response is still {status}", retryable=True))
    if status not in ENDED:
        raise wire.nonsense(f"the vendor ended the response with {status}")
    if called:
        return FinishReason.FINISH_REASON_TOOL_CALLS
    return FinishReason.FINISH_REASON_CONTENT_FILTER if refused else FinishReason.FINISH_REASON_STOP


def citation(annotation: Mapping[str, Any]) -> Citation | None:
    """Return the source an annotation names: a page, or a file by its id; None when it names none."""
    uri = wire.text(annotation.get("url")) or wire.text(annotation.get("file_id"))
    if not uri:
        return None
    source = Citation(uri=uri, title=wire.text(annotation.get("title")) or wire.text(annotation.get("filename")))
    start, end = annotation.get("start_index"), annotation.get("end_index")
    if isinstance(start, int) and isinstance(end, int) and 0 <= start < end < 2**31:
        source.start, source.end = start, end
    return source


def citations(annotations: Sequence[Mapping[str, Any]]) -> list[Citation]:
    """Return the sources that annotations name."""
    return [found for found in map(citation, annotations) if found is not None]


def sources(item: Mapping[str, Any]) -> Iterator[Citation]:
    """Return what the vendor's own search or fetch found, which some vendors tell beside the text only."""
    for found in [*(item.get("results") or ()), *(item.get("contents") or ())]:
        if isinstance(found, dict) and found.get("url"):
            yield Citation(uri=found["url"], title=wire.text(found.get("title")), quote=wire.text(found.get("snippet")))


# The kinds of items that hold such finds.
FINDS = frozenset({"search_results", "fetch_url_results"})


def logprobs(listed: Sequence[Mapping[str, Any]]) -> list[TokenLogprob]:
    """Return token probabilities."""
    return [
        TokenLogprob(
            token=token["token"],
            logprob=token["logprob"],
            alternatives=[
                TokenLogprob(token=other["token"], logprob=other["logprob"])
                for other in token.get("top_logprobs") or ()
            ],
        )
        for token in listed
    ]


def arguments(kind: str, item: Mapping[str, Any]) -> str:
    """Return what a call of a kind is called with."""
    return wire.text(item.get(CALLS[kind]))


def call_id(item: Mapping[str, Any], number: int) -> str:
    """Return the id that a tool call and its result share; one made up when the vendor gave none."""
    return wire.text(item.get("call_id")) or wire.text(item.get("id")) or f"call_mesh_{number}"
