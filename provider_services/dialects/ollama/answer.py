"""Reads a whole answer of the local model server."""

import hashlib
from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import (
    Choice,
    Completion,
    FinishReason,
    Part,
    ProviderData,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)

from meshkit.errors import Reason
from provider_services.dialects import estimate, think_tags, wire
from provider_services.dialects.interface import Call, Fault, HttpReply, VendorFault
from provider_services.dialects.ollama import errors

QUIRKS = frozenset({"think_tags"})  # reasoning opens the text, between <think> and </think>


def decode(call: Call, reply: HttpReply) -> Completion:
    """Read a completion; raises VendorFault for an error or nonsense inside a success."""
    body = wire.decode_object(reply.body)
    if body.get("error"):
        raise VendorFault(errors.inside(call, body))
    try:
        return _completion(call, body)
    except wire.MALFORMED:
        raise wire.nonsense("the server's answer has an unknown shape") from None


def _completion(call: Call, body: Mapping[str, Any]) -> Completion:
    message = body["message"]
    thought, said = wire.text(message.get("thinking")), wire.text(message.get("content"))
    if "think_tags" in call.quirks and not thought:
        thought, said = think_tags.split(said)
    calls = [Part(tool_call=tool_call(body, listed, n)) for n, listed in enumerate(message.get("tool_calls") or ())]
    parts = [
        *([Part(reasoning=Reasoning(text=thought), provider_data=mark(call))] if thought else ()),
        *([Part(text=Text(text=said))] if said else ()),
        *calls,
    ]
    spoken = estimate.tokens(sum(part.ByteSize() for part in parts))
    choice = Choice(parts=parts, finish_reason=finish(body, called=bool(calls)), logprobs=logprobs(body))
    return Completion(choices=[choice], usage=usage(call, body, spoken), vendor_model=wire.text(body.get("model")))


def mark(call: Call) -> ProviderData:
    """Return whose a thought is: it goes back as what it says, and another's would be taken for the model's own."""
    return ProviderData(vendor=call.vendor, model=call.model)


def finish(body: Mapping[str, Any], *, called: bool) -> FinishReason.ValueType:
    """Return why the answer ended; raises VendorFault when the server only loaded or unloaded the model."""
    said = body.get("done_reason")
    if said in {"load", "unload"}:
        raise VendorFault(
            Fault(
                Reason.VENDOR_SERVER, f"the server answered with a model's {said} only", retryable=True, answered=True
            )
        )
    if said == "length":
        return FinishReason.FINISH_REASON_LENGTH
    return FinishReason.FINISH_REASON_TOOL_CALLS if called else FinishReason.FINISH_REASON_STOP


def usage(call: Call, body: Mapping[str, Any], spoken: int) -> Usage:
    """Read the counts; the prompt's is missing when the server had it in its cache, the answer's on old servers."""
    prompt, output = wire.count(body.get("prompt_eval_count")), wire.count(body.get("eval_count"))
    estimated = not prompt or "eval_count" not in body
    return Usage(
        input_tokens=prompt or estimate.prompt_tokens(call.prompt),
        output_tokens=output if "eval_count" in body else spoken,
        estimated=estimated,
    )


def tool_call(body: Mapping[str, Any], called: Mapping[str, Any], number: int) -> ToolCall:
    """Read a tool call; one without an id gets one made of the answer's time."""
    function = called["function"]
    arguments = function.get("arguments")
    return ToolCall(
        id=called.get("id") or made_up_id(body, number),
        name=function["name"],
        arguments_json=arguments if isinstance(arguments, str) else wire.encode(arguments or {}).decode(),
    )


def made_up_id(body: Mapping[str, Any], number: int) -> str:
    """Return an id no other answer has."""
    seed = f"{body.get('model')} {body.get('created_at')}"
    return f"call_{hashlib.sha256(seed.encode()).hexdigest()[:16]}_{number}"


def logprobs(body: Mapping[str, Any]) -> list[TokenLogprob]:
    """Return token probabilities, if there are any."""
    return [
        TokenLogprob(
            token=token["token"],
            logprob=token["logprob"],
            alternatives=[
                TokenLogprob(token=other["token"], logprob=other["logprob"])
                for other in token.get("top_logprobs") or ()
            ],
        )
        for token in body.get("logprobs") or ()
    ]
