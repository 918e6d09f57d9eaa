"""Names how hosts of the openai dialect differ: where they listen, what they refuse, how they write an answer."""

from typing import Any, Literal

from msgspec import Struct, field

from provider_services.simulator.patterns import fits
from provider_services.simulator.wire_openai_state import State

Form = Literal["field", "parts", "tags"]


class Refusals(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a host does not take; nothing named means that anything goes."""

    always: tuple[str, ...] = ()  # fields
    on_reasoning: tuple[str, ...] = ()  # fields, for models that reason
    only: tuple[str, ...] = ()  # every other field is unknown
    only_in_vectors: tuple[str, ...] = ()  # the same for a request for vectors
    only_in_messages: dict[str, tuple[str, ...]] = {}  # the same for a message, by its role
    roles: tuple[str, ...] = ()  # every other role
    formats: tuple[str, ...] = ()  # every other type of response format
    tool_choices: tuple[str, ...] = ()  # every other choice; `named` is one tool
    thinking_tool_choices: tuple[str, ...] = ()  # the same while the model thinks
    efforts: dict[str, tuple[str, ...]] = {}  # every other effort, by a pattern of models; the first that fits counts
    tool_ids: str = ""  # ids of calls that this expression does not fit
    temperature: tuple[float, float] | None = None  # what lies outside
    below_temperature: float | None = None  # this temperature and higher ones
    stops: int | None = None  # more stop texts
    logprobs: int | None = None  # more likeliest tokens
    answers: int | None = None  # more choices
    answers_streamed: int | None = None  # more choices in a stream
    many: bool = False  # more than one choice
    above_output: bool = False  # a limit above what the model can write
    thinking_whole: tuple[str, ...] = ()  # thinking in an answer that is not streamed, by these models
    thinking_off: tuple[str, ...] = ()  # models that cannot be told not to think
    open_end: bool = False  # a conversation whose last turn is the model's
    tool_lists: bool = False  # results of tools that are not one text
    images: bool = False
    json_unsaid: bool = False  # an answer in JSON of which the messages do not speak
    state: State = ""  # turns that lack what must come back with them, while a signed model thinks
    when_thinking: tuple[str, ...] = ()  # fields, while the model thinks
    switches: tuple[str, ...] = ()  # a switch of thinking, for these models
    fixed: dict[
        str, tuple[float, ...]
    ] = {}  # other values; the first is for a model that thinks, the last for one that does not
    image_links: bool = False
    twins: bool = False  # tools of one name
    affords: int | None = None  # a limit of the answer that costs more than is left


class Paths(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a host listens; `{model}` is a model or a deployment, any other placeholder anything."""

    chat: tuple[str, ...] = ("/chat/completions",)
    embed: tuple[str, ...] = ("/embeddings",)
    models: tuple[str, ...] = ("/models", "/models/{model}")
    version_query: str = ""  # a query that a path with a model in it needs


class Quirks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one host of this dialect differs from the next."""

    paths: Paths = Paths()
    names: Literal["exact", "deployments", "hosts"] = "exact"  # of models: with anything around, with a host behind
    listing: str = "plain"
    refused: Refusals = Refusals()

    ids: str = "alphanumeric:29"
    id_prefix: str = "chatcmpl-"
    tool_ids: str = "alphanumeric:24"
    tool_id_prefix: str = "call_"
    omits: frozenset[str] = frozenset()  # fields it does not write; finish_reason: not before there is one
    service_tier: str = "default"
    tier_in_chunks: bool = True
    fingerprint: Literal["made", "null"] = "made"
    body_fields: dict[str, Any] = {}  # of whole answers
    message_fields: dict[str, Any] = {}
    choice_fields: dict[str, Any] = {}  # of choices, whole and streamed
    prompt_fields: dict[str, Any] = {}  # of whole answers, and of a first event without choices
    repeats_id: str = ""  # a field that holds the id once more
    extension: str = ""  # a field of its own with the request's id, and in streams with the usage
    padding: str = ""  # a field that hides the length of an event
    content_beside_calls: Literal["null", "empty", "absent"] = "null"
    indexed_calls: bool = False
    whole_calls: bool = False
    blank_ids: bool = False  # later parts of a call say its id with nothing in it

    opening: dict[str, Any] = field(
        default_factory=lambda: {"role": "assistant", "content": ""}
    )  # empty: no such event
    each_delta: dict[str, Any] = {}  # what every delta after the opening says again
    last_delta: dict[str, Any] = {}
    comment: str = ""  # what keeps the line alive
    blank_lines: int = 0  # the same, before a whole answer
    finish_repeats: bool = False
    event_errors: bool = False
    errors_end_choice: bool = False
    finishes: dict[str, str] = {}  # its own words for why an answer ended

    reasoning_field: str = ""
    reasoning_channel: str = ""
    reasoning_details: bool = False
    reasoning_parts: bool = False  # reasoning is a list of parts before the text
    think_tags: tuple[str, ...] = ()  # models whose reasoning opens the text

    chunk_usage: Literal["asked", "always", "in_choice"] = "asked"
    usage_event: bool = True
    usage_details: Literal["all", "some"] = "all"
    usage_fields: dict[str, Any] = {}
    reasoning_outside: tuple[str, ...] = ()  # models whose completion tokens leave reasoning out
    cached_in: tuple[str, ...] = ()  # where cached tokens are told: each model has a spelling of its own
    timing: bool = False

    def form(self, model: str) -> Form | None:
        """Return how reasoning is shown; nothing when it is only counted."""
        if fits(self.think_tags, model):
            return "tags"
        if self.reasoning_parts:
            return "parts"
        return "field" if self.reasoning_field else None
