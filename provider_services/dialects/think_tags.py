"""Takes reasoning out of a text that opens with <think>, as some hosts leave it; one piece at a time or whole."""

OPEN, CLOSE = "<think>", "</think>"


class ThinkTags:
    """Splits the pieces of one text. Only a text that starts with the tag has reasoning in it.

    `feed` returns (reasoning, text) of what is certain so far; `close` returns what was still held back.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = self._opening

    def feed(self, piece: str) -> tuple[str, str]:
        """Take a piece of text."""
        self._held += piece
        return self._state()

    def close(self) -> tuple[str, str]:
        """Take the end of the text."""
        held, self._held = self._held, ""
        return (held, "") if self._state == self._thinking else ("", held)

    def _opening(self) -> tuple[str, str]:
        start = self._held.lstrip()
        if start.startswith(OPEN):
            self._held = start[len(OPEN) :].removeprefix("\n")
            self._state = self._thinking
        elif OPEN.startswith(start):
            return "", ""
        else:
            self._state = self._talking
        return self._state()

    def _thinking(self) -> tuple[str, str]:
        thought, tag, rest = self._held.partition(CLOSE)
        if tag:
            self._held = rest.lstrip("\n")
            self._state = self._talking
            _, said = self._state()
            return thought.removesuffix("\n"), said
        keep = _possible_start(self._held)
        self._held, thought = self._held[len(self._held) - keep :], self._held[: len(self._held) - keep]
        return thought, ""

    def _talking(self) -> tuple[str, str]:
        held, self._held = self._held, ""
        return "", held


def split(text: str) -> tuple[str, str]:
    """Split a whole text into (reasoning, text)."""
    tags = ThinkTags()
    first, last = tags.feed(text), tags.close()
    return first[0] + last[0], first[1] + last[1]


def _possible_start(text: str) -> int:
    """Return how many characters at the end may begin the closing tag."""
    return next((size for size in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:size])), 0)
