"""Makes up what a model says: the same question always gets the same words, one piece per token."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from zlib import crc32

import msgspec

from provider_services.simulator.ask import Answer, Ask, Choice, Tool, ToolCall
from provider_services.simulator.examples import example

CORPUS_PIECES = 4_096
NATURAL_TOKENS = (28, 52)
REASONING_TOKENS = (8, 20)
ARGUMENT_CHARS = 4
VOCABULARY = (
    "the a one each every this that its light river machine answer question garden window morning number "
    "letter signal harbour table north winter colour paper forest engine music reason method market mountain "
    "gives keeps finds holds turns moves carries follows opens reaches needs shows makes grows returns waits "
    "slowly quietly often nearly always together again early almost here under across between without "
    "small clear steady simple bright common certain useful open quiet green early plain careful distant"
)
_DIRECTIVE = re.compile(r"^\s*(say|tokens):[ \t]?(.*)", re.DOTALL)
_PIECES = re.compile(r"\s*\S+|\s+$")
_JSON_PIECES = re.compile(r"\s*\w+|\W")


class Speech:
    """A seeded source of answers."""

    def __init__(self, seed: int) -> None:
        self._corpus = _corpus(seed)

    def answer(self, ask: Ask) -> Answer:
        """Answer a chat request within its limits."""
        choices = tuple(self._choice(ask, number) for number in range(ask.n))
        return Answer(ask.input_tokens, choices)

    def vectors(self, ask: Ask) -> Answer:
        """Answer an embedding request with one unit vector per input."""
        size = ask.dimensions or ask.model.dimensions
        return Answer(ask.input_tokens, vectors=tuple(_vector(text, size) for text in ask.inputs))

    def _choice(self, ask: Ask, number: int) -> Choice:
        seed = crc32(f"{ask.model.id}\n{number}\n{ask.last_text}".encode())
        exact = _exact_tokens(ask.last_text)
        thoughts = self._reasoning(seed, exact) if ask.reasons else ()
        calls = _calls(ask)
        pieces = () if calls else self._pieces(ask, seed, None if exact is None else exact - len(thoughts))
        return _cut(ask, Choice(thoughts, pieces, calls, "calls" if calls else "stop"))

    def _reasoning(self, seed: int, exact: int | None) -> tuple[str, ...]:
        low, high = REASONING_TOKENS
        natural = low + seed % (high - low)
        return self._words(seed // 7, natural if exact is None else min(natural, exact // 2))

    def _pieces(self, ask: Ask, seed: int, exact: int | None) -> tuple[str, ...]:
        if exact is not None:
            return self._words(seed, exact)
        directive = _DIRECTIVE.match(ask.last_text)
        if directive and directive[1] == "say":
            return tuple(_PIECES.findall(directive[2]))
        if ask.json_schema is not None:
            written = msgspec.json.encode(example(ask.json_schema)).decode()
            return tuple(_JSON_PIECES.findall(written))
        low, high = NATURAL_TOKENS
        return self._words(seed, low + seed % (high - low))

    def _words(self, seed: int, count: int) -> tuple[str, ...]:
        if count <= 0:
            return ()
        corpus = self._corpus
        start = seed % len(corpus)
        words = list(corpus[start : start + count])
        while len(words) < count:
            words.extend(corpus[: count - len(words)])
        words[0] = words[0].lstrip().capitalize()
        return tuple(words)


@lru_cache(maxsize=8)  # many simulators of one process begin with the same seed
def _corpus(seed: int) -> tuple[str, ...]:
    chance = random.Random(seed)  # noqa: S311 - believable words, not secrets
    words = VOCABULARY.split()
    pieces: list[str] = []
    while len(pieces) < CORPUS_PIECES:
        sentence = chance.choices(words, k=chance.randint(5, 14))
        sentence[0] = sentence[0].capitalize()
        sentence[-1] += chance.choice(("." * 5) + "!?")
        pieces.extend(f" {word}" for word in sentence)
    return tuple(pieces)


def _exact_tokens(text: str) -> int | None:
    directive = _DIRECTIVE.match(text)
    if directive is None or directive[1] != "tokens":
        return None
    number = directive[2].split(maxsplit=1)
    return int(number[0]) if number and number[0].isdecimal() else None


def _calls(ask: Ask) -> tuple[ToolCall, ...]:
    if not ask.tools or not ask.from_user or ask.tool_choice == "none":
        return ()
    if ask.tool_choice == "auto" and _DIRECTIVE.match(ask.last_text):
        return ()
    wanted = [tool for tool in ask.tools if _is_called(tool, ask)]
    if not wanted and ask.tool_choice == "required":
        wanted = [ask.tools[0]]
    return tuple(_tool_call(tool.name, example(tool.schema)) for tool in wanted)


def _is_called(tool: Tool, ask: Ask) -> bool:
    if ask.tool_choice not in ("auto", "required"):
        return tool.name == ask.tool_choice
    return re.search(rf"\bcall {re.escape(tool.name)}(?![\w-])", ask.last_text, re.IGNORECASE) is not None


def _tool_call(name: str, arguments: Any) -> ToolCall:
    written = msgspec.json.encode(arguments).decode()
    pieces = tuple(written[at : at + ARGUMENT_CHARS] for at in range(0, len(written), ARGUMENT_CHARS))
    return ToolCall(name, arguments if isinstance(arguments, Mapping) else {}, pieces)


def cut_short(answer: Answer, tokens: int, finish: str) -> Answer:
    """Return an answer that ended after so many tokens of each choice, for the reason given."""
    return replace(answer, choices=tuple(_ended(choice, tokens, finish) for choice in answer.choices))


def _cut(ask: Ask, choice: Choice) -> Choice:
    pieces = _stopped(choice.pieces, ask.stop)
    window = max(0, ask.model.context - ask.input_tokens)
    limit, finish = (window, "window") if ask.max_tokens is None else (ask.max_tokens, "length")
    if window < limit:
        limit, finish = window, "window"
    if len(choice.reasoning) + choice.text_tokens <= limit:
        return Choice(choice.reasoning, pieces, choice.calls, choice.finish)
    if len(choice.reasoning) + len(pieces) <= limit and not choice.calls:
        return Choice(choice.reasoning, pieces, (), "stop")
    return _ended(Choice(choice.reasoning, pieces), limit, finish)


def _ended(choice: Choice, tokens: int, finish: str) -> Choice:
    reasoning = choice.reasoning[:tokens]
    return Choice(reasoning, choice.pieces[: tokens - len(reasoning)], (), finish)


def _stopped(pieces: Sequence[str], stops: Sequence[str]) -> tuple[str, ...]:
    text = "".join(pieces) if stops else ""
    found = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    if not found:
        return tuple(pieces)
    kept: list[str] = []
    left = min(found)
    for piece in pieces:
        if left <= 0:
            break
        kept.append(piece[:left])
        left -= len(piece)
    return tuple(kept)


def _vector(text: str, size: int) -> tuple[float, ...]:
    chance = random.Random(crc32(text.encode()))  # noqa: S311 - believable numbers, not secrets
    numbers = [chance.gauss(0, 1) for _ in range(size)]
    length = sum(number * number for number in numbers) ** 0.5 or 1.0
    return tuple(number / length for number in numbers)
