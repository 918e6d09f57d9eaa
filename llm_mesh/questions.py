"""Turns what a Python program asks into requests of the router's contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

Turn = Mapping[str, str]
Messages = str | Sequence[Turn]
ROLES = {
    "system": chat_pb2.ROLE_SYSTEM,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be said beside the messages; what is not said the use case decides.

    `tier` is free, ultra_economy, economy, standard or premium; `data_policy` local_only or no_training; `guarantee`
    fast, whole or restart; `max_cost_usd` bounds what is spent on the request.
    """

    use_case: str = ""
    tier: str = ""
    model: str = ""
    preferred_model: str = ""
    candidates: Sequence[str] = ()
    requirements: Sequence[str] = ()
    data_policy: str = ""
    guarantee: str = ""
    max_cost_usd: float | None = None
    strict: bool = False
    conversation_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    system: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    dimensions: int | None = None


def generate_request(messages: Messages, options: Options, *, may_be_empty: bool = False) -> router_pb2.GenerateRequest:
    """Return the request for a whole answer.

    Raises:
        ValueError: a word nobody knows, or a turn that is none.
    """
    if not messages and not may_be_empty:
        raise ValueError("messages: at least one turn is needed")
    return router_pb2.GenerateRequest(
        request_id=options.request_id, intent=_intent(options), prompt=_prompt(messages, options)
    )


def stream_request(messages: Messages, options: Options) -> router_pb2.StreamGenerateRequest:
    """Return the request for a stream; raises ValueError."""
    whole = generate_request(messages, options)
    return router_pb2.StreamGenerateRequest(request_id=whole.request_id, intent=whole.intent, prompt=whole.prompt)


def embed_request(texts: Sequence[str], options: Options) -> router_pb2.EmbedRequest:
    """Return the request for vectors; raises ValueError."""
    if isinstance(texts, str):
        raise ValueError("texts: a list of texts is needed, not one text")  # noqa: TRY004 - as all mistakes here
    return router_pb2.EmbedRequest(
        request_id=options.request_id, intent=_intent(options), texts=texts, dimensions=options.dimensions
    )


def _intent(options: Options) -> router_pb2.Intent:
    cap = options.max_cost_usd
    return router_pb2.Intent(
        use_case=options.use_case,
        tier=_word(router_pb2.Tier, "TIER", options.tier, "tier"),
        model=options.model,
        preferred_model=options.preferred_model,
        candidates=options.candidates,
        requirements=options.requirements,
        data_policy=_word(router_pb2.DataPolicy, "DATA_POLICY", options.data_policy, "data_policy"),
        stream_guarantee=_word(router_pb2.StreamGuarantee, "STREAM_GUARANTEE", options.guarantee, "guarantee"),
        max_cost_nanos=None if cap is None else round(cap * 1_000_000_000),
        strict=options.strict,
        conversation_id=options.conversation_id,
        labels=options.labels,
    )


def _prompt(messages: Messages, options: Options) -> chat_pb2.Prompt:
    turns: Sequence[Turn] = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    if options.system:
        turns = [{"role": "system", "content": options.system}, *turns]
    sampling = None
    if options.max_tokens is not None or options.temperature is not None:
        sampling = chat_pb2.Sampling(max_output_tokens=options.max_tokens, temperature=options.temperature)
    told = [_message(turn, place) for place, turn in enumerate(turns) if turn.get("content") or messages]
    return chat_pb2.Prompt(messages=told, sampling=sampling)


def _message(turn: Turn, place: int) -> chat_pb2.Message:
    unknown = sorted({*turn} - {"role", "content"})
    if unknown or turn.get("role") not in ROLES or not isinstance(turn.get("content"), str):
        raise ValueError(f"messages[{place}]: a turn is {{'role': one of {', '.join(ROLES)}, 'content': a text}}")
    text = chat_pb2.Part(text=chat_pb2.Text(text=turn["content"]))
    return chat_pb2.Message(role=ROLES[turn["role"]], parts=[text])


def _word(kind: Any, prefix: str, word: str, name: str) -> Any:
    if not word:
        return 0
    known = [value.removeprefix(f"{prefix}_").lower() for value in kind.keys()[1:]]
    if word not in known:
        raise ValueError(f"{name}: `{word}` is not known; allowed: {', '.join(known)}")
    return kind.Value(f"{prefix}_{word.upper()}")
