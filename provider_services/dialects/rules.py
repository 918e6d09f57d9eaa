"""One rule of what an error means: by its status and its words together, for status alone lies."""

from dataclasses import dataclass

from meshkit.errors import Reason

ANY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """If the status is one of these (any when empty) and one of the words occurs (none needed when empty): a reason."""

    reason: Reason
    statuses: frozenset[int] = ANY
    words: tuple[str, ...] = ()

    def fits(self, status: int, words: str) -> bool:
        """Say whether the rule speaks of this error; an error without a status fits by its words alone."""
        if self.statuses and status not in self.statuses and (status or not self.words):
            return False
        return not self.words or any(word in words for word in self.words)
