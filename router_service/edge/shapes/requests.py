"""The shapes of requests, for /openapi.json alone: bodies are read field by field, so that a mistake names its place.

What these say and what is read is held together by `tests/unit/edge/test_openapi.py`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from router_service.edge.fields import INT32, LONGEST_NAME
from router_service.edge.intent import MOST_MODELS, MOST_USD
from router_service.edge.openai_embeddings import MOST_DIMENSIONS, MOST_TEXTS
from router_service.edge.openai_request import LONGEST_STOP, MOST_CHOICES, MOST_STOPS
from router_service.edge.openai_tools import MOST_TOOLS

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Word = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Count = Annotated[int, Meta(ge=1, le=INT32)]
Text = Annotated[str, Meta(min_length=1)]
Schema = dict[str, Any]
Tier = Literal["free", "ultra_economy", "economy", "standard", "premium"]
Effort = Literal["auto", "none", "minimal", "low", "medium", "high", "xhigh", "max"]
ToolName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]


class TextPart(Struct, tag_field="type", tag="text"):
    """A text."""

    text: str


class ImageLink(Struct):
    """An image: a link, or its bytes as a data link."""

    url: Annotated[str, Meta(pattern="^(https?://|data:image/)")]
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Struct, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ImageLink


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    """What the model refused to say."""

    refusal: str


Texts = str | Annotated[list[TextPart], Meta(min_length=1)]


class SystemMessage(Struct, tag_field="role", tag="system"):
    """Instructions for the model."""

    content: Texts
    name: Name | None = None


class DeveloperMessage(Struct, tag_field="role", tag="developer"):
    """Instructions for the model, by their newer name."""

    content: Texts
    name: Name | None = None


class UserMessage(Struct, tag_field="role", tag="user"):
    """What the user says and shows."""

    content: str | Annotated[list[TextPart | ImagePart], Meta(min_length=1)]
    name: Name | None = None


class PastFunction(Struct):
    """The function of a call, and its arguments as JSON text."""

    name: Word
    arguments: str | None = None


class Call(Struct, tag_field="type", tag="function"):
    """A tool the model had called."""

    id: Name
    function: PastFunction


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    """What the model said; send it back as it was received."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None
    function_call: PastFunction | None = None
    llm_mesh_state: str | None = None
    name: Name | None = None


class ToolMessage(Struct, tag_field="role", tag="tool"):
    """What a tool answered."""

    content: Texts
    tool_call_id: Word
    name: Name | None = None


class FunctionMessage(Struct, tag_field="role", tag="function"):
    """What a function answered, by the older name of tools."""

    name: Word
    content: str | None = None


Messages = Annotated[
    list[SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage],
    Meta(min_length=1),
]


class Function(Struct):
    """A function a model may call."""

    name: ToolName
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(Struct, tag_field="type", tag="function"):
    """A tool."""

    function: Function


class FunctionName(Struct):
    """A function by its name."""

    name: ToolName


class NamedTool(Struct, tag_field="type", tag="function"):
    """The tool that must be called."""

    function: FunctionName


class Allowed(Struct):
    """Tools out of `tools`, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1)]


class AllowedTools(Struct, tag_field="type", tag="allowed_tools"):
    """The tools that may be called."""

    allowed_tools: Allowed


class PlainText(Struct, tag_field="type", tag="text"):
    """The answer is text."""


class JsonObject(Struct, tag_field="type", tag="json_object"):
    """The answer is a JSON object."""


class NamedSchema(Struct):
    """A JSON Schema."""

    name: ToolName
    description: str | None = None
    schema: Schema | None = None
    strict: bool | None = None


class JsonSchema(Struct, tag_field="type", tag="json_schema"):
    """The answer is JSON of a schema."""

    json_schema: NamedSchema


class StreamOptions(Struct):
    """What a stream has besides."""

    include_usage: bool | None = None
    include_obfuscation: Any = None


class Search(Struct):
    """Wishes for a search; how to search is left to the vendor, so these are dropped with a warning."""

    search_context_size: Any = None
    user_location: Any = None


class Intent(Struct):
    """What a request is for and what it may cost."""

    use_case: Name | None = None
    tier: Tier | None = None
    data_policy: Literal["local_only", "no_training"] | None = None
    stream_guarantee: Literal["fast", "whole"] | None = None
    preferred_model: Name | None = None
    conversation_id: Name | None = None
    strict: bool | None = None
    requirements: list[Word] | None = None
    allow_vendors: list[Word] | None = None
    deny_vendors: list[Word] | None = None
    max_cost_usd: Annotated[float, Meta(ge=0, le=MOST_USD)] | None = None


class Wish(Struct, kw_only=True):
    """Whom to ask: a model, a list of them, a use case, or nobody in particular."""

    model: (
        Annotated[Name, Meta(description="vendor/model, a model, an alias, a family, auto, use_case:NAME/TIER")] | None
    ) = None
    provider: Annotated[Name, Meta(description="the vendor of the model, by id or alias")] | None = None
    fallback: Annotated[bool, Meta(description="another may serve instead of the model")] | None = None
    llm_mesh: Intent | None = None


class Answerable(Wish, kw_only=True):
    """How to answer. What is not known here is ignored and named in `llm_mesh.warnings`."""

    models: (
        Annotated[list[Word], Meta(max_length=MOST_MODELS, description="tried in their order, nothing else")] | None
    ) = None
    system_message: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Count | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: (
        str
        | Annotated[list[Annotated[str, Meta(min_length=1, max_length=LONGEST_STOP)]], Meta(max_length=MOST_STOPS)]
        | None
    ) = None
    seed: int | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    reasoning_effort: Effort | None = None
    response_format: PlainText | JsonObject | JsonSchema | None = None
    web_search_options: Search | None = None
    modalities: list[Literal["text"]] | None = None
    audio: Any = None
    user: Any = None
    metadata: Any = None
    store: Any = None
    safety_identifier: Any = None
    logit_bias: Any = None
    moderation: Any = None
    prediction: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    service_tier: Any = None
    verbosity: Any = None


class Chat(Answerable, kw_only=True):
    """A request for a chat completion; only `messages` is required."""

    messages: Messages
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Function], Meta(max_length=MOST_TOOLS, description="what `tools` was called")] | None = (
        None
    )
    function_call: Literal["auto", "none"] | FunctionName | None = None


class Generate(Answerable, kw_only=True):
    """A question by use case and budget tier."""

    messages: Messages
    use_case: Name | None = None
    budget_tier: Tier | None = None


class Process(Answerable, kw_only=True):
    """A task: its text is the prompt."""

    task: Text
    preferred_model: Name | None = None
    requirements: list[Word] | None = None
    use_case: Name | None = None
    budget_tier: Tier | None = None


class Embed(Wish, kw_only=True):
    """A request for vectors."""

    input: Text | Annotated[list[Text], Meta(min_length=1, max_length=MOST_TEXTS)]
    dimensions: Annotated[int, Meta(ge=1, le=MOST_DIMENSIONS)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    input_type: (
        Literal["document", "query", "classification", "clustering", "passage", "search_document", "search_query"]
        | None
    ) = None
    user: Any = None
