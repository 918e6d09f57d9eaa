"""Everything one check has found so far: keys and replies, and whether all of it is well."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llm_mesh.checks.ask import Reply
from llm_mesh.checks.keys import Told, ordered, works
from llm_mesh.cli import output

HOW = {False: "non-streaming", True: "streaming"}


@dataclass(slots=True)
class Survey:
    """What was found; `named` says that vendors were asked for by name, `planned` how many replies there will be.

    `left_out` are models that cannot be asked, each with the reason.
    """

    named: bool = False
    keys: list[Told] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    planned: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    finished: bool = False

    @property
    def is_well(self) -> bool:
        """Tell whether every configured key works, every model that was asked answered well, and one at least did."""
        if not self.finished or not self.keys or not all(works(told, named=self.named) for told in self.keys):
            return False
        outcomes = {reply.outcome for reply in self.replies}
        return not self.planned or ("ok" in outcomes and not outcomes & {"failed", "faulty"})

    def of(self, *, streamed: bool) -> list[Reply]:
        """Return the replies of one kind by model."""
        return sorted(
            (reply for reply in self.replies if reply.question.streamed is streamed),
            key=lambda reply: reply.question.model,
        )

    def kinds(self) -> Iterator[tuple[str, list[Reply]]]:
        """Give each kind of replies there is, with its name."""
        for streamed, name in HOW.items():
            if replies := self.of(streamed=streamed):
                yield name, replies

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON wants it."""
        return {
            "ok": self.is_well,
            "finished": self.finished,
            "keys": [output.plain(told) for told in ordered(self.keys)],
            "models": [plain(reply) for streamed in HOW for reply in self.of(streamed=streamed)],
            "left_out": self.left_out,
        }


def summary(name: str, replies: list[Reply]) -> str:
    """Count the outcomes of one kind: "streaming: 3 of 5 models ok, 1 failed, 1 without quota"."""
    counts = {word: sum(reply.outcome == word for reply in replies) for word in ("ok", "failed", "faulty", "denied")}
    told = f"{name}: {counts['ok']} of {output.count(len(replies), 'model')} ok"
    for word, what in (("failed", "failed"), ("faulty", "of the wrong form"), ("denied", "without quota")):
        if counts[word]:
            told += f", {counts[word]} {what}"
    return told


def plain(reply: Reply) -> dict[str, Any]:
    """Return one reply as JSON wants it."""
    usage = reply.usage
    return {
        "model": reply.question.model,
        "streamed": reply.question.streamed,
        "outcome": reply.outcome,
        "reason": "" if reply.outcome == "ok" else reply.sentence,
        "faults": list(reply.faults),
        "seconds": round(reply.seconds, 4),
        "first_token_seconds": None if reply.first_piece is None else round(reply.first_piece, 4),
        "tokens_per_second": None if reply.tokens_per_second is None else round(reply.tokens_per_second, 2),
        "finish_reason": reply.finish,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "usage_estimated": usage.estimated,
        "cost_nanos": reply.cost_nanos,
        "cost_usd": reply.cost_nanos / output.NANOS,
        "vendor_model": reply.vendor_model,
    }
