"""Tells of a survey: two summaries with a line for each model, a table of figures, and all of it as Markdown."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import Console
from rich.table import Table

from llm_mesh.checks import keys
from llm_mesh.checks.ask import Reply
from llm_mesh.checks.survey import Survey, summary
from llm_mesh.cli import output

FIGURES = ("latency", "first token", "tokens/s", "cost")


def show(survey: Survey, console: Console) -> None:
    """Print everything for people."""
    console.print(keys.table(keys.ordered(survey.keys)))
    if not survey.keys:
        console.print("no key is configured: put one into .env (see .env.example)")
    for name, replies in survey.kinds():
        console.print(f"\n{summary(name, replies)}")
        for reply in replies:
            console.print(line(reply), soft_wrap=True)
    for model, reason in sorted(survey.left_out.items()):
        console.print(f"{model}: not asked: {reason}")
    if survey.replies:
        console.print()
        console.print(table(survey))
    if not survey.finished:
        console.print(f"\n{_unfinished(survey)}")


def line(reply: Reply) -> str:
    """Say what became of one model."""
    return f"{reply.question.model}: {reply.sentence}"


def table(survey: Survey) -> Table:
    """Return one row of figures for each reply."""
    made = output.table("model", "how", "outcome", *FIGURES, "the vendor calls it", numbers=FIGURES)
    for name, replies in survey.kinds():
        for reply in replies:
            made.add_row(reply.question.model, name, reply.outcome, *figures(reply), reply.vendor_model)
    return made


def figures(reply: Reply) -> tuple[str, str, str, str]:
    """Return latency, first token, tokens per second and cost; nothing where there is nothing to tell."""
    if reply.outcome == "denied":
        return "", "", "", ""
    speed = reply.tokens_per_second
    return (
        output.seconds(reply.seconds),
        "" if reply.first_piece is None else output.seconds(reply.first_piece),
        "" if speed is None else f"{speed:.1f}",
        output.usd(reply.cost_nanos),
    )


def markdown(survey: Survey, made_at: datetime) -> str:
    """Write everything as a Markdown page."""
    return "\n".join(_page(survey, made_at)) + "\n"


def _page(survey: Survey, made_at: datetime) -> Iterator[str]:
    yield f"# Vendors checked, {made_at:%Y-%m-%d %H:%M} UTC"
    if not survey.finished:
        yield from ("", _unfinished(survey))
    yield from ("", "## Keys", "", *_rows("vendor", "slot", "key", "accepted", "latency", "why not"))
    for told in keys.ordered(survey.keys):
        latency = output.duration(told.latency) if told.HasField("latency") else ""
        accepted = "yes" if told.accepted else "no"
        yield _row(told.vendor, str(told.slot or ""), told.key, accepted, latency, keys.why_not(told))
    for name, replies in survey.kinds():
        yield from ("", f"## {name.capitalize()}", "", f"{summary(name, replies).partition(': ')[2]}.", "")
        yield from _rows("model", "result", *FIGURES, "the vendor calls it")
        for reply in replies:
            yield _row(reply.question.model, reply.sentence, *figures(reply), reply.vendor_model)
    yield from ("", "## Faults of form", "", *(_faults(survey) or ["None."]))
    if survey.left_out:
        yield from ("", "## Not asked", "", *(f"- `{model}`: {why}" for model, why in sorted(survey.left_out.items())))


def _faults(survey: Survey) -> list[str]:
    return [
        f"- `{reply.question.model}`, {name}: {fault}"
        for name, replies in survey.kinds()
        for reply in replies
        for fault in reply.faults
    ]


def _unfinished(survey: Survey) -> str:
    return f"Interrupted: {len(survey.replies)} of {survey.planned} calls were made, {len(survey.keys)} keys checked."


def _rows(*columns: str) -> Iterable[str]:
    return (_row(*columns), "|" + "---|" * len(columns))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
