"""Reads a chat-completions request: JSON and headers in, an intent and a prompt out; nothing is lost without a word."""

from collections.abc import Mapping
from dataclasses import dataclass

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import invalid
from router_service.edge.fields import Fields
from router_service.edge.intent import read_intent, read_provider
from router_service.edge.json_body import read_object
from router_service.edge.openai_functions import read_functions
from router_service.edge.openai_messages import read_messages
from router_service.edge.openai_tools import read_response_format, read_tools
from router_service.edge.said import Said, said_in

EFFORTS: "Mapping[str, chat_pb2.ReasoningEffort.ValueType]" = {
    "auto": chat_pb2.REASONING_EFFORT_AUTO,
    "none": chat_pb2.REASONING_EFFORT_NONE,
    "minimal": chat_pb2.REASONING_EFFORT_MINIMAL,
    "low": chat_pb2.REASONING_EFFORT_LOW,
    "medium": chat_pb2.REASONING_EFFORT_MEDIUM,
    "high": chat_pb2.REASONING_EFFORT_HIGH,
    "xhigh": chat_pb2.REASONING_EFFORT_EXTRA_HIGH,
    "max": chat_pb2.REASONING_EFFORT_EXTRA_HIGH,
}
# Said to the vendor's own platform, not to a model.
MEANINGLESS = ("user", "metadata", "store", "safety_identifier")
# Documented, but without an equivalent in the mesh; dropping them does not change what is asked.
DROPPED = (
    "logit_bias",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "verbosity",
)
MUTE = "no vendor here speaks, the answer is text"
MOST_CHOICES = 128
MOST_STOPS = 16
LONGEST_STOP = 1_024
INT64 = 2**63


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request as the router understands it, and how its caller wants the answer.

    `provider` is the vendor it names by itself, empty for none; whether there is one of that name the router knows.
    `said` is what was said in the caller's own words; `functions` tells that its tools were called so, and that a call
    is expected in that form.
    """

    request_id: str
    provider: str
    intent: router_pb2.Intent
    prompt: chat_pb2.Prompt
    stream: bool
    include_usage: bool
    warnings: tuple[chat_pb2.Warning, ...]
    said: Said
    functions: bool = False

    def whole(self) -> router_pb2.GenerateRequest:
        """Return the message that asks for the answer whole."""
        return router_pb2.GenerateRequest(request_id=self.request_id, intent=self.intent, prompt=self.prompt)

    def streamed(self) -> router_pb2.StreamGenerateRequest:
        """Return the message that asks for the answer piece by piece."""
        return router_pb2.StreamGenerateRequest(request_id=self.request_id, intent=self.intent, prompt=self.prompt)


def read_chat(content: bytes, headers: Mapping[str, str], request_id: str) -> ChatRequest:
    """Read a request.

    Args:
        content: the body.
        headers: with lower-case names.
        request_id: the id it goes by.

    Raises:
        MeshError: INVALID_REQUEST naming the field, in the path notation of the body.
    """
    return chat_of(Fields(read_object(content)), headers, request_id)


def chat_of(body: Fields, headers: Mapping[str, str], request_id: str) -> ChatRequest:
    """Read a request whose JSON was read; keys that somebody has read already are left to them."""
    intent = read_intent(body, headers)
    prompt = chat_pb2.Prompt(
        messages=read_messages(body),
        response_format=read_response_format(body),
        sampling=_sampling(body),
        reasoning_effort=body.word("reasoning_effort", EFFORTS) or chat_pb2.REASONING_EFFORT_UNSPECIFIED,
    )
    functions = read_functions(body, prompt)
    if not functions:
        read_tools(body, prompt)
    _search(body, prompt)
    _modalities(body)
    stream = body.flag("stream") or False
    include_usage = _include_usage(body)
    _leave_out(body)
    said = said_in(body.value, headers)
    return ChatRequest(
        request_id=request_id,
        provider=read_provider(body),
        intent=intent,
        prompt=prompt,
        stream=stream,
        include_usage=include_usage,
        warnings=body.warnings(),
        said=said,
        functions=functions,
    )


def _sampling(body: Fields) -> chat_pb2.Sampling:
    return chat_pb2.Sampling(
        temperature=body.number("temperature", 0, 2),
        top_p=body.number("top_p", 0, 1),
        top_k=body.integer("top_k", 1),
        max_output_tokens=_max_tokens(body),
        stop=_stop(body),
        seed=body.integer("seed", -INT64, INT64 - 1),
        frequency_penalty=body.number("frequency_penalty", -2, 2),
        presence_penalty=body.number("presence_penalty", -2, 2),
        n=body.integer("n", 1, MOST_CHOICES),
        top_logprobs=_top_logprobs(body),
    )


def _max_tokens(body: Fields) -> int | None:
    old, new = body.integer("max_tokens", 1), body.integer("max_completion_tokens", 1)
    if old is not None and new is not None and old != new:
        body.drop("max_tokens", "max_completion_tokens says otherwise and was followed")
    return old if new is None else new


def _stop(body: Fields) -> list[str]:
    if not isinstance(body.raw("stop"), str):
        return body.texts("stop", MOST_STOPS, LONGEST_STOP)
    text = body.text("stop", LONGEST_STOP)
    return [text] if text else []


def _top_logprobs(body: Fields) -> int | None:
    wanted, top = body.flag("logprobs"), body.integer("top_logprobs", 0, 20)
    if top and not wanted:
        raise invalid("top_logprobs", "must not be set unless logprobs is true")
    return (top or 0) if wanted else None


def _search(body: Fields, prompt: chat_pb2.Prompt) -> None:
    options = body.object("web_search_options")
    if options is not None:
        prompt.web_search = True
        for key in ("search_context_size", "user_location"):
            if options.raw(key) is not None:
                options.drop(key, "how to search is left to the vendor")


def _modalities(body: Fields) -> None:
    kinds = body.texts("modalities")
    if any(kind != "text" for kind in kinds):
        raise invalid("modalities", f"must be text alone: {MUTE}")
    if not kinds:
        body.refuse("audio", f'{MUTE}; leave it out, or say modalities: ["text"]')
    elif body.raw("audio") is not None:
        body.drop("audio", "modalities asks for text alone")


def _include_usage(body: Fields) -> bool:
    options = body.object("stream_options")
    if options is None:
        return False
    options.ignore("include_obfuscation")
    return options.flag("include_usage") or False


def _leave_out(body: Fields) -> None:
    body.ignore(*MEANINGLESS)
    for key in DROPPED:
        if body.raw(key) is not None:
            body.drop(key, "the mesh has no equivalent; it was left out")
