"""Gathers what a provider service answers, whole or in pieces, into one outcome: the first choice counts."""

from collections.abc import Iterable, Sequence

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1.provider_pb2 import AttemptFailure

from llm_mesh.conformance.outcome import Failure, Outcome, Tokens, ToolCall
from meshkit.errors import MeshError, Reason

FINISHES = {
    chat_pb2.FINISH_REASON_STOP: "stop",
    chat_pb2.FINISH_REASON_LENGTH: "length",
    chat_pb2.FINISH_REASON_TOOL_CALLS: "tool_calls",
    chat_pb2.FINISH_REASON_CONTENT_FILTER: "content_filter",
}
REASONS = {
    Reason.VENDOR_AUTH: "auth",
    Reason.VENDOR_PERMISSION: "permission",
    Reason.VENDOR_BAD_REQUEST: "bad_request",
    Reason.VENDOR_CONTEXT: "context",
    Reason.VENDOR_CONTENT_FILTER: "content_filter",
    Reason.VENDOR_NOT_FOUND: "not_found",
    Reason.VENDOR_THROTTLED: "throttled",
    Reason.VENDOR_QUOTA: "quota",
    Reason.VENDOR_OVERLOAD: "overload",
    Reason.VENDOR_SERVER: "server",
    Reason.VENDOR_INCOMPLETE: "server",
    Reason.VENDOR_RETIRED: "retired",
}


# How a provider service says that it guessed the prompt's tokens alone.
GUESSED_INPUT = ("estimated", "usage.input_tokens")


class Gathering:
    """The pieces of one answer, in their order."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._refusal: list[str] = []

    def deltas(self, deltas: Iterable[chat_pb2.Delta]) -> None:
        """Take pieces of a stream."""
        for delta in deltas:
            if delta.choice_index:
                continue
            self._text.append(delta.text)
            self._reasoning.append(delta.reasoning)
            self._refusal.append(delta.refusal)
            if delta.HasField("tool_call"):
                call = delta.tool_call
                self._calls[delta.part_index] = [call.id, call.name, call.arguments_json]
            elif delta.tool_arguments:
                self._calls[delta.part_index][2] += delta.tool_arguments

    def parts(self, parts: Iterable[chat_pb2.Part]) -> None:
        """Take the parts of a whole answer."""
        for number, part in enumerate(parts):
            self._text.append(part.text.text)
            self._reasoning.append(part.reasoning.text)
            self._refusal.append(part.refusal.text)
            if part.HasField("tool_call"):
                call = part.tool_call
                self._calls[number] = [call.id, call.name, call.arguments_json]

    def end(
        self, finish: "chat_pb2.FinishReason.ValueType", usage: chat_pb2.Usage, warnings: Sequence[chat_pb2.Warning]
    ) -> Outcome:
        """Return the outcome of an answer that ended well."""
        told = [f"{warning.code}: {warning.field}: {warning.message}" for warning in warnings]
        used = tokens(usage)
        if any((warning.code, warning.field) == GUESSED_INPUT for warning in warnings):
            used = Tokens(output=usage.output_tokens, reasoning=usage.reasoning_tokens)
        elif usage.estimated:
            told.append("estimated: usage: the vendor did not count")
        return self._outcome("ok", FINISHES.get(finish, ""), used, None, told)

    def fail(self, error: MeshError) -> Outcome:
        """Return the outcome of an answer that was or held an error."""
        detail = error.detail(AttemptFailure)
        failure = Failure(
            reason=REASONS.get(error.reason, error.reason.value.lower()),
            retryable=detail is not None and detail.retryable,
            retry_after=error.retry_after,
            message=error.message,
            broken_off=error.reason is Reason.VENDOR_INCOMPLETE,
        )
        used = tokens(detail.usage) if detail is not None else Tokens()
        return self._outcome("fault", "", used, failure, ())

    def _outcome(
        self, kind: str, finish: str, used: Tokens, failure: Failure | None, warnings: Iterable[str]
    ) -> Outcome:
        refusal = "".join(self._refusal)
        return Outcome(
            kind=kind,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(ToolCall(*call) for call in self._calls.values()),
            finish_reason=finish,
            usage=used,
            failure=failure,
            warnings=(*([f"refusal: {refusal}"] if refusal else ()), *warnings),
        )


def tokens(usage: chat_pb2.Usage) -> Tokens:
    """Return what the vendor counted; an estimate of ours is no count of the vendor's."""
    if usage.estimated:
        return Tokens()
    return Tokens(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens)
