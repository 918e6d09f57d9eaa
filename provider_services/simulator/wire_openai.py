"""Speaks the openai dialect: chat completions, embeddings and models, with each host's habits from its row."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from struct import pack
from typing import Any

import msgspec

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, Said, Script, Stamp, Wire
from provider_services.simulator.identity import Identity, marked
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, VendorRow
from provider_services.simulator.windows import SPAN_SECONDS
from provider_services.simulator.wire_openai_doors import Doors
from provider_services.simulator.wire_openai_frames import Frames, finish_word, head, tagged
from provider_services.simulator.wire_openai_lists import STYLES, listed
from provider_services.simulator.wire_openai_quirks import Quirks
from provider_services.simulator.wire_openai_requests import hosted, read_chat, read_embedding
from provider_services.simulator.wire_openai_state import details
from provider_services.simulator.wire_openai_usage import usage

INITIALS = {"second": "S", "minute": "M", "day": "D", "month": "MO", "once": "-"}
REASONS = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
DONE = b"data: [DONE]\n\n"
# What is told like something else, unless a row has words of its own for it.
LIKE = {
    "unknown_field": "unsupported",
    "above_output": "bad_request",
    "bad_turns": "bad_request",
    "bad_tool_id": "bad_request",
    "forced": "bad_request",
    "foreign_reasoning": "bad_request",
    "no_image": "bad_request",
    "no_reasoning": "bad_request",
    "unaffordable": "out_of_credit",
}
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
    "retired_model": _error(
        404, "The model `{model}` has been deprecated, learn more in the documentation.", "model_not_found"
    ),
    "unknown_path": _error(404, "Invalid URL ({method} {path})", None),
    "ended": _error(410, "This API has been retired.", "gone"),
    "out_of_credit": _error(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        type="insufficient_quota",
    ),
    "filtered": _error(
        400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", "invalid_prompt"
    ),
    "overloaded": _error(503, "The engine is currently overloaded, please try again later.", None, type="server_error"),
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
        self._paths = Doors(self._quirks.paths)
        errors = ERRORS | row.errors
        self.errors: Mapping[str, ErrorRow] = {kind: errors[like] for kind, like in LIKE.items()} | errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        return self._paths.call(method, path, query)

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        read = read_embedding if call.operation == "embed" else read_chat
        return read(raw, call, self._row, self._quirks)

    def catalogue(self, call: Call) -> bytes:
        """Render the list of models, or one of them."""
        style, owner = self._quirks.listing, self._row.name
        if call.model:
            return _json(STYLES[style](hosted(self._row, call.model, self._quirks), owner))
        return _json(listed(style, self._row.models, owner))

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        quirks = self._quirks
        answer_id = self._answer_id()
        body = head(quirks, answer_id, "chat.completion", ask, stamp)
        body["choices"] = [self._choice(ask, index, choice) for index, choice in enumerate(answer.choices)]
        body["usage"] = usage(quirks, ask, answer, stamp)
        if "service_tier" not in quirks.omits:
            body["service_tier"] = quirks.service_tier
        if quirks.repeats_id:
            body[quirks.repeats_id] = answer_id
        if quirks.extension:
            body[quirks.extension] = {"id": stamp.request_id}
        return b"\n" * quirks.blank_lines + _json(body | quirks.prompt_fields | quirks.body_fields)

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
        counted = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
        return _json({"object": "list", "data": data, "model": ask.model.answers_as, "usage": counted})

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as server-sent events; the choices of n take turns."""
        frames = Frames(self._quirks, self._answer_id(), ask, stamp)
        streams = [self._pieces(frames, index, ask, choice) for index, choice in enumerate(answer.choices)]
        return Script(
            content_type="text/event-stream",
            opening=frames.alive() * 2 + frames.before() + b"".join(frames.opening(index) for index in range(ask.n)),
            pieces=tuple(piece for turn in zip_longest(*streams) for piece in turn if piece is not None),
            closing=frames.alive() + frames.closing(answer, usage(self._quirks, ask, answer, stamp)) + DONE,
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
            "singular": limit.unit.removesuffix("s"),
            "per": limit.per,
            "per_word": limit.per.title(),
            "reset_ms": int((time.time() + (denial.wait or 0)) * 1_000),
            "span_s": int(SPAN_SECONDS.get(limit.per, 0)),
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
        body = said.body
        if self._quirks.errors_end_choice:
            ended = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
            body = _json({"object": "chat.completion.chunk", **msgspec.json.decode(body), "choices": [ended]})
        return (b"event: error\n" if self._quirks.event_errors else b"") + b"data: " + body + b"\n\n"

    def _answer_id(self) -> str:
        return self._quirks.id_prefix + self._identity.made(self._quirks.ids)

    def _choice(self, ask: Ask, index: int, choice: Choice) -> dict[str, Any]:
        told = {"index": index, "message": self._message(ask, choice)} | self._quirks.choice_fields
        if "logprobs" not in self._quirks.omits:
            told["logprobs"] = None
        return told | {"finish_reason": finish_word(self._quirks, choice)}

    def _message(self, ask: Ask, choice: Choice) -> dict[str, Any]:
        quirks = self._quirks
        form = quirks.form(ask.model.id) if choice.reasoning and ask.shows_reasoning else None
        content: Any = "".join((*(tagged(choice.reasoning) if form == "tags" else ()), *choice.pieces))
        shown = "".join(choice.reasoning)
        if form == "parts":
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": shown}], "closed": True}
            content = [thought, *([{"type": "text", "text": content}] if content else [])]
        message: dict[str, Any] = {"role": "assistant"} | quirks.message_fields
        if content or not choice.calls or quirks.content_beside_calls == "empty":
            message["content"] = content
        elif quirks.content_beside_calls == "null":
            message["content"] = None
        if form == "field":
            message[quirks.reasoning_field] = shown
            message |= {"reasoning_details": details(shown)} if quirks.reasoning_details else {}
        if choice.calls:
            calls = [self._tool_call(choice, place, "".join(call.pieces)) for place, call in enumerate(choice.calls)]
            message["tool_calls"] = calls
        return message

    def _tool_call(self, choice: Choice, place: int, arguments: str) -> dict[str, Any]:
        call_id = self._quirks.tool_id_prefix + self._identity.made(self._quirks.tool_ids)
        if self._quirks.reasoning_details and choice.reasoning:  # a call that must come back with its reasoning
            call_id = marked(self._identity.alphanumeric(16), self._row.name)
        function = {"name": choice.calls[place].name, "arguments": arguments}
        told = {"id": call_id, "type": "function", "function": function}
        return told | ({"index": place} if self._quirks.indexed_calls else {})

    def _pieces(self, frames: Frames, index: int, ask: Ask, choice: Choice) -> Iterator[Piece]:
        form = self._quirks.form(ask.model.id) if ask.shows_reasoning else None
        if form == "tags":
            yield from (Piece(frames.text(index, thought)) for thought in tagged(choice.reasoning))
        else:
            yield from (Piece(frames.reasoning(index, thought) if form else b"") for thought in choice.reasoning)
        if choice.reasoning and form == "field" and self._quirks.reasoning_details:
            yield Piece(frames.signature(index, "".join(choice.reasoning)), 0)
        for text in choice.pieces:
            yield Piece(frames.text(index, text))
        for place in range(len(choice.calls)):
            yield from self._call_pieces(frames, index, place, choice)

    def _call_pieces(self, frames: Frames, index: int, place: int, choice: Choice) -> Iterator[Piece]:
        call = choice.calls[place]
        if self._quirks.whole_calls:
            whole = self._tool_call(choice, place, "".join(call.pieces)) | {"index": place}
            yield Piece(frames.tool(index, whole), len(call.pieces))
            return
        before = frames.tool(index, self._tool_call(choice, place, "") | {"index": place})
        blank = {"id": "", "type": "function"} if self._quirks.blank_ids else {}
        for arguments in call.pieces:
            part = {"index": place} | blank | {"function": {"arguments": arguments}}
            yield Piece(before + frames.tool(index, part))
            before = b""


WIRE: Callable[[VendorRow, Identity], Wire] = OpenAIWire
