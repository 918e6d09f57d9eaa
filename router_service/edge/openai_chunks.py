"""Writes the events of a stream as `chat.completion.chunk` events, ready to be sent."""

from collections.abc import Iterable

import msgspec
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason
from router_service.edge import extension, openai_functions, openai_reply
from router_service.edge.assembly import GrowingAnswer
from router_service.edge.shapes.mesh import Served
from router_service.edge.shapes.replies import CalledPiece, ChoicePiece, Chunk, Delta, FinishReason, Logprobs

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode


class Chunks:
    """The chunks of one stream.

    Args:
        request_id: the id the request goes by.
        created: Unix seconds, the same in every chunk.
        include_usage: the caller wants a last chunk with token counts.
        warnings: what the edge itself dropped.
        functions: a call is expected in the form of `functions`.
    """

    def __init__(
        self,
        request_id: str,
        created: int,
        include_usage: bool,
        warnings: Iterable[chat_pb2.Warning],
        *,
        functions: bool = False,
    ) -> None:
        self.offer = ""
        self.finished = False
        self._frame: Chunk = {
            "id": openai_reply.reply_id(request_id),
            "object": "chat.completion.chunk",
            "created": created,
            "model": "",
            "choices": [],
        }
        self._include_usage = include_usage
        self._warnings = list(warnings)
        self._functions = functions
        self._answers: dict[int, GrowingAnswer] = {}

    def encode(self, event: router_pb2.StreamGenerateResponse) -> bytes:
        """Return the bytes to send for an event; none for a start.

        Raises:
            MeshError: STREAM_INCOMPLETE when the stream begins anew after something was said.
        """
        match event.WhichOneof("event"):
            case "start":
                self._start(event.start)
            case "deltas":
                return b"".join(self._delta(delta) for delta in event.deltas.deltas)
            case "finish":
                return self._finish(event.finish)
        return b""

    def _start(self, start: router_pb2.StreamGenerateResponse.Start) -> None:
        if self._answers:
            raise MeshError(
                Reason.STREAM_INCOMPLETE,
                "the answer broke off and began anew; over HTTP, what was said cannot be taken back",
            )
        self.offer = start.offer
        self._frame["model"] = start.offer.rpartition("#")[0].partition("/")[2]

    def _delta(self, delta: chat_pb2.Delta) -> bytes:
        opening = self._open(delta.choice_index, with_text=delta.WhichOneof("piece") == "text")
        answer = self._answers[delta.choice_index]
        answer.add(delta)
        said = self._said(delta, answer)
        if said is None:
            return opening
        return opening + self._choice(delta.choice_index, said, openai_reply.logprobs(delta.logprobs))

    def _open(self, index: int, with_text: bool) -> bytes:
        """Return the chunk that names the speaker, before an answer's first piece."""
        if index in self._answers:
            return b""
        self._answers[index] = GrowingAnswer()
        return self._choice(index, {"role": "assistant", "content": "" if with_text else None})

    def _said(self, delta: chat_pb2.Delta, answer: GrowingAnswer) -> Delta | None:
        """Return the OpenAI delta; None when there is nothing to say yet."""
        match delta.WhichOneof("piece"):
            case "text":
                return {"content": delta.text}
            case "reasoning":
                return {"reasoning_content": delta.reasoning}
            case "refusal":
                return {"refusal": delta.refusal}
            case "tool_call":
                call = delta.tool_call
                function: CalledPiece = {"name": call.name, "arguments": call.arguments_json}
                return self._called(answer.call_index(delta.part_index), function, call.id)
            case "tool_arguments":
                more: CalledPiece = {"arguments": delta.tool_arguments}
                return self._called(answer.call_index(delta.part_index), more)
        return None

    def _called(self, place: int, piece: CalledPiece, call_id: str | None = None) -> Delta | None:
        """Return a piece of a call; only the first piece has an id, and of `functions` only the first call is told."""
        if not self._functions:
            if call_id is None:
                return {"tool_calls": [{"index": place, "function": piece}]}
            return {"tool_calls": [{"index": place, "id": call_id, "type": "function", "function": piece}]}
        if place == 0:
            return {"function_call": piece}
        if call_id is not None and openai_functions.WARNING not in self._warnings:
            self._warnings.append(openai_functions.WARNING)
        return None

    def _finish(self, finish: router_pb2.StreamGenerateResponse.Finish) -> bytes:
        self.finished = True
        self._frame["model"] = finish.route.model or self._frame["model"] or finish.vendor_model
        ends = {end.choice_index: end.reason for end in finish.choices} or {0: chat_pb2.FINISH_REASON_STOP}
        opening = [self._open(index, with_text=True) for index in ends]
        last = max(ends)
        mesh = extension.describe(finish.route, finish.usage, (*self._warnings, *finish.warnings))
        if finish.vendor_model:
            mesh["vendor_model"] = finish.vendor_model
        closing = [
            self._choice(
                index,
                self._last(index),
                reason=self._reason(ends[index]),
                mesh=mesh if index == last else None,
            )
            for index in sorted(ends)
        ]
        return b"".join((*opening, *closing, self._usage(finish.usage), DONE))

    def _reason(self, reason: "chat_pb2.FinishReason.ValueType") -> FinishReason:
        told = openai_reply.finish_reason(reason)
        return "function_call" if self._functions and told == "tool_calls" else told

    def _last(self, index: int) -> Delta:
        delta: Delta = {}
        openai_reply.add_afterthoughts(delta, self._answers[index].parts())
        return delta

    def _usage(self, usage: chat_pb2.Usage) -> bytes:
        if not self._include_usage:
            return b""
        return _event({**self._frame, "usage": extension.usage_of(usage)})

    def _choice(
        self,
        index: int,
        delta: Delta,
        probabilities: Logprobs | None = None,
        reason: FinishReason | None = None,
        mesh: Served | None = None,
    ) -> bytes:
        choice: ChoicePiece = {"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": reason}
        chunk: Chunk = {**self._frame, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        if mesh is not None:
            chunk["llm_mesh"] = mesh
        return _event(chunk)


def _event(chunk: Chunk) -> bytes:
    return b"data: " + _encode(chunk) + b"\n\n"
