"""Makes up a key that has the form of a vendor's keys and is plainly not one: the sandbox needs well-formed keys."""

import importlib
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

# The standard library's own reader of regular expressions; it has no public name.
_parser = importlib.import_module("re._parser")
_ANY = "sandboxSANDBOX-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ./+=: "
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
}
OPEN_LENGTH = 32  # where a form gives no length
DEFAULT_FORM = r"sandbox-[a-z0-9]{24}"


def made_up_key(form: str | None) -> str:
    """Return a text that fits a regular expression and spells "sandbox" wherever the form lets it.

    Raises:
        ValueError: no text could be made that fits.
    """
    pattern = form or DEFAULT_FORM
    key = "".join(_texts(_parser.parse(pattern), itertools.count()))
    if not re.fullmatch(pattern, key):
        raise ValueError(f"no made-up key fits the form {pattern}")
    return key


def _texts(tokens: Iterable[Any], turn: Iterator[int]) -> Iterator[str]:
    """Write one piece for every token of a parsed expression; tokens that match nothing write nothing."""
    for kind, argument in tokens:
        match str(kind):
            case "LITERAL":
                yield chr(argument)
            case "IN":
                yield _letter(argument, next(turn))
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, body = argument
                yield from _texts(list(body) * _count(least, most), turn)
            case "SUBPATTERN":
                yield from _texts(argument[-1], turn)
            case "BRANCH":
                yield from _texts(argument[1][0], turn)


def _count(least: int, most: int) -> int:
    """Repeat as seldom as allowed, but long enough to look like a key where the form leaves it open."""
    return int(least) if int(most) <= OPEN_LENGTH else max(int(least), OPEN_LENGTH)


def _letter(choices: list[Any], place: int) -> str:
    """Choose the letter of "sandbox" whose turn it is, else the first one the set allows."""
    word = "sandbox"
    wish = word[place % len(word)]
    for letter in itertools.chain((wish, wish.upper()), _ANY):
        if _allowed(choices, letter):
            return letter
    return ""


def _allowed(choices: list[Any], letter: str) -> bool:
    negated = str(choices[0][0]) == "NEGATE"
    return any(_is_one(kind, argument, letter) for kind, argument in choices[negated:]) != negated


def _is_one(kind: Any, argument: Any, letter: str) -> bool:
    match str(kind):
        case "LITERAL":
            return bool(ord(letter) == argument)
        case "RANGE":
            return bool(argument[0] <= ord(letter) <= argument[1])
        case "CATEGORY":
            return re.fullmatch(_CATEGORIES.get(str(argument), r"(?!)"), letter) is not None
    return False
