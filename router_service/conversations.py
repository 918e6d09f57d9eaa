"""Remembers for a while which offer served a conversation last: vendors remember prompts, and some state is theirs."""

from collections import OrderedDict

MOST = 10_000
SECONDS = 3_600.0


class Conversations:
    """The last offers of the latest conversations of this router; moments are monotonic seconds."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def served(self, tenant: str, conversation: str, offer: str, now: float) -> None:
        """Note who served; a conversation nobody has gone on with for longest is forgotten first."""
        if not conversation:
            return
        self._last[tenant, conversation] = offer, now
        self._last.move_to_end((tenant, conversation))
        if len(self._last) > MOST:
            self._last.popitem(last=False)

    def last_offer(self, tenant: str, conversation: str, now: float) -> str:
        """Return the offer that served a conversation last, empty when nobody knows any more."""
        offer, at = self._last.get((tenant, conversation), ("", now)) if conversation else ("", now)
        return offer if now - at < SECONDS else ""
