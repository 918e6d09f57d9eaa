"""Puts the pieces of a stream together into a whole answer, for models that think in streams only."""

from collections.abc import AsyncIterator

from llmmesh.chat.v1.chat_pb2 import Choice, Completion, Delta, Part
from llmmesh.provider.v1.provider_pb2 import GenerateResponse, StreamGenerateResponse

# The word of a row: a whole answer is asked for as a stream.
STREAMS = "thinking_only_streams"


async def whole(events: AsyncIterator[StreamGenerateResponse]) -> GenerateResponse:
    """Return what a stream says, as if it had come in one piece; its errors pass through."""
    choices: dict[int, _Choice] = {}
    answer = GenerateResponse()
    async for event in events:
        for delta in event.deltas.deltas:
            choices.setdefault(delta.choice_index, _Choice()).grow(delta)
        if event.HasField("finish"):
            answer = _finished(event.finish, choices)
    return answer


class _Choice:
    """One growing choice: its parts by their index, and the probabilities of its tokens."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._choice = Choice()

    def grow(self, delta: Delta) -> None:
        """Add a piece to the part it belongs to."""
        part = self._parts.setdefault(delta.part_index, Part())
        match delta.WhichOneof("piece"):
            case "text":
                part.text.text += delta.text
            case "reasoning":
                part.reasoning.text += delta.reasoning
            case "refusal":
                part.refusal.text += delta.refusal
            case "tool_call":
                part.tool_call.CopyFrom(delta.tool_call)
            case "tool_arguments":
                part.tool_call.arguments_json += delta.tool_arguments
            case "citation":
                part.text.citations.append(delta.citation)
        if delta.HasField("provider_data"):
            part.provider_data.CopyFrom(delta.provider_data)
        self._choice.logprobs.extend(delta.logprobs)

    def complete(self) -> Choice:
        """Return the choice with its parts in order."""
        self._choice.parts.extend(self._parts[number] for number in sorted(self._parts))
        return self._choice


def _finished(finish: StreamGenerateResponse.Finish, choices: dict[int, _Choice]) -> GenerateResponse:
    completion = Completion(
        usage=finish.usage,
        vendor_response_id=finish.vendor_response_id,
        vendor_model=finish.vendor_model,
        warnings=finish.warnings,
    )
    for ended in finish.choices:
        choice = choices.get(ended.choice_index, _Choice()).complete()
        choice.index, choice.finish_reason = ended.choice_index, ended.reason
        completion.choices.append(choice)
    return GenerateResponse(completion=completion, observations=finish.observations)
