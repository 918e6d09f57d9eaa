"""Speaks the openai dialect: chat completions, embeddings and models, with each host's habits from its row."""

import base64
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from struct import pack
from typing import Any

import msgspec

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, Said, Script, Stamp, ToolCall, Wire
from provider_services.simulator.identity import Identity
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow, VendorRow
from provider_services.simulator.wire_openai_frames import FINISH, Frames, Quirks, details, fingerprint
from provider_services.simulator.wire_openai_requests import hosted, read_chat, read_embedding

INITIALS = {"minute": "M", "day": "D", "month": "MO"}
REASONS = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
DONE = b"data: [DONE]\n\n"
_json = msgspec.json.encode


def _error(status: int, message: str, code: str | None, **more: Any) -> ErrorRow:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code} | more
    return ErrorRow(status=status, body={"error": error})


ERRORS: dict[str, ErrorRow] = {
    "missing_key": _error(401, "You didn't provide an API key.", None),
    "bad_key": _error(401, "Incorrect API key provided: {masked_key}.", "invalid_api_key"),
    "unknown_model": _error(
        404, "The model `{model}` does not exist or you do not have access to it.", "model_not_found"
    ),
    "unknown_path": _error(404, "Invalid URL ({method} {path})", None),
    "not_chat": _error(403, "You are not allowed to sample from this model", None),
    "bad_json": _error(400, "We could not parse the JSON body of your request. {message}", None),
    "bad_request": _error(400, "{message}", None, param="{param}"),
    "unsupported": _error(400, "{message}", "unsupported_parameter", param="{param}"),
    "context": _error(
        400,
        "This model's maximum context length is {context} tokens. However, your messages resulted in {tokens}"
        " tokens. Please reduce the length of the messages.",
        "context_length_exceeded",
        param="messages",
    ),
    "limited": _error(
        429,
        "Rate limit reached for {model} on {unit_words}: Limit {limit}, Used {used}, Requested {requested}."
        " Please try again in {retry}.",
        "rate_limit_exceeded",
        type="{unit}",
    ),
    "too_large": _error(
        429,
        "Request too large for {model} on {unit_words}: Limit {limit}, Requested {requested}.",
        "rate_limit_exceeded",
        type="{unit}",
    ),
    "server": _error(500, "The server had an error while processing your request.", "{reason}", type="{type}"),
}


class OpenAIWire:
    """One host of the dialect."""

    def __init__(self, row: VendorRow, identity: Identity) -> None:
        self._row = row
        self._identity = identity
        self._quirks = msgspec.convert(row.quirks, Quirks)
        self.errors: Mapping[str, ErrorRow] = ERRORS | row.errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        if method == "POST":
            operation = {"/chat/completions": "chat", "/embeddings": "embed"}.get(path)
            return Call(operation) if operation else None
        if path == "/models":
            return Call("models")
        return Call("models", model=path.removeprefix("/models/")) if path.startswith("/models/") else None

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        if call.operation == "embed":
            return read_embedding(raw, call, self._row)
        return read_chat(raw, call, self._row, self._quirks.refused)

    def catalogue(self, call: Call) -> bytes:
        """Render the list of models, or one of them."""
        models = [hosted(self._row, call.model)] if call.model else self._row.models
        listed = [self._listed(model) for model in models]
        return _json(listed[0] if call.model else {"object": "list", "data": listed})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        quirks = self._quirks
        body: dict[str, Any] = {
            "id": self._answer_id(),
            "object": "chat.completion",
            "created": int(stamp.created),
            "model": ask.model.answers_as,
            "choices": [
                {
                    "index": index,
                    "message": self._message(ask, choice),
                    "logprobs": None,
                    "finish_reason": FINISH[choice.finish],
                }
                for index, choice in enumerate(answer.choices)
            ],
            "usage": self._usage(answer, stamp),
            "service_tier": quirks.service_tier,
            "system_fingerprint": fingerprint(ask),
        }
        if quirks.extension:
            body[quirks.extension] = {"id": stamp.request_id}
        return _json(body)

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render vectors, as numbers or as base64 of little-endian floats."""
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(pack(f"<{len(vector)}f", *vector)).decode()
                if ask.encoding == "base64"
                else vector,
            }
            for index, vector in enumerate(answer.vectors)
        ]
        usage = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
        return _json({"object": "list", "data": data, "model": ask.model.answers_as, "usage": usage})

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as server-sent events; the choices of n take turns."""
        frames = Frames(self._quirks, self._answer_id(), ask, stamp)
        streams = [self._pieces(frames, index, ask, choice) for index, choice in enumerate(answer.choices)]
        return Script(
            content_type="text/event-stream",
            opening=b"".join(frames.opening(index) for index in range(ask.n)),
            pieces=tuple(piece for turn in zip_longest(*streams) for piece in turn if piece is not None),
            closing=frames.closing(answer, self._usage(answer, stamp)) + DONE,
        )

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""
        limit = denial.limit
        initials = f"{limit.unit[0].upper()}P{INITIALS[limit.per]}"
        return {
            "model": model,
            "unit": limit.unit,
            "unit_words": f"{limit.unit} per {limit.per.replace('minute', 'min')} ({initials})",
            "long_unit_words": f"{limit.unit} per {limit.per} ({initials})",
            "limit": limit.amount,
            "used": denial.used,
            "requested": denial.requested,
        }

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"reason": REASONS.get(status), "type": kind}

    def torn(self, piece: bytes) -> bytes:
        """Break the JSON of an event."""
        return piece[: len(piece) // 2] + b"\n\n"

    def stream_error(self, call: Call, said: Said) -> bytes:
        """Wrap an error as an event."""
        return (b"event: error\n" if self._quirks.event_errors else b"") + b"data: " + said.body + b"\n\n"

    def _answer_id(self) -> str:
        style = self._quirks.ids
        return "chatcmpl-" + (self._identity.uuid() if style == "uuid" else self._identity.alphanumeric(29))

    def _listed(self, model: ModelRow) -> dict[str, Any]:
        owner = model.owner or self._row.name
        listed = {"id": model.id, "object": "model", "created": model.created, "owned_by": owner}
        if not self._quirks.lists_windows:
            return listed
        return listed | {"active": True, "context_window": model.context, "max_completion_tokens": model.max_output}

    def _message(self, ask: Ask, choice: Choice) -> dict[str, Any]:
        quirks = self._quirks
        message: dict[str, Any] = {"role": "assistant"}
        if quirks.content_with_calls or not choice.calls:
            message["content"] = None if choice.calls else "".join(choice.pieces)
        if choice.reasoning and quirks.reasoning_field and ask.shows_reasoning:
            message[quirks.reasoning_field] = "".join(choice.reasoning)
            if quirks.reasoning_details:
                message["reasoning_details"] = details("".join(choice.reasoning))
        if choice.calls:
            message["tool_calls"] = [self._tool_call(call, "".join(call.pieces)) for call in choice.calls]
        return message | quirks.message_fields

    def _tool_call(self, call: ToolCall, arguments: str) -> dict[str, Any]:
        call_id = self._quirks.tool_id_prefix + self._identity.made(self._quirks.tool_ids)
        return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _pieces(self, frames: Frames, index: int, ask: Ask, choice: Choice) -> Iterator[Piece]:
        shown = self._quirks.reasoning_field if ask.shows_reasoning else ""
        for thought in choice.reasoning:
            yield Piece(frames.reasoning(index, thought) if shown else b"")
        for text in choice.pieces:
            yield Piece(frames.text(index, text))
        for place, call in enumerate(choice.calls):
            yield from self._call_pieces(frames, index, place, call)

    def _call_pieces(self, frames: Frames, index: int, place: int, call: ToolCall) -> Iterator[Piece]:
        if self._quirks.whole_calls:
            whole = {"index": place} | self._tool_call(call, "".join(call.pieces))
            yield Piece(frames.tool(index, whole), len(call.pieces))
            return
        before = frames.tool(index, {"index": place} | self._tool_call(call, ""))
        for arguments in call.pieces:
            yield Piece(before + frames.tool(index, {"index": place, "function": {"arguments": arguments}}))
            before = b""

    def _usage(self, answer: Answer, stamp: Stamp) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
        }
        if self._quirks.timing:
            busy = stamp.token_s * answer.output_tokens
            usage |= {"queue_time": stamp.first_s / 2, "prompt_time": stamp.first_s / 2}
            usage |= {"completion_time": busy, "total_time": stamp.first_s / 2 + busy}
        if self._quirks.all_details:
            usage["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0}
            usage["completion_tokens_details"] = {
                "reasoning_tokens": answer.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            }
        elif answer.reasoning_tokens:
            usage["completion_tokens_details"] = {"reasoning_tokens": answer.reasoning_tokens}
        return usage


WIRE: Callable[[VendorRow, Identity], Wire] = OpenAIWire
