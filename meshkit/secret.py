"""A value that must never be printed: keys and tokens travel in this type only."""

import re
from collections.abc import Iterator
from typing import Final

HIDDEN = "***"
# A part of a secret this long, or as many letters at either end of a masked one, is not to be shown either.
PART, END = 8, 3
# A masked secret as its owner might write it: sk-...abcd, sk-proj-****abcd, AIza…wxyz. What is masked comes between.
_SHOWN = r"[\w.+/=-]{0,80}"
_MASKED = re.compile(rf"({_SHOWN}?)(?:\*+|\u2022+|\u2026|\.{{3,}}|[xX]{{4,}})[*\u2022\u2026.xX]*({_SHOWN})")
_RUN = re.compile(r"\*{3}[*\u2022\u2026]+")


class Secret:
    """A secret text; `reveal()` at the one place that sends it, `***` everywhere else.

    Not comparable, not hashable and not picklable, so that it cannot leak by being a key, a cache entry or a log field.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def scrub(self, text: str) -> str:
        """Return the text with the secret replaced wherever it stands: whole, in long parts, or masked by its owner."""
        if not self._value:
            return text
        shown = _without(text.replace(self._value, HIDDEN), _parts(self._value))
        shown = _MASKED.sub(self._hide_masked, shown)
        return shown if shown == text else _RUN.sub(HIDDEN, shown)

    def _hide_masked(self, found: re.Match[str]) -> str:
        head, tail = found[1], found[2].rstrip(".")
        ours = (len(head) >= END and self._value.startswith(head)) or (len(tail) >= END and self._value.endswith(tail))
        return HIDDEN + found[2][len(tail) :] if ours else found[0]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return NotImplemented

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")


def _parts(value: str) -> frozenset[str]:
    """Return every part of a secret that is too long to be shown; of a short one there is none but itself."""
    return frozenset(value[start : start + PART] for start in range(len(value) - PART + 1))


def _without(text: str, parts: frozenset[str]) -> str:
    """Replace every run of letters that is made of such parts."""
    return "".join(_pieces(text, parts))


def _pieces(text: str, parts: frozenset[str]) -> Iterator[str]:
    shown = start = 0
    while start <= len(text) - PART:
        if text[start : start + PART] not in parts:
            start += 1
            continue
        end = start + PART
        while text[end - PART + 1 : end + 1] in parts:
            end += 1
        yield text[shown:start] + HIDDEN
        shown = start = end
    yield text[shown:]
