"""Collects the pieces of a streamed answer, so that it can be told what was received, whenever it ends."""

from dataclasses import dataclass, field
from typing import Any

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import output


@dataclass
class Transcript:
    """What has been received of one answer. Only the first choice is shown; the command asks for one."""

    offer: str = ""
    starts: int = 0
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish: router_pb2.StreamGenerateResponse.Finish | None = None
    left_out: list[router_pb2.ExcludedOffer] = field(default_factory=list)

    def begin(self, start: router_pb2.StreamGenerateResponse.Start) -> None:
        """Note that an offer serves; a second start voids what came before."""
        self.starts += 1
        self.offer = start.offer
        self.text.clear()
        self.reasoning.clear()

    def add(self, delta: chat_pb2.Delta) -> str:
        """Add a piece and return what of it is the answer's text."""
        if delta.choice_index:
            return ""
        match delta.WhichOneof("piece"):
            case "text":
                self.text.append(delta.text)
                return delta.text
            case "refusal":
                self.text.append(delta.refusal)
                return delta.refusal
            case "reasoning":
                self.reasoning.append(delta.reasoning)
        return ""

    def take(self, completion: chat_pb2.Completion, route: router_pb2.Route) -> None:
        """Take a whole answer as if it had come in pieces."""
        self.starts, self.offer = 1, route.offer
        for part in completion.choices[0].parts if completion.choices else ():
            self.add(_delta(part))
        self.finish = router_pb2.StreamGenerateResponse.Finish(
            choices=[
                chat_pb2.ChoiceFinish(choice_index=choice.index, reason=choice.finish_reason)
                for choice in completion.choices
            ],
            usage=completion.usage,
            route=route,
            warnings=completion.warnings,
            vendor_model=completion.vendor_model,
        )

    def plain(self) -> dict[str, Any]:
        """Return the answer as JSON wants it."""
        result: dict[str, Any] = {"text": "".join(self.text), "reasoning": "".join(self.reasoning)}
        if self.left_out:
            result["left_out"] = [output.plain(offer) for offer in self.left_out]
        if self.finish:
            finish = output.plain(self.finish)
            result["finish_reason"] = next((choice["reason"] for choice in finish.pop("choices")), "")
            result |= finish
        return result


def _delta(part: chat_pb2.Part) -> chat_pb2.Delta:
    match part.WhichOneof("kind"):
        case "text":
            return chat_pb2.Delta(text=part.text.text)
        case "reasoning":
            return chat_pb2.Delta(reasoning=part.reasoning.text)
        case "refusal":
            return chat_pb2.Delta(refusal=part.refusal.text)
    return chat_pb2.Delta()
