"""Reads a whole response."""

from collections.abc import Mapping, Sequence
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
    TokenLogprob,
    ToolCall,
    Usage,
)

from provider_services.dialects import estimate, wire
from provider_services.dialects.interface import Call, HttpReply, VendorFault
from provider_services.dialects.responses import errors, pieces, usage
from provider_services.dialects.responses.state import Keeper


def decode(call: Call, reply: HttpReply) -> Completion:
    """Read a completion; raises VendorFault for an error or nonsense inside a success."""
    body = wire.decode_object(reply.body)
    try:
        if body.get("error") or body.get("status") == "failed":
            raise VendorFault(errors.inside(call, body))
        return _completion(call, body)
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's answer has an unknown shape") from None


def _completion(call: Call, body: Mapping[str, Any]) -> Completion:
    read = _Output(call, body["output"])
    reason = pieces.finish(body, called=read.called > 0, refused=read.refused)
    completion = Completion(
        choices=[Choice(parts=read.parts, finish_reason=reason, logprobs=read.logprobs)],
        vendor_response_id=wire.text(body.get("id")),
        vendor_model=wire.text(body.get("model")),
    )
    counted = usage.read(body.get("usage"))
    completion.usage.CopyFrom(counted or _guess(call, read.parts))
    return completion


def _guess(call: Call, parts: Sequence[Part]) -> Usage:
    return Usage(
        input_tokens=estimate.prompt_tokens(call.prompt),
        output_tokens=estimate.tokens(sum(part.ByteSize() for part in parts)),
        estimated=True,
    )


class _Output:
    """The parts of the output items, in their order."""

    def __init__(self, call: Call, output: Sequence[Mapping[str, Any]]) -> None:
        self.parts: list[Part] = []
        self.logprobs: list[TokenLogprob] = []
        self.called = 0
        self.refused = False
        self._keeper = Keeper(call)
        self._found: list[Citation] = []
        for item in output:
            self._item(item)
        self._cite()

    def _item(self, item: Mapping[str, Any]) -> None:
        kind = wire.text(item.get("type"))
        if kind == "message":
            self._message(item)
        elif kind in pieces.CALLS:
            called = ToolCall(
                id=pieces.call_id(item, self.called),
                name=item["name"],
                arguments_json=pieces.arguments(kind, item) or "{}",
            )
            self.called += 1
            self._add(Part(tool_call=called), self._keeper.call(item))
        else:
            if kind in pieces.FINDS:
                self._found.extend(pieces.sources(item))
            thought = pieces.reasoning(item) if kind == "reasoning" else ""
            kept = self._keeper.item(item)
            if thought or kept is not None:
                self._add(Part(reasoning=Reasoning(text=thought)), kept)

    def _message(self, item: Mapping[str, Any]) -> None:
        kept = self._keeper.message(item)
        for content in item.get("content") or ():
            if content.get("type") == "refusal":
                self.refused = True
                self._add(Part(refusal=Refusal(text=wire.text(content.get("refusal")))), kept)
            elif said := wire.text(content.get("text")):
                text = Text(text=said, citations=pieces.citations(content.get("annotations") or ()))
                self._add(Part(text=text), kept)
                self.logprobs.extend(pieces.logprobs(content.get("logprobs") or ()))
            else:
                continue
            kept = None

    def _add(self, part: Part, kept: ProviderData | None) -> None:
        if kept is not None:
            part.provider_data.CopyFrom(kept)
        self.parts.append(part)

    def _cite(self) -> None:
        """Give the last text what the search found, when no text names its sources itself."""
        texts = [part.text for part in self.parts if part.HasField("text")]
        if self._found and texts and not any(text.citations for text in texts):
            texts[-1].citations.extend(self._found)
