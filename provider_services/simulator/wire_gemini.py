"""Speaks the gemini dialect: generateContent whole, as events or as a JSON array, embeddings and models."""

import base64
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any
from zlib import crc32

import msgspec

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, Said, Script, Stamp, ToolCall, Wire
from provider_services.simulator.identity import Identity
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow, VendorRow
from provider_services.simulator.wire_gemini_errors import ERRORS
from provider_services.simulator.wire_gemini_quirks import Quirks
from provider_services.simulator.wire_gemini_requests import hosted, read_embed, read_generate

FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "calls": "STOP",
    "window": "MAX_TOKENS",
    "filter": "SAFETY",
    "abort": "OTHER",
}
CALLED = "Model generated function call(s)."
QUOTA_IDS = {
    ("requests", "minute"): "GenerateRequestsPerMinutePerProjectPerModel",
    ("requests", "day"): "GenerateRequestsPerDayPerProjectPerModel",
    ("tokens", "minute"): "GenerateContentInputTokensPerModelPerMinute",
    ("tokens", "day"): "GenerateContentInputTokensPerModelPerDay",
}
METRICS = {
    "requests": "generate_content_free_tier_requests",
    "tokens": "generate_content_free_tier_input_token_count",
}
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_json = msgspec.json.encode


class GeminiWire:
    """One host of the dialect."""

    errors: Mapping[str, ErrorRow]

    def __init__(self, row: VendorRow, identity: Identity) -> None:
        self._row = row
        self._identity = identity
        self._quirks = msgspec.convert(row.quirks, Quirks)
        self.errors = ERRORS | row.errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        if path == "/models" and method == "GET":
            return Call("models")
        model, colon, verb = path.removeprefix("/models/").partition(":")
        if not path.startswith("/models/"):
            return None
        if method == "GET" and not colon:
            return Call("models", model)
        calls = {
            "generateContent": Call("chat", model),
            "streamGenerateContent": Call("chat", model, True, "sse" if query.get("alt") == "sse" else "array"),
            "embedContent": Call("embed", model, framing="one"),
            "batchEmbedContents": Call("embed", model, framing="batch"),
        }
        return calls.get(verb) if method == "POST" else None

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        if call.operation == "embed":
            return read_embed(raw, call, self._row)
        return read_generate(raw, call, self._row, self._quirks)

    def catalogue(self, call: Call) -> bytes:
        """Render the list of models, or one of them."""
        if call.model:
            return _json(_listed(hosted(self._row, call.model, "GetModel")))
        return _json({"models": [_listed(model) for model in self._row.models]})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        candidates = []
        for index, choice in enumerate(answer.choices):
            parts = self._thoughts(ask, choice)
            if choice.pieces:
                parts.append({"text": "".join(choice.pieces)})
            parts.extend(self._call_part(ask, call, place) for place, call in enumerate(choice.calls))
            content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
            candidates.append({"content": content, "index": index} | _finish(choice))
        thoughts, text = answer.reasoning_tokens, answer.text_tokens
        return _json({"candidates": candidates} | self._ends(ask, thoughts, text, self._response_id()))

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as a stream whose every chunk carries the usage so far."""
        chunks = self._chunks(ask, answer, self._response_id())
        if ask.call.framing == "sse":
            framed = [Piece(b"data: " + data + b"\r\n\r\n" if data else b"", tokens) for data, tokens in chunks]
            return Script("text/event-stream", b"", tuple(framed[:-1]), framed[-1].data)
        framed = [Piece(data + b",\r\n" if data else b"", tokens) for data, tokens in chunks[:-1]]
        return Script("application/json; charset=UTF-8", b"[", tuple(framed), chunks[-1][0] + b"]")

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render one vector or a batch of them."""
        listed = [{"values": vector} for vector in answer.vectors]
        details = [{"modality": "TEXT", "tokenCount": answer.input_tokens}]
        usage = {"promptTokenCount": answer.input_tokens, "promptTokenDetails": details}
        found = {"embeddings": listed} if ask.call.framing == "batch" else {"embedding": listed[0]}
        return _json(found | {"usageMetadata": usage})

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""
        limit = denial.limit
        quota = QUOTA_IDS.get((limit.unit, limit.per), "GenerateConcurrentRequestsPerProjectPerModel")
        return {
            "model": model,
            "metric": f"{self._quirks.service}/{METRICS.get(limit.unit, limit.unit)}",
            "quota_id": quota + self._quirks.quota_suffix,
            "quota_value": str(limit.amount),
            "limit": limit.amount,
        }

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""
        return {"reason": STATUSES.get(status, "INTERNAL")}

    def torn(self, piece: bytes) -> bytes:
        """Break the JSON of a chunk."""
        return piece[: len(piece) // 2] + (b"\r\n\r\n" if piece.startswith(b"data: ") else b",\r\n")

    def stream_error(self, call: Call, said: Said) -> bytes:
        """Wrap an error as a chunk."""
        return said.body + b"]" if call.framing == "array" else b"data: " + said.body + b"\r\n\r\n"

    def _response_id(self) -> str:
        return self._identity.alphanumeric(22)

    def _thoughts(self, ask: Ask, choice: Choice) -> list[dict[str, Any]]:
        if not choice.reasoning or not ask.shows_reasoning:
            return []
        return [{"text": "".join(choice.reasoning), "thought": True}]

    def _stream(self, ask: Ask, choice: Choice) -> Iterator[tuple[dict[str, Any], int, int]]:
        for thought in choice.reasoning:
            yield ({"text": thought, "thought": True} if ask.shows_reasoning else {}), 1, 0
        for text in choice.pieces:
            yield {"text": text}, 0, 1
        for place, call in enumerate(choice.calls):
            yield self._call_part(ask, call, place), 0, len(call.pieces)

    def _chunks(self, ask: Ask, answer: Answer, response_id: str) -> list[tuple[bytes, int]]:
        """Write every chunk and the tokens it carries; hidden thoughts are empty chunks, the finish is the last."""
        chunks: list[tuple[bytes, int]] = []
        thoughts = text = 0
        streams = [self._stream(ask, choice) for choice in answer.choices]
        for turn in zip_longest(*streams):
            for index, step in enumerate(turn):
                if step is None:
                    continue
                part, thought_tokens, text_tokens = step
                thoughts, text = thoughts + thought_tokens, text + text_tokens
                chunk = {"candidates": [_candidate(index, part)]} | self._ends(ask, thoughts, text, response_id)
                chunks.append((_json(chunk) if part else b"", thought_tokens + text_tokens))
        ended = [_candidate(index, {"text": ""}) | _finish(choice) for index, choice in enumerate(answer.choices)]
        chunks.append((_json({"candidates": ended} | self._ends(ask, thoughts, text, response_id)), 0))
        return chunks

    def _call_part(self, ask: Ask, call: ToolCall, place: int) -> dict[str, Any]:
        function: dict[str, Any] = {"name": call.name, "args": call.arguments}
        if ask.model.signed:
            function["id"] = self._identity.alphanumeric(8).lower()
        part: dict[str, Any] = {"functionCall": function}
        if ask.reasons and not place:
            part["thoughtSignature"] = _signature(ask)
        return part

    def _ends(self, ask: Ask, thoughts: int, text: int, response_id: str) -> dict[str, Any]:
        usage: dict[str, Any] = {"promptTokenCount": ask.input_tokens}
        if text:
            usage["candidatesTokenCount"] = text
        usage["totalTokenCount"] = ask.input_tokens + thoughts + text
        usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": ask.input_tokens}]
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        return {"usageMetadata": usage, "modelVersion": ask.model.answers_as, "responseId": response_id}


def _candidate(index: int, part: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"parts": [part], "role": "model"}, "index": index}


def _finish(choice: Choice) -> dict[str, Any]:
    called = {"finishMessage": CALLED} if choice.calls else {}
    return {"finishReason": FINISH[choice.finish]} | called


def _signature(ask: Ask) -> str:
    return base64.b64encode(f"signature of {crc32(ask.last_text.encode()):08x}".encode()).decode()


def _listed(model: ModelRow) -> dict[str, Any]:
    chat = model.kind == "chat"
    methods = ["generateContent", "countTokens"] if chat else ["embedContent", "batchEmbedContents"]
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.id.replace("-", " ").title(),
        "inputTokenLimit": model.context,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": methods,
    } | ({"temperature": 1, "topP": 0.95, "topK": 64, "thinking": model.reasoning} if chat else {})


WIRE: Callable[[VendorRow, Identity], Wire] = GeminiWire
