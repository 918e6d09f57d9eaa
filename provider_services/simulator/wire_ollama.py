"""Speaks the ollama dialect: chat as NDJSON or whole, embeddings, tags and version."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, Said, Script, Stamp, Wire
from provider_services.simulator.identity import Identity
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow, VendorRow
from provider_services.simulator.wire_ollama_requests import read_chat, read_embed

NANOSECONDS = 1_000_000_000
_json = msgspec.json.encode


class Quirks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one server tells about itself."""

    version: str = "0.12.6"
    call_ids: bool = True


def _error(status: int, message: str) -> ErrorRow:
    return ErrorRow(status=status, body={"error": message})


ERRORS: dict[str, ErrorRow] = {
    "missing_key": _error(401, "unauthorized"),
    "bad_key": _error(401, "unauthorized"),
    "unknown_model": _error(404, "model '{model}' not found"),
    "unknown_path": _error(404, "404 page not found"),
    "ended": _error(410, "this service has been retired"),
    "out_of_credit": _error(
        429, "you have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade"
    ),
    "overloaded": _error(503, "server busy, please try again.  maximum pending requests exceeded"),
    "not_chat": _error(400, '"{model}" does not support chat'),
    "bad_request": _error(400, "{message}"),
    "limited": _error(429, "too many requests: {unit} per {per} is limited to {limit}"),
    "server": _error(500, "llama runner process has terminated"),
}


class OllamaWire:
    """One server of the dialect."""

    errors: Mapping[str, ErrorRow]

    def __init__(self, row: VendorRow, identity: Identity) -> None:
        self._row = row
        self._identity = identity
        self._quirks = msgspec.convert(row.quirks, Quirks)
        self.errors = ERRORS | {"too_large": ERRORS["limited"]} | row.errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        calls = {
            ("POST", "/chat"): Call("chat"),
            ("POST", "/embed"): Call("embed"),
            ("GET", "/tags"): Call("models", framing="tags"),
            ("GET", "/version"): Call("models", framing="version"),
            ("GET", "/ps"): Call("models", framing="ps"),
        }
        return calls.get((method, path))

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        read = read_embed if call.operation == "embed" else read_chat
        return read(raw, call, self._row)

    def catalogue(self, call: Call) -> bytes:
        """Render the pulled models, the one that is loaded, or the version of the server."""
        if call.framing == "version":
            return _json({"version": self._quirks.version})
        loaded = self._row.models[:1] if call.framing == "ps" else self._row.models
        return _json({"models": [_tag(model) for model in loaded]})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        choice = answer.choices[0]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(choice.pieces)}
        if choice.reasoning:
            message["thinking"] = "".join(choice.reasoning)
        if choice.calls:
            message["tool_calls"] = self._tool_calls(choice)
        return _json(self._line(ask, stamp, stamp.created, message) | _ends(answer, stamp))

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer line by line."""
        pieces: list[Piece] = []
        at = stamp.created + stamp.first_s
        for message, tokens in self._messages(answer.choices[0]):
            line = self._line(ask, stamp, at, {"role": "assistant"} | message) | {"done": False}
            pieces.append(Piece(_json(line) + b"\n", tokens))
            at += stamp.token_s * tokens
        last = self._line(ask, stamp, at, {"role": "assistant", "content": ""}) | _ends(answer, stamp)
        return Script("application/x-ndjson", b"", tuple(pieces), _json(last) + b"\n")

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render vectors."""
        total = int(stamp.first_s * NANOSECONDS) + 1_000_000
        durations = {"total_duration": total, "load_duration": total // 2}
        found = {"model": ask.model.answers_as, "embeddings": answer.vectors}
        return _json(found | durations | {"prompt_eval_count": answer.input_tokens})

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""
        limit = denial.limit
        return {"model": model, "unit": limit.unit, "per": limit.per, "limit": limit.amount}

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""
        return {}

    def torn(self, piece: bytes) -> bytes:
        """Break the JSON of a line."""
        return piece[: len(piece) // 2] + b"\n"

    def stream_error(self, call: Call, said: Said) -> bytes:
        """Wrap an error as a line."""
        return said.body + b"\n"

    def _messages(self, choice: Choice) -> Iterator[tuple[dict[str, Any], int]]:
        for thought in choice.reasoning:
            yield {"content": "", "thinking": thought}, 1
        for text in choice.pieces:
            yield {"content": text}, 1
        if choice.calls:
            yield {"content": "", "tool_calls": self._tool_calls(choice)}, choice.text_tokens

    def _tool_calls(self, choice: Choice) -> list[dict[str, Any]]:
        return [
            ({"id": f"call_{self._identity.alphanumeric(8).lower()}"} if self._quirks.call_ids else {})
            | {"function": {"index": index, "name": call.name, "arguments": call.arguments}}
            for index, call in enumerate(choice.calls)
        ]

    @staticmethod
    def _line(ask: Ask, stamp: Stamp, at: float, message: dict[str, Any]) -> dict[str, Any]:
        moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"model": ask.model.answers_as, "created_at": moment, "message": message}


def _ends(answer: Answer, stamp: Stamp) -> dict[str, Any]:
    """Return the counts of the last line; durations are nanoseconds."""
    prompt = int(stamp.first_s * NANOSECONDS)
    busy = int(stamp.token_s * answer.output_tokens * NANOSECONDS)
    load = 12_000_000
    return {
        "done": True,
        "done_reason": "length" if answer.choices[0].finish in ("length", "window") else "stop",
        "total_duration": load + prompt + busy,
        "load_duration": load,
        "prompt_eval_count": answer.input_tokens,
        "prompt_eval_duration": prompt,
        "eval_count": answer.output_tokens,
        "eval_duration": busy,
    }


def _tag(model: ModelRow) -> dict[str, Any]:
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameters,
        "quantization_level": "Q4_K_M",
    }
    modified = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = sha256(model.id.encode()).hexdigest()
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": modified,
        "size": 4_113_301_824,
        "digest": digest,
        "details": details,
    }


WIRE: Callable[[VendorRow, Identity], Wire] = OllamaWire
