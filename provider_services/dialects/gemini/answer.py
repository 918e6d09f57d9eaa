"""Reads a whole generate-content answer."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Choice, Completion, Part, Reasoning, Text, TokenLogprob, ToolCall

from provider_services.dialects import estimate, wire
from provider_services.dialects.gemini import citations, errors, finishes, state, usage
from provider_services.dialects.interface import Call, HttpReply, VendorFault


def decode(call: Call, reply: HttpReply) -> Completion:
    """Read a completion; raises VendorFault for an error, a blocked prompt or nonsense inside a success."""
    body = wire.decode_object(reply.body)
    if body.get("error"):
        raise VendorFault(errors.inside(call, body))
    try:
        return _completion(call, body)
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's answer has an unknown shape") from None


def _completion(call: Call, body: Mapping[str, Any]) -> Completion:
    used = usage.read(wire.mapping(body.get("usageMetadata")))
    listed = body.get("candidates")
    if not listed:
        raise finishes.blocked(body.get("promptFeedback"), used)
    completion = Completion(
        choices=[_choice(call, body, candidate, number) for number, candidate in enumerate(listed)],
        vendor_response_id=wire.text(body.get("responseId")),
        vendor_model=wire.text(body.get("modelVersion")),
    )
    if used is None:
        spoken = sum(part.ByteSize() for choice in completion.choices for part in choice.parts)
        completion.usage.output_tokens = estimate.tokens(spoken)
        completion.usage.input_tokens = estimate.prompt_tokens(call.prompt)
        completion.usage.estimated = True
    else:
        completion.usage.CopyFrom(used)
    return completion


def _choice(call: Call, body: Mapping[str, Any], candidate: Mapping[str, Any], number: int) -> Choice:
    response_id = wire.text(body.get("responseId"))
    content = wire.mapping(candidate.get("content"))
    parts = [_part(call, part, response_id, index) for index, part in enumerate(content.get("parts") or ())]
    _cite(candidate, parts)
    used = usage.read(wire.mapping(body.get("usageMetadata")))
    return Choice(
        index=candidate.get("index", number),
        parts=parts,
        finish_reason=finishes.read(
            finishes.name(candidate.get("finishReason")),
            wire.text(candidate.get("finishMessage")),
            used,
            called=any(part.HasField("tool_call") for part in parts),
        ),
        logprobs=logprobs(candidate),
    )


def _part(call: Call, part: Mapping[str, Any], response_id: str, number: int) -> Part:
    if part.get("functionCall") is not None:
        read = Part(tool_call=tool_call(part["functionCall"], response_id, number))
    elif part.get("thought"):
        read = Part(reasoning=Reasoning(text=wire.text(part.get("text"))))
    else:
        read = Part(text=Text(text=wire.text(part.get("text"))))
    if (kept := state.keep(call, part)) is not None:
        read.provider_data.CopyFrom(kept)
    return read


def tool_call(called: Mapping[str, Any], response_id: str, number: int) -> ToolCall:
    """Read a tool call; one without an id gets one from the answer's."""
    return ToolCall(
        id=called.get("id") or f"call_{response_id or 'mesh'}_{number}",
        name=called["name"],
        arguments_json=wire.encode(called.get("args") or {}).decode(),
    )


def _cite(candidate: Mapping[str, Any], parts: list[Part]) -> None:
    """Put the sources on the text they are about: the part named, else the last text."""
    texts = [part for part in parts if part.HasField("text") and part.text.text]
    if texts and ("groundingMetadata" in candidate or "citationMetadata" in candidate):
        whole = "".join(part.text.text for part in texts)
        texts[-1].text.citations.extend(citations.read(candidate, whole if len(texts) == 1 else texts[-1].text.text))


def logprobs(candidate: Mapping[str, Any]) -> list[TokenLogprob]:
    """Return token probabilities, if there are any."""
    result = wire.mapping(candidate.get("logprobsResult"))
    chosen = result.get("chosenCandidates") or ()
    tops = result.get("topCandidates") or [{}] * len(chosen)
    return [
        TokenLogprob(
            token=token["token"],
            logprob=token["logProbability"],
            alternatives=[
                TokenLogprob(token=other["token"], logprob=other["logProbability"])
                for other in top.get("candidates") or ()
            ],
        )
        for token, top in zip(chosen, tops, strict=False)
    ]
