"""What each of several models has said so far, and how that is shown: side by side, as a table, as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmmesh.router.v1 import router_pb2
from rich.table import Table
from rich.text import Text

from llm_mesh.cli import output
from llm_mesh.cli.transcript import Transcript

FIRST_CHARACTERS = 100
LAST_CHARACTERS = 400


@dataclass
class Contender:
    """One model and what it has said; times in seconds since the call."""

    model: str
    transcript: Transcript = field(default_factory=Transcript)
    failure: router_pb2.CompareResponse.Failure | None = None
    first_piece: float | None = None
    ended: float | None = None

    def take(self, event: router_pb2.CompareResponse) -> None:
        """Take one of its events."""
        elapsed = event.elapsed.ToNanoseconds() / output.NANOS
        match event.WhichOneof("event"):
            case "start":
                self.transcript.begin(event.start)
            case "deltas":
                self.first_piece = elapsed if self.first_piece is None else self.first_piece
                for delta in event.deltas.deltas:
                    self.transcript.add(delta)
            case "finish":
                self.transcript.finish, self.ended = event.finish, elapsed
            case "failure":
                self.failure, self.ended = event.failure, elapsed

    @property
    def began(self) -> bool:
        """Tell whether anything was heard of it."""
        return self.transcript.starts > 0 or self.ended is not None

    @property
    def answered(self) -> bool:
        """Tell whether its answer is complete."""
        return self.transcript.finish is not None

    @property
    def text(self) -> str:
        """Return what it has said so far."""
        return "".join(self.transcript.text)

    @property
    def output_tokens(self) -> int | None:
        """Return how many tokens it wrote, of a broken answer too; None while nobody has counted."""
        if self.transcript.finish is not None:
            return self.transcript.finish.usage.output_tokens
        told = self.failure.route_failure if self.failure else router_pb2.RouteFailure()
        return told.partial_usage.output_tokens if told.HasField("partial_usage") else None

    @property
    def cost(self) -> int | None:
        """Return what all its attempts cost, in billionths of a dollar; None when nothing was attempted."""
        if self.transcript.finish is not None:
            return self.transcript.finish.route.total_cost_nanos
        failed = self.failure is not None and self.failure.HasField("route_failure")
        return self.failure.route_failure.route.total_cost_nanos if self.failure and failed else None

    @property
    def error(self) -> str:
        """Say in one line why it has no answer; empty when it has."""
        if self.answered:
            return ""
        if self.failure is None:
            return "cancelled"
        again = f"; try again in {output.duration(self.failure.retry_after)}"
        later = again if self.failure.HasField("retry_after") else ""
        return f"{self.failure.reason}: {self.failure.message}{later}"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON wants it."""
        told: dict[str, Any] = {
            "model": self.model,
            "latency_seconds": self.ended,
            "first_piece_seconds": self.first_piece,
            "completion_tokens": self.output_tokens,
            "cost_nanos": self.cost,
            "cost_usd": None if self.cost is None else self.cost / output.NANOS,
            **self.transcript.plain(),
        }
        if self.failure is not None:
            told["error"] = output.plain(self.failure)
        elif not self.answered:
            told["error"] = {"reason": "INTERRUPTED", "message": self.error}
        return told


def side_by_side(contenders: Sequence[Contender]) -> Table:
    """Return one column for each model, with the end of what it has said so far."""
    table = Table(expand=True, pad_edge=False)
    for each in contenders:
        table.add_column(each.model, ratio=1, overflow="fold", vertical="bottom")
    table.add_row(*(_so_far(each) for each in contenders))
    return table


def _so_far(contender: Contender) -> Text:
    if contender.failure is not None:
        return Text(contender.error, style="red")
    said = Text(contender.text[-LAST_CHARACTERS:])
    return said if contender.answered or said else Text("…", style="dim")


def table(contenders: Sequence[Contender]) -> Table:
    """Return one row for each model: its figures, and the beginning of its answer or its error."""
    numbers = ("latency", "first piece", "completion tokens", "cost")
    made = output.table("model", *numbers, "answer", numbers=numbers)
    for each in contenders:
        made.add_row(
            each.model,
            "" if each.ended is None else f"{each.ended:.2f} s",
            "" if each.first_piece is None else f"{each.first_piece:.2f} s",
            "" if each.output_tokens is None else f"{each.output_tokens:,}",
            "" if each.cost is None else output.usd(each.cost),
            Text(f"error: {each.error}", style="red") if each.error else _beginning(each.text),
        )
    return made


def _beginning(text: str) -> str:
    """Return the first characters of a text in one line."""
    return " ".join(text[:FIRST_CHARACTERS].split())
