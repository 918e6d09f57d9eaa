"""A value that must never be printed: keys and tokens travel in this type only."""

from typing import Final


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
        """Return the text with every occurrence of the secret replaced."""
        return text.replace(self._value, "***") if self._value else text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return NotImplemented

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")
