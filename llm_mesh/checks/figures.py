"""Works out what a bench has measured of each model: times, speed, money, and how many answers were right."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from llm_mesh.checks.ask import Reply
from llm_mesh.cli import output

BEST = 5  # the quality of a model that got everything right


@dataclass(frozen=True, slots=True)
class Times:
    """The mean and the 95th percentile of some times, in seconds."""

    mean: float
    p95: float


@dataclass(slots=True)
class Measured:
    """What was measured of one model; `price` is its blended list price per million tokens, None when unknown.

    `wrong` tells of answers that did not pass, by question; questions no quota had room for are `unasked`.
    """

    model: str
    price: int | None
    answered: list[Reply] = field(default_factory=list)
    asked: int = 0
    passed: int = 0
    unasked: int = 0
    cost_nanos: int = 0
    wrong: dict[str, str] = field(default_factory=dict)

    def add(self, question: str, reply: Reply, wrong: Sequence[str]) -> None:
        """Count one reply."""
        self.cost_nanos += reply.cost_nanos
        if reply.outcome == "denied":
            self.unasked += 1
            self.wrong.setdefault(question, reply.sentence)
            return
        self.asked += 1
        if reply.error is None:
            self.answered.append(reply)
        if wrong:
            self.wrong[question] = "; ".join(wrong)
        else:
            self.passed += 1

    @property
    def first_token(self) -> Times | None:
        """How long the first piece took."""
        return times([reply.first_piece for reply in self.answered if reply.first_piece is not None])

    @property
    def total(self) -> Times | None:
        """How long whole answers took."""
        return times([reply.seconds for reply in self.answered])

    @property
    def tokens_per_second(self) -> float | None:
        """Return the output tokens of all answers over the time they took."""
        seconds = sum(reply.seconds for reply in self.answered)
        return sum(reply.usage.output_tokens for reply in self.answered) / seconds if seconds else None

    @property
    def pass_rate(self) -> float | None:
        """Return the share of the questions asked that were passed; None when none could be asked."""
        return self.passed / self.asked if self.asked else None

    @property
    def quality(self) -> float | None:
        """Return the pass rate on a scale to five."""
        return None if self.pass_rate is None else round(BEST * self.pass_rate, 1)

    def plain(self, relative: float | None) -> dict[str, Any]:
        """Return it as JSON wants it."""
        vendor, _, model = self.model.partition("/")
        first, total = self.first_token, self.total
        return {
            "vendor": vendor,
            "model": model,
            "seconds": total and round(total.mean, 4),
            "quality": self.quality,
            "relative_cost": None if relative is None else round(relative, 2),
            "p95_seconds": total and round(total.p95, 4),
            "first_token_seconds": first and round(first.mean, 4),
            "first_token_p95_seconds": first and round(first.p95, 4),
            "tokens_per_second": self.tokens_per_second and round(self.tokens_per_second, 2),
            "pass_rate": self.pass_rate,
            "passed": self.passed,
            "asked": self.asked,
            "unasked": self.unasked,
            "wrong": self.wrong,
            "list_price_nanos": self.price,
            "cost_nanos": self.cost_nanos,
            "cost_usd": self.cost_nanos / output.NANOS,
        }


def times(measured: Sequence[float]) -> Times | None:
    """Return mean and 95th percentile (by nearest rank); None of nothing."""
    if not measured:
        return None
    ranked = sorted(measured)
    return Times(sum(ranked) / len(ranked), ranked[ceil(0.95 * len(ranked)) - 1])


def relative_costs(measured: Sequence[Measured]) -> dict[str, float | None]:
    """Return each model's list price beside the cheapest one that costs something; 0 for what is free."""
    cheapest = min((each.price for each in measured if each.price), default=0)
    return {
        each.model: None if each.price is None else (each.price / cheapest if each.price else 0.0) for each in measured
    }
