"""Speaks the anthropic dialect: messages whole or as named events, thoughts with signatures, and models; no vectors."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, RefusalError, Said, Script, Stamp, Wire
from provider_services.simulator.ask import ToolCall as CalledTool
from provider_services.simulator.identity import Identity
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow, VendorRow
from provider_services.simulator.wire_anthropic_quirks import Quirks
from provider_services.simulator.wire_anthropic_requests import read_messages, signature

FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "calls": "tool_use",
    "window": "model_context_window_exceeded",
    "filter": "refusal",
    "abort": "end_turn",
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
WORDS = {429: "Number of requests has exceeded your rate limit.", 529: "Overloaded"}
_json = msgspec.json.encode


def _error(status: int, kind: str, message: str) -> ErrorRow:
    return ErrorRow(status=status, body={"type": "error", "error": {"type": kind, "message": message}})


_OVER = (
    "This request would exceed the rate limit for your organization of {limit} {unit} per {per}. For details, refer"
    " to: https://docs.anthropic.com/en/api/rate-limits."
)
ERRORS: dict[str, ErrorRow] = {
    "missing_key": _error(401, "authentication_error", "x-api-key header is required"),
    "bad_key": _error(401, "authentication_error", "invalid x-api-key"),
    "unknown_model": _error(404, "not_found_error", "model: {model}"),
    "unknown_path": _error(404, "not_found_error", "Not found"),
    "ended": _error(410, "not_found_error", "This API has been retired."),
    "out_of_credit": _error(
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the API. Please go to Plans & Billing to purchase credits.",
    ),
    "filtered": _error(400, "invalid_request_error", "Output blocked by content filtering policy"),
    "overloaded": _error(529, "overloaded_error", "Overloaded"),
    "bad_request": _error(400, "invalid_request_error", "{message}"),
    "context": _error(400, "invalid_request_error", "prompt is too long: {tokens} tokens > {context} maximum"),
    "limited": _error(429, "rate_limit_error", _OVER),
    "too_large": _error(429, "rate_limit_error", _OVER),
    "server": _error(500, "{kind}", "{words}"),
}


class AnthropicWire:
    """One host of the dialect."""

    errors: Mapping[str, ErrorRow]

    def __init__(self, row: VendorRow, identity: Identity) -> None:
        self._row = row
        self._identity = identity
        self._quirks = msgspec.convert(row.quirks, Quirks)
        self.errors = ERRORS | row.errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        if (method, path) == ("POST", "/messages"):
            return Call("chat")
        if method == "GET" and path == "/models":
            return Call("models")
        if method == "GET" and path.startswith("/models/"):
            return Call("models", path.removeprefix("/models/"))
        return None

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        return read_messages(raw, self._row, self._quirks)

    def catalogue(self, call: Call) -> bytes:
        """Render the list of models, or one of them."""
        if call.model:
            model = self._row.model(call.model)
            if model is None:
                raise RefusalError("unknown_model", model=call.model)
            return _json(_listed(model))
        listed = [_listed(model) for model in self._row.models]
        ends = {"has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
        return _json({"data": listed} | ends)

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        choice = answer.choices[0]
        blocks: list[dict[str, Any]] = []
        if choice.reasoning:
            thought = "".join(choice.reasoning) if ask.shows_reasoning else ""
            blocks.append({"type": "thinking", "thinking": thought, "signature": signature(thought)})
        if choice.pieces:
            blocks.append({"type": "text", "text": "".join(choice.pieces)})
        blocks.extend(self._called(call) | {"input": call.arguments} for call in choice.calls)
        ended = {"stop_reason": FINISH[choice.finish], "stop_sequence": None}
        usage = _usage(ask.input_tokens) | {"output_tokens": answer.output_tokens}
        return _json(self._message(ask) | {"content": blocks} | ended | {"usage": usage})

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as a stream of named events."""
        usage = _usage(ask.input_tokens) | {"output_tokens": 1}
        message = self._message(ask) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        opening = _event("message_start", message=message) + _event("ping")
        choice = answer.choices[0]
        counted = {"input_tokens": ask.input_tokens, "output_tokens": answer.output_tokens}
        delta = {"stop_reason": FINISH[choice.finish], "stop_sequence": None}
        closing = _event("message_delta", delta=delta, usage=counted) + _event("message_stop")
        pieces = tuple(piece for at, block in enumerate(self._blocks(ask, choice)) for piece in _grown(at, *block))
        return Script("text/event-stream; charset=utf-8", opening, pieces, closing)

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Refuse: the vendor makes no vectors, and has no path that asks for them."""
        raise RefusalError("unknown_path")

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""
        limit = denial.limit
        return {"model": model, "limit": limit.amount, "unit": limit.unit, "per": limit.per}

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""
        return {"kind": KINDS.get(status, "api_error"), "words": WORDS.get(status, "Internal server error")}

    def torn(self, piece: bytes) -> bytes:
        """Break the JSON of a piece's last event."""
        at = piece.rindex(b"data: ") + len(b"data: ")
        return piece[: at + (len(piece) - at) // 2] + b"\n\n"

    def stream_error(self, call: Call, said: Said) -> bytes:
        """Wrap an error as an event."""
        return b"event: error\ndata: " + said.body + b"\n\n"

    def _message(self, ask: Ask) -> dict[str, Any]:
        identity = "msg_01" + self._identity.alphanumeric(22)
        return {"model": ask.model.answers_as, "id": identity, "type": "message", "role": "assistant"}

    def _called(self, call: CalledTool) -> dict[str, Any]:
        return {"type": "tool_use", "id": "toolu_01" + self._identity.alphanumeric(22), "name": call.name}

    def _blocks(self, ask: Ask, choice: Choice) -> Iterator[tuple[dict[str, Any], list[tuple[dict[str, Any], int]]]]:
        """Yield every block's start, and its deltas with the tokens they carry; hidden thoughts are silence."""
        if choice.reasoning:
            shown = choice.reasoning if ask.shows_reasoning else ()
            deltas = [({"type": "thinking_delta", "thinking": text}, 1) for text in shown]
            signed = {"type": "signature_delta", "signature": signature("".join(shown))}
            yield (
                {"type": "thinking", "thinking": "", "signature": ""},
                [
                    *deltas,
                    (signed, len(choice.reasoning) - len(shown)),
                ],
            )
        if choice.pieces:
            yield {"type": "text", "text": ""}, [({"type": "text_delta", "text": text}, 1) for text in choice.pieces]
        for call in choice.calls:
            deltas = [({"type": "input_json_delta", "partial_json": text}, 1) for text in call.pieces]
            yield self._called(call) | {"input": {}}, [({"type": "input_json_delta", "partial_json": ""}, 0), *deltas]


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _json({"type": kind} | fields) + b"\n\n"


def _grown(at: int, start: dict[str, Any], deltas: list[tuple[dict[str, Any], int]]) -> Iterator[Piece]:
    """Yield a block's pieces; the first carries its start and the last its stop."""
    for number, (delta, tokens) in enumerate(deltas):
        data = _event("content_block_delta", index=at, delta=delta)
        if not number:
            data = _event("content_block_start", index=at, content_block=start) + data
        if number == len(deltas) - 1:
            data += _event("content_block_stop", index=at)
        yield Piece(data, tokens)


def _usage(tokens: int) -> dict[str, Any]:
    written = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    return {
        "input_tokens": tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": written,
        "service_tier": "standard",
    }


def _listed(model: ModelRow) -> dict[str, Any]:
    named = model.id.replace("-", " ").title()
    limits = {"max_input_tokens": model.context, "max_tokens": model.max_output}
    return {"type": "model", "id": model.id, "display_name": named, "created_at": "2025-09-29T00:00:00Z"} | limits


WIRE: Callable[[VendorRow, Identity], Wire] = AnthropicWire
