"""Holds the bodies of chat completions and embeddings requests, and what they mean."""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from provider_services.simulator.rows import ModelRow


class Link(Struct):
    """Where an image is."""

    url: str


class Part(Struct):
    """A part of a message; only text is understood, the rest is taken note of."""

    type: str
    text: str = ""
    image_url: Link | str = ""

    @property
    def link(self) -> str:
        """Return where the image is that the part shows."""
        return self.image_url.url if isinstance(self.image_url, Link) else self.image_url


class CalledFunction(Struct):
    """The function of an earlier call."""

    name: str
    arguments: str


class CalledTool(Struct):
    """An earlier call in the conversation."""

    function: CalledFunction
    id: str = ""


class Message(Struct):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None

    def texts(self) -> Iterator[str]:
        """Yield all that counts as text."""
        if isinstance(self.content, str):
            yield self.content
        for part in self.content if isinstance(self.content, list) else ():
            yield part.text
        for call in self.tool_calls or ():
            yield call.function.name
            yield call.function.arguments


class Function(Struct):
    """A function the model may call."""

    name: str
    parameters: dict[str, Any] | None = None


class ToolSpec(Struct):
    """A tool offered to the model."""

    type: str
    function: Function


class NamedFunction(Struct):
    """The function a tool choice names."""

    name: str


class NamedTool(Struct):
    """A tool choice that names its tool."""

    function: NamedFunction


class Schema(Struct):
    """The schema of a structured answer."""

    schema: dict[str, Any] = {}


class Format(Struct):
    """The response format asked for."""

    type: str
    json_schema: Schema | None = None


class StreamOptions(Struct):
    """Options of a stream."""

    include_usage: bool = False


class Thinking(Struct):
    """Whether the model shall think."""

    type: str


class Reasoning(Struct):
    """How long to reason, whether at all, and whether to show it."""

    effort: str | None = None
    enabled: bool = True
    exclude: bool = False


class ChatRequest(Struct):
    """A chat completions request; what the simulator does not act on is accepted unread."""

    messages: list[Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | UnsetType | None = UNSET
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | UnsetType | None = UNSET
    tools: list[ToolSpec] | None = None
    tool_choice: str | NamedTool | None = None
    response_format: Format | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    include_reasoning: bool | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    enable_thinking: bool | None = None
    temperature: float | UnsetType | None = UNSET
    top_p: Any = UNSET
    presence_penalty: Any = UNSET
    frequency_penalty: Any = UNSET
    logprobs: Any = UNSET
    top_logprobs: Any = UNSET
    logit_bias: Any = UNSET

    @property
    def most_tokens(self) -> int | None:
        """Return the longest answer asked for."""
        named = self.max_completion_tokens
        return named or (self.max_tokens if isinstance(self.max_tokens, int) else None) or None

    @property
    def stops(self) -> tuple[str, ...]:
        """Return the texts that end the answer."""
        if isinstance(self.stop, str):
            return (self.stop,)
        return tuple(self.stop) if isinstance(self.stop, list) else ()

    @property
    def choice(self) -> str:
        """Return when tools are to be called: auto, none, required, or a tool's name."""
        return self.tool_choice.function.name if isinstance(self.tool_choice, NamedTool) else self.tool_choice or "auto"

    def asks_to_think(self, switch: str = "") -> bool | None:
        """Tell whether the model is asked to think, by that switch or any; nothing when nobody says."""
        said = {
            "thinking": None if self.thinking is None else self.thinking.type != "disabled",
            "enable_thinking": self.enable_thinking,
            "reasoning": None if self.reasoning is None else self.reasoning.enabled and self.reasoning.effort != "none",
            "reasoning_effort": None if self.reasoning_effort is None else self.reasoning_effort != "none",
        }
        return next((asked for name, asked in said.items() if asked is not None and switch in ("", name)), None)

    def thinks(self, model: ModelRow) -> bool:
        """Tell whether the model will think before it answers."""
        asked = self.asks_to_think(model.switch)
        return model.reasoning and (not model.when_asked if asked is None else asked)

    @property
    def shows_reasoning(self) -> bool:
        """Tell whether thoughts may be shown."""
        excluded = self.reasoning is not None and self.reasoning.exclude
        return self.include_reasoning is not False and self.reasoning_format != "hidden" and not excluded


class EmbeddingRequest(Struct):
    """An embeddings request; token ids are accepted in place of text."""

    input: str | list[Any]
    model: str | None = None
    dimensions: int | None = None
    output_dimension: int | None = None
    encoding_format: str = "float"
