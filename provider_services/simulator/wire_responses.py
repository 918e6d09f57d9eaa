"""Speaks the responses dialect: items whole or as typed events, embeddings and models, with each host's habits."""

import base64
from collections.abc import Callable, Iterator, Mapping
from struct import pack
from typing import Any

import msgspec

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, RefusalError, Said, Script, Stamp, Wire
from provider_services.simulator.identity import Identity, marked
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow, VendorRow
from provider_services.simulator.wire_responses_frames import Frames
from provider_services.simulator.wire_responses_items import Rules, seal
from provider_services.simulator.wire_responses_requests import ResponseAsk, read_embedding, read_response

Item = dict[str, Any]
INITIALS = {"minute": "M", "day": "D", "month": "MO"}
FOUND = {"url": "https://example.com/river", "title": "Rivers", "snippet": "A river turns."}
CUT: Item = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
ENDED: dict[str, Item] = {
    "length": CUT,
    "window": CUT,
    "filter": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
    "abort": {"status": "failed", "error": {"code": "server_error", "message": "The model did not finish its answer."}},
}
_json = msgspec.json.encode


def _error(status: int, message: str, code: str | None, **more: Any) -> ErrorRow:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code} | more
    return ErrorRow(status=status, body={"error": error})


ERRORS: dict[str, ErrorRow] = {
    "missing_key": _error(401, "You didn't provide an API key.", None),
    "bad_key": _error(401, "Incorrect API key provided: {masked_key}.", "invalid_api_key"),
    "unknown_model": _error(400, "The requested model '{model}' does not exist.", "model_not_found", param="model"),
    "unknown_path": _error(404, "Invalid URL ({method} {path})", None),
    "not_chat": _error(
        400, "The requested model '{model}' cannot be used with the Responses API.", "unsupported_value"
    ),
    "not_stored": _error(404, "{message}", None, param="{param}"),
    "bad_json": _error(400, "We could not parse the JSON body of your request. {message}", None),
    "bad_request": _error(400, "{message}", "invalid_value", param="{param}"),
    "unsupported": _error(400, "{message}", "unsupported_parameter", param="{param}"),
    "retired": _error(410, "This endpoint has been retired.", "endpoint_retired"),
    "ended": _error(410, "This service has been retired.", "service_retired"),
    "retired_model": _error(
        404, "The model `{model}` has been deprecated and is no longer available.", "model_not_found", param="model"
    ),
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
    "context": _error(
        400,
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "context_length_exceeded",
        param="input",
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
    "server": _error(500, "An error occurred while processing your request.", "{reason}", type="{type}"),
}


class ResponsesWire:
    """One host of the dialect."""

    def __init__(self, row: VendorRow, identity: Identity) -> None:
        self._row = row
        self._identity = identity
        self._rules = msgspec.convert(row.quirks, Rules)
        self.errors: Mapping[str, ErrorRow] = ERRORS | row.errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        rules = self._rules
        if method == "POST" and path in rules.chat_paths:
            return Call("chat")
        if method == "POST" and path in rules.retired_paths:
            return Call("chat", framing="retired")
        if method == "POST" and path == rules.embed_path:
            return Call("embed")
        return Call("models") if method == "GET" and path == rules.models_path else None

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        if call.framing == "retired":
            raise RefusalError("retired")
        if call.operation == "embed":
            return read_embedding(raw, call, self._row, self._rules)
        return read_response(raw, call, self._row, self._rules)

    def catalogue(self, call: Call) -> bytes:
        """Render the list of models."""
        return _json({"object": "list", "data": [self._listed(model) for model in self._row.models]})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        return _json(self._response(ask, stamp, self._ended(answer), self._output(ask, answer.choices[0]), answer))

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render vectors, as numbers or as base64 of bytes."""
        data = [
            {"object": "embedding", "index": index, "embedding": self._vector(vector)}
            for index, vector in enumerate(answer.vectors)
        ]
        usage = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
        return _json({"object": "list", "data": data, "model": ask.model.answers_as, "usage": usage})

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as typed events."""
        frames = Frames(self._rules)
        choice = answer.choices[0]
        begun = self._response(ask, stamp, {"status": "in_progress"}, [], None)
        output = self._output(ask, choice)
        opening = frames.opening(begun)
        pieces = tuple(self._pieces(frames, output, choice))
        ended = begun | self._response(ask, stamp, self._ended(answer), output, answer) | {"id": begun["id"]}
        return Script("text/event-stream", opening, pieces, frames.closing(ended))

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""
        limit = denial.limit
        per = limit.per.replace("minute", "min")
        return {
            "model": model,
            "unit": limit.unit,
            "unit_words": f"{limit.unit} per {per} ({limit.unit[0].upper()}P{INITIALS[limit.per]})",
            "limit": limit.amount,
            "used": denial.used,
            "requested": denial.requested,
        }

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""
        reasons = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"reason": reasons.get(status, "server_error" if status >= 500 else None), "type": kind}

    def torn(self, piece: bytes) -> bytes:
        """Break the JSON of an event."""
        return piece[: len(piece) // 2] + b"\n\n"

    def stream_error(self, call: Call, said: Said) -> bytes:
        """Wrap an error as an event."""
        kind = "response.failed" if self._rules.failed_events else "error"
        try:
            told = msgspec.json.decode(said.body, type=dict[str, Any])
        except msgspec.DecodeError:
            told = {"message": said.body.decode(errors="replace")}
        return Frames(self._rules).event(kind, **told)

    def _pieces(self, frames: Frames, output: list[Item], choice: Choice) -> Iterator[Piece]:
        if choice.reasoning and not any(item["type"] == "reasoning" for item in output):
            yield Piece(b"", len(choice.reasoning))
        called = 0
        for item in output:
            yield from frames.item(item, choice, called)
            called += item["type"] == "function_call"

    def _response(
        self, ask: Ask, stamp: Stamp, ended: Item, output: list[Item], answer: Answer | None
    ) -> dict[str, Any]:
        return {
            "id": "resp_" + self._identity.hex(48),
            "object": "response",
            "created_at": int(stamp.created),
            "error": None,
            "incomplete_details": None,
            "model": ask.model.answers_as,
            "output": output,
            "store": False,
            "usage": None if answer is None else self._usage(answer),
        } | ended

    def _ended(self, answer: Answer) -> Item:
        return ENDED.get(answer.choices[0].finish, {"status": "completed"})

    def _output(self, ask: Ask, choice: Choice) -> list[Item]:
        searches = isinstance(ask, ResponseAsk) and ask.searches
        sealed = isinstance(ask, ResponseAsk) and ask.sealed
        output: list[Item] = []
        if searches:
            output.append(self._search())
        if choice.reasoning and self._rules.state == "reasoning":
            output.append(self._reasoning(ask, choice, sealed=sealed))
        output.extend(self._function_call(ask, call.name, "".join(call.pieces)) for call in choice.calls)
        if choice.pieces:
            output.append(self._message(choice, searched=searches))
        return output

    def _search(self) -> Item:
        if self._rules.search == "results":
            return {"type": "search_results", "queries": ["rivers"], "results": [{"id": 1} | FOUND]}
        action = {"type": "search", "query": "rivers"}
        return {
            "id": "ws_" + self._identity.hex(48),
            "type": "web_search_call",
            "status": "completed",
            "action": action,
        }

    def _reasoning(self, ask: Ask, choice: Choice, *, sealed: bool) -> Item:
        item: Item = {"id": "rs_" + self._identity.hex(48), "type": "reasoning", "summary": []}
        if ask.shows_reasoning:
            item["summary"] = [{"type": "summary_text", "text": "".join(choice.reasoning)}]
        return item | ({"encrypted_content": seal(item["id"])} if sealed else {})

    def _function_call(self, ask: Ask, name: str, arguments: str) -> Item:
        call_id = marked(self._identity.alphanumeric(16), self._row.name)
        item = {"id": "fc_" + self._identity.hex(48), "type": "function_call", "status": "completed"}
        item |= {"call_id": call_id, "name": name, "arguments": arguments}
        signed = self._rules.state == "thought_signature" and ask.model.signed
        return item | ({"thought_signature": seal(call_id)} if signed else {})

    def _message(self, choice: Choice, *, searched: bool) -> Item:
        text = "".join(choice.pieces)
        placed = searched and self._rules.search == "call"
        source = {"type": "url_citation", "start_index": 0, "end_index": len(text)}
        source |= {"url": FOUND["url"], "title": FOUND["title"]}
        content = {"type": "output_text", "annotations": [source] if placed else [], "logprobs": [], "text": text}
        identity = "msg_" + self._identity.hex(48)
        return {"id": identity, "type": "message", "status": "completed", "role": "assistant", "content": [content]}

    def _usage(self, answer: Answer) -> Item:
        usage: Item = {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        }
        cost = {"currency": "USD", "input_cost": 0.0001, "output_cost": 0.0001, "total_cost": 0.0002}
        return usage | ({"cost": cost} if self._rules.cost else {})

    def _vector(self, vector: tuple[float, ...]) -> list[float] | str:
        if self._rules.vectors == "float":
            return list(vector)
        most = max(map(abs, vector), default=1.0) or 1.0
        numbers = [round(value / most * 127) for value in vector]
        return base64.b64encode(pack(f"{len(numbers)}b", *numbers)).decode()

    def _listed(self, model: ModelRow) -> Item:
        return {"id": model.id, "object": "model", "created": 0, "owned_by": model.owner or self._row.name}


WIRE: Callable[[VendorRow, Identity], Wire] = ResponsesWire
