"""Says what is wrong with the form of an answer: whole, as the events of a stream, or as vectors."""

import json
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.checks.content import Content

# Endings that explain why nothing was said.
EXPLAINED = (chat_pb2.FINISH_REASON_LENGTH, chat_pb2.FINISH_REASON_CONTENT_FILTER)
MOST_BYTES_PER_TOKEN = 64  # the longest tokens are runs of blanks; real text has three or four
Event = router_pb2.StreamGenerateResponse


def of_whole(model: str, response: router_pb2.GenerateResponse, content: Content) -> Iterator[str]:
    """Name each fault of a whole answer."""
    completion = response.completion
    ends = [(choice.index, choice.finish_reason) for choice in completion.choices]
    yield from _ends(ends, content)
    yield from _usage(completion.usage, content)
    yield from _route(model, response.route)


def of_stream(model: str, events: Sequence[Event], content: Content) -> Iterator[str]:
    """Name each fault of a stream that came to its end: start, deltas, exactly one finish."""
    yield from _order([event.WhichOneof("event") or "nothing" for event in events])
    yield from _parts(delta for event in events for delta in event.deltas.deltas if not delta.choice_index)
    finish = next((event.finish for event in events if event.HasField("finish")), None)
    if finish is None:
        return
    yield from _ends([(choice.choice_index, choice.reason) for choice in finish.choices], content)
    yield from _usage(finish.usage, content)
    yield from _route(model, finish.route)
    offers = {event.start.offer for event in events if event.HasField("start")} | {finish.route.offer}
    if len(offers) > 1:
        yield f"the stream names several offers: {', '.join(sorted(offers))}"


def of_vectors(model: str, response: router_pb2.EmbedResponse) -> Iterator[str]:
    """Name each fault of the vector of one text."""
    if len(response.embeddings) != 1:
        yield f"{len(response.embeddings)} vectors for one text"
    for embedding in response.embeddings:
        if not any(embedding.values):
            yield f"a vector of {len(embedding.values)} numbers that are all zero"
        elif not all(map(isfinite, embedding.values)):
            yield "a vector with something in it that is no number"
    yield from _usage(response.usage, Content())
    yield from _route(model, response.route)


def _order(kinds: list[str]) -> Iterator[str]:
    if not kinds:
        yield "the stream is empty"
        return
    if kinds[0] != "start":
        yield f"the stream begins with {kinds[0]} instead of start"
    for kind in ("start", "finish"):
        if kinds.count(kind) != 1:
            yield f"the stream has {kinds.count(kind)} events `{kind}` instead of one"
    if "finish" in kinds and kinds[-1] != "finish":
        yield f"the stream goes on after its finish, with {kinds[-1]}"
    if "nothing" in kinds:
        yield "the stream has an event that says nothing"


def _parts(deltas: Iterable[chat_pb2.Delta]) -> Iterator[str]:
    """Check that parts begin one after the other and stay what they are."""
    kinds: dict[int, str] = {}
    for delta in deltas:
        piece, part = delta.WhichOneof("piece"), delta.part_index
        if part not in kinds and part != len(kinds):
            yield f"part {part} begins when part {len(kinds)} should"
        if piece is None:
            kinds.setdefault(part, "")
            continue
        kind = {"citation": "text", "tool_arguments": "tool_call"}.get(piece, piece)
        if piece == "tool_arguments" and kinds.get(part) != "tool_call":
            yield f"part {part} has arguments of a tool call that has not begun"
        known = kinds.get(part) or kind
        if known != kind:
            yield f"part {part} turns from {known} into {kind}"
        kinds[part] = known


def _ends(ends: Sequence[tuple[int, int]], content: Content) -> Iterator[str]:
    if [index for index, _ in ends] != [0]:
        yield f"the answer has {len(ends)} choices instead of one"
    reason = next((reason for index, reason in ends if not index), chat_pb2.FINISH_REASON_UNSPECIFIED)
    if reason == chat_pb2.FINISH_REASON_UNSPECIFIED:
        yield "the answer has no finish reason"
    elif reason == chat_pb2.FINISH_REASON_TOOL_CALLS and not content.calls:
        yield "the answer ends for tool calls and has none"
    elif content.is_empty and reason not in EXPLAINED:
        yield "the answer is empty and gives no reason"
    for call in content.calls.values():
        if not call.name or not _is_object(call.arguments):
            yield f"the call of `{call.name}` has no name, or arguments that are no JSON object"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except ValueError:
        return False


def _usage(usage: chat_pb2.Usage, content: Content) -> Iterator[str]:
    if usage.input_tokens < 1:
        yield f"usage: {usage.input_tokens} input tokens for a prompt"
    if usage.output_tokens * MOST_BYTES_PER_TOKEN < content.size:
        yield f"usage: {usage.output_tokens} output tokens for {content.size} bytes"
    if usage.cached_input_tokens + usage.cache_write_tokens > usage.input_tokens:
        yield "usage: more input tokens cached than there are"
    if usage.reasoning_tokens > usage.output_tokens:
        yield "usage: more tokens of reasoning than of output"
    if usage.cost_nanos > usage.list_cost_nanos and not usage.unpriced:
        yield f"usage: it cost {usage.cost_nanos} nano-dollars at a list price of {usage.list_cost_nanos}"


def _route(model: str, route: router_pb2.Route) -> Iterator[str]:
    served = f"{route.vendor}/{route.model}"
    if served != model:
        yield f"the route names {served}"
    if [attempt.outcome for attempt in route.attempts].count("served") != 1:
        yield "the route does not have one attempt that served"
