"""Speaks the cohere dialect: v2 chat whole or as named events, plans before calls, vectors and models."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from provider_services.simulator.ask import Answer, Ask, Call, Choice, Piece, Said, Script, Stamp, ToolCall, Wire
from provider_services.simulator.identity import Identity
from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow, VendorRow
from provider_services.simulator.wire_cohere_requests import hosted, read_chat, read_embed, seal

FINISH = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "calls": "TOOL_CALL",
    "window": "MAX_TOKENS",
    "filter": "ERROR_TOXIC",
    "abort": "ERROR",
}
PLAN = "I will use the {name} tool."
DONE = b"data: [DONE]\n\n"
_json = msgspec.json.encode


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one host of this dialect differs from the next."""

    template_tokens: int = 0  # counted beside the prompt's own, but not billed
    unforced: tuple[str, ...] = ()  # models that cannot be forced to call a tool


def _error(status: int, message: str) -> ErrorRow:
    return ErrorRow(status=status, body={"id": "6a1c5e0e-0d6c-4e8e-9a55-3c8f1d7b2a90", "message": message})


ERRORS: dict[str, ErrorRow] = {
    "missing_key": _error(401, "no api key supplied"),
    "bad_key": _error(401, "invalid api token"),
    "unknown_model": _error(
        404,
        "model '{model}' not found, make sure the correct model ID was used and that you have access to the model.",
    ),
    "retired_model": _error(
        404,
        "model '{model}' was removed. See https://docs.cohere.com/docs/models for a list of the available models.",
    ),
    "unknown_path": _error(404, "404 page not found"),
    "ended": _error(410, "this service has been retired."),
    "out_of_credit": _error(402, "Please add or update your payment method at the dashboard to continue."),
    "filtered": _error(400, "blocked by the content filter: please try a different prompt."),
    "overloaded": _error(503, "the service is overloaded: too many users, please try again later."),
    "bad_request": _error(400, "{message}"),
    "context": _error(
        400,
        "too many tokens: total number of tokens in the prompt cannot exceed {context} - received {tokens}."
        " Try using a shorter prompt, or enabling prompt truncating.",
    ),
    "limited": _error(
        429,
        "You are using a Trial key, which is limited to {limit} API calls / {per}. You can continue to use the Trial"
        " key for free or upgrade to a Production key with higher rate limits.",
    ),
    "too_large": _error(429, "trial token rate limit exceeded, limit is {limit} tokens per {per}"),
    "server": _error(500, "internal server error, this has been reported to our developers."),
}


class CohereWire:
    """One host of the dialect."""

    errors: Mapping[str, ErrorRow]

    def __init__(self, row: VendorRow, identity: Identity) -> None:
        self._row = row
        self._identity = identity
        self._quirks = msgspec.convert(row.quirks, Quirks)
        self.errors = ERRORS | row.errors

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for."""
        calls = {
            ("POST", "/v2/chat"): Call("chat"),
            ("POST", "/v2/embed"): Call("embed"),
            ("GET", "/v1/models"): Call("models"),
        }
        if method == "GET" and path.startswith("/v1/models/"):
            return Call("models", path.removeprefix("/v1/models/"))
        return calls.get((method, path))

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body."""
        if call.operation == "embed":
            return read_embed(raw, call, self._row)
        return read_chat(raw, call, self._row, self._quirks.unforced)

    def catalogue(self, call: Call) -> bytes:
        """Render the list of models, or one of them."""
        if call.model:
            return _json(_listed(hosted(self._row, call.model)))
        return _json({"models": [_listed(model) for model in self._row.models]})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""
        choice = answer.choices[0]
        message: dict[str, Any] = {"role": "assistant"}
        content = [{"type": "thinking", "thinking": "".join(choice.reasoning)}] if choice.reasoning else []
        if choice.pieces:
            content.append({"type": "text", "text": "".join(choice.pieces)})
        if content:
            message["content"] = content
        if plan := _plan(choice):
            message["tool_plan"] = plan
        if choice.calls:
            message["tool_calls"] = [self._call(choice, call, _arguments(call)) for call in choice.calls]
        body = {"id": self._identity.uuid(), "message": message, "finish_reason": FINISH[choice.finish]}
        return _json(body | {"usage": self._usage(answer)})

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as named events; the mark after the last one has no name."""
        choice = answer.choices[0]
        message: dict[str, Any] = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        begin = {
            "id": self._identity.uuid(),
            "type": "message-start",
            "delta": {"message": message | {"citations": []}},
        }
        end = {"finish_reason": FINISH[choice.finish], "usage": self._usage(answer)}
        pieces = (*_contents(choice), *_plans(choice), *self._calls(choice))
        closing = _event({"type": "message-end", "delta": end}) + DONE
        return Script("text/event-stream", _event(begin), pieces, closing)

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render vectors of the one kind that is asked for."""
        billed = {"input_tokens": answer.input_tokens, "image_tokens": 0}
        return _json(
            {
                "id": self._identity.uuid(),
                "texts": ask.inputs,
                "embeddings": {"float": answer.vectors},
                "meta": {"api_version": {"version": "2"}, "billed_units": billed},
                "response_type": "embeddings_by_type",
            }
        )

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""
        return {"model": model, "limit": denial.limit.amount, "per": denial.limit.per}

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""
        return {}

    def torn(self, piece: bytes) -> bytes:
        """Break the JSON of an event."""
        return piece[: len(piece) // 2] + b"\n\n"

    def stream_error(self, call: Call, said: Said) -> bytes:
        """End the stream in the vendor's way: with a last event whose reason is an error."""
        body = msgspec.json.decode(said.body) if said.body.startswith(b"{") else {}
        told = body.get("message") or said.body.decode(errors="replace")
        delta: dict[str, Any] = {"finish_reason": "ERROR", "usage": {}, "error": told, "error_type": "INTERNAL"}
        return _event({"type": "message-end", "delta": delta}) + DONE

    def _call(self, choice: Choice, call: ToolCall, arguments: str) -> dict[str, Any]:
        chance = self._identity.alphanumeric(6).lower()
        state = "".join(choice.reasoning) + _plan(choice)
        identity = f"{call.name}_{chance}{seal(chance, state)}"
        return {"id": identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _calls(self, choice: Choice) -> Iterator[Piece]:
        for index, call in enumerate(choice.calls):
            before = _delta("tool-call-start", index, tool_calls=self._call(choice, call, ""))
            pieces = call.pieces if call.arguments else ("null",)
            for number, arguments in enumerate(pieces, 1):
                told = _delta("tool-call-delta", index, tool_calls={"function": {"arguments": arguments}})
                after = _event({"type": "tool-call-end", "index": index}) if number == len(pieces) else b""
                yield Piece(before + told + after, len(call.pieces) if not call.arguments else 1)
                before = b""

    def _usage(self, answer: Answer) -> dict[str, Any]:
        tokens = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
        if answer.reasoning_tokens:
            tokens["reasoning_tokens"] = answer.reasoning_tokens
        template = min(self._quirks.template_tokens, answer.input_tokens - 1)
        billed = {"input_tokens": answer.input_tokens - template, "output_tokens": answer.text_tokens}
        return {"billed_units": billed, "tokens": tokens, "cached_tokens": template}


def _plan(choice: Choice) -> str:
    """Return the plan of a model that calls tools without having thought."""
    if not choice.calls or choice.reasoning:
        return ""
    return PLAN.format(name=" and the ".join(call.name for call in choice.calls))


def _plans(choice: Choice) -> Iterator[Piece]:
    for word in _plan(choice).replace(" ", "\n ").splitlines():
        yield Piece(_event({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": word}}}), 0)


def _contents(choice: Choice) -> Iterator[Piece]:
    """Yield the blocks that are not empty, each with its beginning and its end."""
    blocks = [("thinking", choice.reasoning), ("text", choice.pieces)]
    for index, (kind, pieces) in enumerate((kind, pieces) for kind, pieces in blocks if pieces):
        before = _delta("content-start", index, content={"type": kind, kind: ""})
        for number, piece in enumerate(pieces, 1):
            after = _event({"type": "content-end", "index": index}) if number == len(pieces) else b""
            yield Piece(before + _delta("content-delta", index, content={kind: piece}) + after)
            before = b""


def _arguments(call: ToolCall) -> str:
    return "".join(call.pieces) if call.arguments else "null"


def _delta(kind: str, index: int, **message: Any) -> bytes:
    return _event({"type": kind, "index": index, "delta": {"message": message}})


def _event(body: dict[str, Any]) -> bytes:
    kind: str = body["type"]
    return b"event: " + kind.encode() + b"\ndata: " + _json(body) + b"\n\n"


def _listed(model: ModelRow) -> dict[str, Any]:
    return {
        "name": model.id,
        "endpoints": [model.kind],
        "finetuned": False,
        "context_length": model.context,
        "default_endpoints": [],
        "features": ["json_mode", "json_schema", "strict_tools", "tools"] + ["reasoning"] * model.reasoning,
    }


WIRE: Callable[[VendorRow, Identity], Wire] = CohereWire
