"""The growing tool calls of one choice of a stream; each begins for the reader once its name is known."""

from collections.abc import Callable, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Delta, ToolCall

from provider_services.dialects.openai import pieces

PartOf = Callable[[str], int]


class Calls:
    """Tells the calls apart: by their index, and where vendors send none or number all alike, by their id.

    Args:
        choice: the index of the choice.
        part: gives the index of the part of a kind.
    """

    def __init__(self, choice: int, response_id: str, part: PartOf) -> None:
        self._choice = choice
        self._response_id = response_id
        self._part = part
        self._calls: list[_Called] = []
        self._numbered: dict[int, _Called] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def grow(self, chunk: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read one piece of a call."""
        self._of(chunk).grow(chunk, deltas)

    def close(self, deltas: list[Delta]) -> None:
        """Send what only the end completes: calls without a name, and arguments that never came."""
        for called in self._calls:
            called.close(deltas)

    def _of(self, chunk: Mapping[str, Any]) -> "_Called":
        index, identity = chunk.get("index"), chunk.get("id")
        if index is None:
            known = next((call for call in self._calls if call.id == identity), None) if identity else self._last()
        else:
            known = self._numbered.get(index)
            if known and identity and known.id not in {"", identity} and pieces.function(chunk).get("name"):
                known = None
        if known is None:
            known = _Called(self._choice, pieces.made_up_id(self._response_id, len(self._calls)), self._part)
            self._calls.append(known)
        if index is not None:
            self._numbered[index] = known
        return known

    def _last(self) -> "_Called | None":
        return self._calls[-1] if self._calls else None


class _Called:
    """The state of one growing call."""

    def __init__(self, choice: int, made_up_id: str, part: PartOf) -> None:
        self._choice = choice
        self._made_up_id = made_up_id
        self._part_of = part
        self._name = ""
        self._arguments = ""  # none once any have been sent
        self._sent = False
        self._part = -1  # until the call has begun
        self.id = ""

    def grow(self, chunk: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read one piece."""
        function = pieces.function(chunk)
        self.id = self.id or chunk.get("id") or ""
        arguments = pieces.arguments(function)
        if self._part >= 0:
            self._argue(arguments, deltas)
            return
        self._name = self._name or function.get("name") or ""
        self._arguments += arguments
        if self._name:
            self._begin(deltas)

    def close(self, deltas: list[Delta]) -> None:
        """Send the beginning, if it has not been sent, and the arguments of a call that has none."""
        if self._part < 0:
            self._begin(deltas)
        if not self._sent:
            self._argue("{}", deltas)

    def _begin(self, deltas: list[Delta]) -> None:
        self._part = self._part_of(f"tool call {self._made_up_id}")
        self._sent = bool(self._arguments)
        call = ToolCall(id=self.id or self._made_up_id, name=self._name, arguments_json=self._arguments)
        deltas.append(Delta(choice_index=self._choice, part_index=self._part, tool_call=call))

    def _argue(self, piece: str, deltas: list[Delta]) -> None:
        if piece:
            self._sent = True
            deltas.append(Delta(choice_index=self._choice, part_index=self._part, tool_arguments=piece))
