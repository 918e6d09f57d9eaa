"""Refuses what hosts of the openai dialect refuse: one small check for each rule a row may name."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UNSET

from provider_services.simulator.ask import RefusalError
from provider_services.simulator.patterns import fits
from provider_services.simulator.rows import ModelRow
from provider_services.simulator.wire_openai_bodies import ChatRequest, Message, Part
from provider_services.simulator.wire_openai_quirks import Refusals

Check = Callable[[ChatRequest, ModelRow, Refusals], None]


def check_vector_fields(body: dict[str, Any], refused: Refusals) -> None:
    """Refuse fields of a request for vectors that a host does not know."""
    _check_known(body, refused.only_in_vectors, ["body"])


def check_fields(body: dict[str, Any], refused: Refusals) -> None:
    """Refuse fields of a body, or of its messages, that a host does not know."""
    _check_known(body, refused.only, ["body"])
    for number, message in enumerate(body.get("messages") or ()):
        role = str(message.get("role")) if isinstance(message, dict) else ""
        _check_known(message, refused.only_in_messages.get(role, ()), ["body", "messages", number, role])


def _check_known(given: dict[str, Any], known: tuple[str, ...], place: list[Any]) -> None:
    for name, value in given.items() if known else ():
        if name not in known:
            message = f"Unrecognized request argument supplied: {name}"
            raise RefusalError("unknown_field", message=message, param=name, place=[*place, name], given=value)


def check(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    """Refuse a request by the host's rules; the first that is broken counts."""
    for rule in CHECKS:
        rule(request, model, refused)


def _bad(message: str, param: str) -> RefusalError:
    return RefusalError("bad_request", message=message, param=param)


def _unsupported(name: str, model: ModelRow) -> RefusalError:
    head, *rest = name.split("_")
    camel = head + "".join(word.title() for word in rest)
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return RefusalError("unsupported", message=message, param=name, camel=camel, model=model.id)


def _no_messages(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    if not request.messages:
        raise _bad("Invalid 'messages': empty array.", "messages")


def _not_chat(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    if model.kind != "chat":
        raise RefusalError("not_chat", model=model.id)


def _answers(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    most = 1 if refused.many else refused.answers
    if request.stream and refused.answers_streamed is not None:
        most = refused.answers_streamed
    n = 1 if request.n is None else request.n
    if n < 1 or (most is not None and n > most):
        raise _bad(f"'n' : number must be at most {most or 128}", "n")


def _two_limits(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    if isinstance(request.max_tokens, int) and request.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise _bad(message, "max_tokens")


def _fields(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    unwanted = (*refused.always, *(refused.on_reasoning if model.reasoning else ()))
    for name in (*unwanted, *(refused.when_thinking if request.thinks(model) else ())):
        value = getattr(request, name)
        if value is not UNSET and value is not None and not (name == "temperature" and value == 1):
            raise _unsupported(name, model)


def _roles(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    for message in request.messages if refused.roles else ():
        if message.role not in refused.roles:
            raise _bad(f"'{message.role}' is not one of {list(refused.roles)} - 'messages.role'", "messages")


def _formats(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    form = request.response_format
    if form is not None and refused.formats and form.type not in ("text", *refused.formats):
        raise _bad("This response_format type is unavailable now", "response_format")


def _json_unsaid(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    form = request.response_format
    said = any("json" in text.lower() for message in request.messages for text in message.texts())
    if refused.json_unsaid and form is not None and form.type == "json_object" and not said:
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise _bad(message, "messages")


def _tool_choices(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    choice = "named" if request.choice not in ("auto", "none", "required", "any") else request.choice
    if refused.tool_choices and choice not in refused.tool_choices:
        raise _bad(f"The tool_choice parameter does not support being set to {choice}", "tool_choice")
    if refused.thinking_tool_choices and request.thinks(model) and choice not in refused.thinking_tool_choices:
        message = f"The tool_choice parameter does not support being set to {choice} in thinking mode"
        said = {"named": "specified"}.get(choice, choice)
        raise RefusalError("forced", message=message, choice=said, param="tool_choice")


def _efforts(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    effort = request.reasoning_effort
    for pattern, taken in refused.efforts.items() if effort is not None else ():
        if fits((pattern,), model.id):
            if effort not in taken:
                raise _unsupported("reasoning_effort", model)
            return


def _sampling(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    temperature = request.temperature if isinstance(request.temperature, int | float) else None
    if temperature is None:
        return
    least, most = refused.temperature or (0.0, 2.0)
    if not least <= temperature <= most:
        raise _bad(f"temperature must be between {least:g} and {most:g}", "temperature")
    if refused.below_temperature is not None and temperature >= refused.below_temperature:
        raise _bad(f"Temperature should be in [0.0, {refused.below_temperature})", "temperature")


def _stops(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    if refused.stops is not None and len(request.stops) > refused.stops:
        raise _bad(f"Invalid 'stop': array too long. Expected an array with maximum length {refused.stops}.", "stop")


def _logprobs(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    asked = request.top_logprobs if isinstance(request.top_logprobs, int) else 0
    if refused.logprobs is not None and asked > refused.logprobs:
        raise _bad(f"top_logprobs must be at most {refused.logprobs}", "top_logprobs")


def _above_output(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    asked = request.most_tokens
    if refused.above_output and asked is not None and asked > model.max_output:
        told = f"This model supports at most {model.max_output} completion tokens, whereas you provided {asked}."
        raise RefusalError("above_output", message=f"max_tokens is too large: {asked}. {told}", param="max_tokens")


def _thinking(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    if fits(refused.thinking_whole, model.id) and request.thinks(model) and not request.stream:
        message = "parameter.enable_thinking must be set to false for non-streaming calls"
        raise _bad(message, "enable_thinking")
    if request.asks_to_think() is False and fits(refused.thinking_off, model.id):
        raise _bad("thinking cannot be disabled for this model", "thinking")
    if request.thinking is not None and fits(refused.switches, model.id):
        raise _bad("thinking is no parameter of this model", "thinking")


def _turns(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    last = request.messages[-1].role
    if refused.open_end and last not in ("user", "tool"):
        told = f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {last}"
        raise RefusalError("bad_turns", message=told, param="messages")
    for index, message in enumerate(request.messages):
        if refused.tool_lists and message.role == "tool" and not isinstance(message.content, str):
            raise _bad("Input should be a valid string", "messages")
        if refused.images and any(part.type != "text" for part in _parts(message)):
            raise RefusalError("no_image", message="This model does not take images", index=index, param="messages")
        linked = [part.link for part in _parts(message) if part.link and not part.link.startswith("data:")]
        if refused.image_links and linked:
            raise RefusalError("no_image", message=f"unsupported image url: {linked[0]}", index=index, param="messages")


def _tool_ids(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    named = [call.id for message in request.messages for call in message.tool_calls or ()]
    named += [message.tool_call_id for message in request.messages if message.tool_call_id is not None]
    for identity in named if refused.tool_ids else ():
        if not re.fullmatch(refused.tool_ids, identity):
            told = f"Tool call id was {identity} but must be a-z, A-Z, 0-9, with a length of 9."
            raise RefusalError("bad_tool_id", message=told, param="messages")


def _fixed(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    for name, values in refused.fixed.items():
        taken = values[0 if request.thinks(model) else -1]
        value = getattr(request, name)
        if value is not UNSET and value is not None and value != taken:
            raise _bad(f"invalid {name}: only {taken:g} is allowed for this model", name)


def _twins(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    names = [spec.function.name for spec in request.tools or ()]
    if refused.twins and len(set(names)) < len(names):
        raise _bad(f"function name {max(names, key=names.count)} is duplicated", "tools")


def _affords(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    asked = request.most_tokens or 0
    if refused.affords is not None and asked > refused.affords:
        message = f"You requested up to {asked} tokens, but can only afford {refused.affords}."
        raise RefusalError("unaffordable", message=message, asked=asked, affords=refused.affords)


def _parts(message: Message) -> Iterator[Part]:
    return iter(message.content if isinstance(message.content, list) else ())


CHECKS: tuple[Check, ...] = (
    _no_messages, _not_chat, _answers, _two_limits, _fields, _roles, _formats, _json_unsaid, _tool_choices, _efforts,
    _sampling, _fixed, _stops, _logprobs, _above_output, _thinking, _turns, _tool_ids, _twins, _affords,
)  # fmt: skip
