"""One growing block of a streamed answer; its part is numbered when there is something to say about it."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Delta, ToolCall

from provider_services.dialects import wire
from provider_services.dialects.anthropic import answer
from provider_services.dialects.interface import Subject


class Parts:
    """Numbers the parts of an answer; `called` says whether its last block is a tool call."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.called = False
        self._next = 0

    def number(self) -> int:
        """Return the next part's number."""
        self._next += 1
        return self._next - 1


class Block:
    """A block from its start to its stop."""

    def __init__(self, parts: Parts, start: Mapping[str, Any], deltas: list[Delta]) -> None:
        self._parts = parts
        self._start = dict(start)
        self._kind = start["type"]
        parts.called = self._kind == "tool_use"
        self._part = -1
        self._input: list[str] = []
        match self._kind:
            case "text":
                self._say({"text": start.get("text") or ""}, deltas)
                for source in start.get("citations") or ():
                    self._cite(source, deltas)
            case "thinking":
                self._say({"thinking": start.get("thinking") or ""}, deltas)
            case "tool_use":
                self._call(deltas)

    def grow(self, delta: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Take the next piece; one of an unknown kind is nothing."""
        match delta.get("type"):
            case "text_delta" | "thinking_delta":
                self._say(delta, deltas)
            case "input_json_delta":
                self._argue(delta.get("partial_json") or "", deltas)
            case "signature_delta":
                self._start["signature"] = delta.get("signature")
            case "citations_delta":
                source = wire.mapping(delta.get("citation"))
                self._start["citations"] = [*(self._start.get("citations") or ()), source]
                self._cite(source, deltas)

    def stop(self, deltas: list[Delta]) -> None:
        """Take the end: arguments are an object at least, and what must go back is known now."""
        if self._kind == "tool_use":
            if not self._input:
                deltas.append(Delta(part_index=self._part, tool_arguments="{}"))
            return
        if self._input:
            given = "".join(self._input)
            parsed = wire.try_decode(given)
            self._start["input"] = given if parsed is None else parsed
        kept = answer.kept_of(self._parts.subject, self._start)
        if kept is None:
            return
        if self._kind in {"thinking", "redacted_thinking"}:
            deltas.append(Delta(part_index=self._number(), reasoning="", provider_data=kept))
        else:
            deltas.append(Delta(part_index=self._number(), text="", provider_data=kept))

    def _say(self, piece: Mapping[str, Any], deltas: list[Delta]) -> None:
        if text := piece.get("text"):
            deltas.append(Delta(part_index=self._number(), text=text))
        elif thought := piece.get("thinking"):
            deltas.append(Delta(part_index=self._number(), reasoning=thought))

    def _cite(self, source: Mapping[str, Any], deltas: list[Delta]) -> None:
        deltas.append(Delta(part_index=self._number(), citation=answer.citation(source)))

    def _call(self, deltas: list[Delta]) -> None:
        given = self._start.get("input")
        arguments = answer.arguments(given) if given else ""
        self._input = [arguments] if arguments else []
        call = ToolCall(id=self._start["id"], name=self._start["name"], arguments_json=arguments)
        kept = answer.kept_of(self._parts.subject, self._start)
        deltas.append(Delta(part_index=self._number(), tool_call=call, provider_data=kept))

    def _argue(self, piece: str, deltas: list[Delta]) -> None:
        if not piece:
            return
        self._input.append(piece)
        if self._kind == "tool_use":
            deltas.append(Delta(part_index=self._part, tool_arguments=piece))

    def _number(self) -> int:
        if self._part < 0:
            self._part = self._parts.number()
        return self._part
