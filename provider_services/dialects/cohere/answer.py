"""Reads a whole v2 chat answer."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1 import chat_pb2
from llmmesh.chat.v1.chat_pb2 import Choice, Completion, Part, Reasoning, Text, TokenLogprob, ToolCall

from provider_services.dialects import estimate, wire
from provider_services.dialects.cohere import citations, errors, finishes, state, tool_names, usage
from provider_services.dialects.interface import Call, HttpReply, VendorFault

NO_ARGUMENTS = frozenset({"", "null"})  # what a call of a tool without arguments may carry


def decode(call: Call, reply: HttpReply) -> Completion:
    """Read a completion; raises VendorFault for an error or nonsense inside a success."""
    body = wire.decode_object(reply.body)
    if errors.told(body):
        raise VendorFault(errors.inside(call, body))
    try:
        completion = _completion(call, body)
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's answer has an unknown shape") from None
    if warned := reply.headers.get("x-api-warning"):
        completion.warnings.append(chat_pb2.Warning(code="deprecated", field="model", message=warned[:500]))
    return completion


def _completion(call: Call, body: Mapping[str, Any]) -> Completion:
    message = body["message"]
    used = usage.read(wire.mapping(body.get("usage")))
    parts = _blocks(call, message)
    if plan := wire.text(message.get("tool_plan")):
        parts.append(Part(reasoning=Reasoning(text=plan), provider_data=state.keep(call, plan)))
    response_id = wire.text(body.get("id"))
    listed = message.get("tool_calls") or ()
    parts.extend(Part(tool_call=tool_call(call, called, response_id, n)) for n, called in enumerate(listed))
    choice = Choice(
        parts=parts,
        finish_reason=finishes.read(call, body, used, called=bool(listed)),
        logprobs=[logprob(item) for item in body.get("logprobs") or ()],
    )
    completion = Completion(choices=[choice], usage=used, vendor_response_id=response_id)
    if used is None:
        completion.usage.output_tokens = estimate.tokens(sum(part.ByteSize() for part in parts))
        completion.usage.input_tokens = estimate.prompt_tokens(call.prompt)
        completion.usage.estimated = True
    return completion


def _blocks(call: Call, message: Mapping[str, Any]) -> list[Part]:
    """Read the content blocks that say something, with what they cite; a block of an unknown kind is none."""
    content = message.get("content") or ()
    listed = [{"type": "text", "text": content}] if isinstance(content, str) else content
    read: dict[int, Part] = {}
    for number, block in enumerate(listed):
        if thought := wire.text(block.get("thinking")):
            read[number] = Part(reasoning=Reasoning(text=thought), provider_data=state.mark(call))
        elif said := wire.text(block.get("text")):
            read[number] = Part(text=Text(text=said))
    texts = {number: part.text for number, part in read.items() if part.HasField("text")}
    for cited in message.get("citations") or ():
        about = citations.block(cited, texts)
        if about is not None:
            texts[about].citations.extend(citations.read(cited, texts[about].text))
    return list(read.values())


def tool_call(call: Call, called: Mapping[str, Any], response_id: str, number: int) -> ToolCall:
    """Read a tool call; one without an id gets one made of the answer's."""
    function = called["function"]
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = wire.encode(arguments or {}).decode()
    return ToolCall(
        id=called.get("id") or f"call_{response_id or 'mesh'}_{number}",
        name=tool_names.ours(call.prompt, function["name"]),
        arguments_json="{}" if arguments.strip() in NO_ARGUMENTS else arguments,
    )


def logprob(item: Mapping[str, Any]) -> TokenLogprob:
    """Read one probability; a text made of several tokens has the product of theirs."""
    return TokenLogprob(token=wire.text(item.get("text")), logprob=sum(item.get("logprobs") or ()))
