"""`llm-mesh vendors check`: which keys work, and on request which models, whole and streamed, with their figures."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from llm_mesh.checks import crew, keys, models, report
from llm_mesh.checks.ask import Question, ask
from llm_mesh.checks.survey import HOW, Survey
from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.progress import Meter
from llm_mesh.cli.sandbox import sandbox as running_sandbox
from meshkit.errors import StartError

PER_VENDOR = 2
PROMPT = options.prompt("Answer with one word: which colour has the sky on a clear day?", max_tokens=48)


class Streams(StrEnum):
    """How models are asked."""

    BOTH = "both"
    WHOLE = "whole"
    STREAM = "stream"

    @property
    def kinds(self) -> list[bool]:
        """Return whether to stream, for each way of asking."""
        return {"both": list(HOW), "whole": [False], "stream": [True]}[self]


Names = Annotated[list[str] | None, typer.Argument(metavar="VENDOR", help="Only these, by id or alias.")]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Ask simulated vendors, in a mesh started for it.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer, in seconds.")]
Patience = Annotated[
    float, typer.Option("--wait", min=0, metavar="SECONDS", help="Longest wait for a quota to have room again.")
]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be checked."""

    vendors: tuple[str, ...] = ()
    all_models: bool = False
    streams: Streams = Streams.BOTH
    timeout: float = 60.0
    patience: float = 0.0


def check(
    vendors: Names = None,
    *,
    all_models: Annotated[bool, typer.Option("--all-models", help="Ask every model, not only the keys.")] = False,
    stream: Annotated[Streams, typer.Option(help="With --all-models: how they are asked.")] = Streams.BOTH,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.md", help="Write everything to a Markdown file, too.")
    ] = None,
    timeout: Timeout = 60.0,
    wait: Patience = 0.0,
    sandbox: Sandbox = False,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Check every configured key; of vendors named, one short call to the cheapest model, too."""
    wish = Wish(tuple(vendors or ()), all_models, stream, timeout, wait)
    outcome.run(show(wish, report_file, address, sandboxed=sandbox, as_json=as_json), as_json=as_json)


async def show(wish: Wish, report_file: Path | None, address: str, *, sandboxed: bool, as_json: bool) -> Exit:
    """Check, and tell of it; an interruption tells of what is done so far."""
    if report_file is not None:
        _writable(report_file)
    survey = Survey(named=bool(wish.vendors))
    async with mesh_at(address, sandboxed=sandboxed) as reached, session.router(reached) as way:
        try:
            await _survey(wish, way, survey)
            survey.finished = True
        finally:
            if survey.keys or survey.finished:
                _tell(survey, report_file, as_json=as_json)
    return Exit.DONE if survey.is_well else Exit.FAILED


@asynccontextmanager
async def mesh_at(address: str, *, sandboxed: bool) -> AsyncIterator[str]:
    """Give the address of the router to ask: the one named, or that of a sandbox that ends afterwards."""
    if not sandboxed:
        yield address
        return
    async with running_sandbox() as ready:
        yield ready["router"]


async def _survey(wish: Wish, way: session.Session, survey: Survey) -> None:
    with Meter("keys") as meter:
        async with aclosing(keys.check(way, wish.vendors)) as told:
            async for each in told:
                meter.advance()
                if keys.matter(each, named=survey.named):
                    survey.keys.append(each)
    questions = await (_every_model if wish.all_models else _cheapest)(wish, way, survey)
    survey.planned = len(questions)
    with Meter("models", len(questions)) as meter:
        async with aclosing(crew.spread(questions, lambda each: ask(way, each), per_vendor=PER_VENDOR)) as replies:
            async for reply in replies:
                meter.advance()
                survey.replies.append(reply)


async def _every_model(wish: Wish, way: session.Session, survey: Survey) -> list[Question]:
    questions = []
    for model in await models.fetch(way, wish.vendors):
        if models.answers(model):
            questions += [_question(model.id, wish, streamed=streamed) for streamed in wish.streams.kinds]
        elif False in wish.streams.kinds:
            questions.append(replace(_question(model.id, wish, streamed=False), vectors=True))
        else:
            survey.left_out[model.id] = "it makes vectors, which are never streamed"
    return questions


async def _cheapest(wish: Wish, way: session.Session, survey: Survey) -> list[Question]:
    """Return one question for each vendor that was named and has a key that works."""
    questions = []
    for vendor in sorted({told.vendor for told in survey.keys if told.accepted}) if wish.vendors else ():
        listed = [model for model in await models.fetch(way, [vendor]) if models.answers(model)]
        if listed:
            chosen = await models.cheapest(way, listed, PROMPT)
            questions.append(_question(chosen.id, wish, streamed=False))
    return questions


def _question(model: str, wish: Wish, *, streamed: bool) -> Question:
    return Question(model, PROMPT, streamed=streamed, timeout=wish.timeout, patience=wish.patience)


def _writable(file: Path) -> None:
    """Refuse a file that could not be written, before anything is spent."""
    try:
        file.open("a", encoding="utf-8").close()
    except OSError as error:
        raise StartError(f"{file}: cannot be written: {error.strerror}") from error


def _tell(survey: Survey, file: Path | None, *, as_json: bool) -> None:
    if file is not None:
        file.write_text(report.markdown(survey, datetime.now(UTC)), encoding="utf-8")
    if as_json:
        output.print_json(survey.plain())
    else:
        report.show(survey, output.console())
