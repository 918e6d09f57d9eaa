"""Says an error of the router in the words of the request: under the name the body, or a header, has for its field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshkit.errors import FieldViolation, MeshError
from router_service.edge import headers as header
from router_service.edge.intent import FREE_CHOICE, names_a_use_case

INTENT = "intent."
# What has to be known of a body: who was named in it, and how; its prompt is not kept.
KEPT = ("model", "provider", "llm_mesh", "max_completion_tokens")
# What headers say of an intent, and what has another name here than in it.
BY_HEADER = {"use_case": header.USE_CASE, "tier": header.TIER, "stream_guarantee": header.STREAM_GUARANTEE}
ELSEWHERE = {"candidates": "models", "max_cost_nanos": "llm_mesh.max_cost_usd", "labels": header.LABELS}
PLACE = re.compile(r"(candidates|messages)\[([0-9]+)\](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """What a caller said, and how: what is kept of its body, and its headers with lower-case names."""

    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    system_first: bool = False

    def put(self, error: MeshError) -> MeshError:
        """Return an error with every field under the name its caller knows."""
        for found in error.fields:
            told = f"{found.field}: "
            if error.message.startswith(told):
                error.message = f"{self.name(found.field)}: {error.message.removeprefix(told)}"
        error.fields = tuple(FieldViolation(self.name(found.field), found.description) for found in error.fields)
        return error

    def name(self, path: str) -> str:
        """Return what the caller calls a field of the router's contract."""
        if path.startswith(INTENT):
            return self._of_intent(path.removeprefix(INTENT))
        if path.startswith("texts"):
            return "input" + path.removeprefix("texts")
        path = path.removeprefix("prompt.").removeprefix("sampling.")
        if path == "max_output_tokens":
            return "max_tokens" if self.body.get("max_completion_tokens") is None else "max_completion_tokens"
        place = PLACE.fullmatch(path)
        if place and self.system_first:
            return f"messages[{int(place[2]) - 1}]{place[3]}" if int(place[2]) else "system_message"
        return path

    def _of_intent(self, path: str) -> str:
        if place := PLACE.fullmatch(path):
            before = int(self._names_a_model())
            return f"models[{int(place[2]) - before}]" if int(place[2]) >= before else self._model()
        if path in BY_HEADER and not self._extension(path):
            return self._purpose(BY_HEADER[path])
        if path == "model" or (path == "preferred_model" and not self._extension(path)):
            return self._model()
        return ELSEWHERE.get(path.partition(".")[0], f"llm_mesh.{path}")

    def _purpose(self, by_header: str) -> str:
        """Return what said what a request is for, if no object of ours did: the model's name, or else a header."""
        named = names_a_use_case(self.body.get("model") or "")
        return by_header if by_header in self.headers and not named else "model"

    def _extension(self, key: str) -> bool:
        said = self.body.get("llm_mesh")
        return isinstance(said, dict) and bool(said.get(key))

    def _names_a_model(self) -> bool:
        return (self.body.get("model") or "") not in FREE_CHOICE or self._model() == "provider"

    def _model(self) -> str:
        """Return which word named the model: a vendor may stand by itself."""
        by_itself = (self.body.get("model") or "") in FREE_CHOICE
        return "provider" if by_itself and (self.body.get("provider") or "") not in FREE_CHOICE else "model"


def said_in(body: Mapping[str, Any], headers: Mapping[str, str]) -> Said:
    """Keep what errors of the router will have to be told by."""
    kept = {key: value for key in KEPT if (value := body.get(key)) is not None}
    return Said(kept, headers, body.get("system_message") is not None)
