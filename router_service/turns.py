"""Lets the keys of a vendor take turns: whoever asks next begins with another one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from router_service.offers import Offer


class Turns:
    """How often each model was planned with several keys; a conversation always has the same turn."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def now(self) -> Mapping[str, int]:
        """Return the turn of each model, by "vendor/model"; of one that is not there it is 0."""
        return self._taken

    def take(self, models: Iterable[str]) -> None:
        """Move on."""
        self._taken.update(models)


def of_conversation(conversation: str) -> int:
    """Return the turn of a conversation: it stays with one key, whose vendor may remember it."""
    return crc32(conversation.encode())


def rotated(offers: Sequence[Offer], turn: int) -> tuple[Offer, ...]:
    """Begin with the key whose turn it is; keys under different plans keep their order, for they cost differently."""
    ordered: list[Offer] = []
    for plan in dict.fromkeys(offer.plan for offer in offers):
        same = [offer for offer in offers if offer.plan == plan]
        start = turn % len(same)
        ordered += same[start:] + same[:start]
    return tuple(ordered)
