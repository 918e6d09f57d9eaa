"""What became of one recorded answer, in the words the kit prints."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call; the arguments are the text the model wrote."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the vendor counted: input with what was cached, output with reasoning; zeros when it counted nothing."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong. `message` is for people; neither it nor `broken_off`, without an end, is printed as JSON."""

    reason: str
    retryable: bool
    retry_after: float | None = None
    message: str = ""
    broken_off: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a provider service made of one recorded answer: its first choice, or a fault, or nothing."""

    kind: str = "unsupported"
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    usage: Tokens = field(default_factory=Tokens)
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the outcome as JSON wants it."""
        failure = self.failure
        return {
            "outcome": self.kind,
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in self.tool_calls],
            "finish_reason": self.finish_reason or None,
            "usage": {
                "input": self.usage.input,
                "output": self.usage.output,
                "cached": self.usage.cached,
                "reasoning": self.usage.reasoning,
            },
            "error": failure
            and {
                "reason": failure.reason,
                "retryable": failure.retryable,
                "retry_after_s": failure.retry_after,
            },
            "warnings": list(self.warnings),
        }
