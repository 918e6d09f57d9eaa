"""One rule of what an error means: by its status, its code and its words together, for status alone lies."""

from dataclasses import dataclass

from meshkit.errors import Reason

ANY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """A reason, if the status is one of these (any when empty) and the code or one of the words is among those named.

    A rule that names neither codes nor words fits by its statuses alone.
    """

    reason: Reason
    statuses: frozenset[int] = ANY
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    def fits(self, status: int, code: str, words: str) -> bool:
        """Say whether the rule speaks of this error; an error without a status fits by its words or code alone."""
        named = bool(self.words or self.codes)
        if self.statuses and status not in self.statuses and (status or not named):
            return False
        return not named or code in self.codes or any(word in words for word in self.words)
