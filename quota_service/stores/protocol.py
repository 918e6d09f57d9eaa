"""What every store of the ledger can do; the contract suite in tests/contract holds each to it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from quota_service.definitions import Definitions
from quota_service.image import Image
from quota_service.operations import Answer, Operation
from quota_service.spend import SpendLine, SpendQuery
from quota_service.standing import Standing

# So many seconds a store on another machine may stay silent.
SILENCE = 1.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch: answers in order, the moment it was done at, and what waiting callers must know.

    `events` name what befell the store; `recovering` says that hard budgets are closed because of it.
    """

    answers: Sequence[Answer]
    now: int
    freed: frozenset[str]
    lapsed: int
    late: int
    overage: Counter[str]
    events: tuple[str, ...] = ()
    recovering: bool = False


# Told which budgets another process freed; None when it may be any.
Heard = Callable[[frozenset[str] | None], None]


class Store(Protocol):
    """A ledger somewhere. The store has the clock (I10) and decides; callers only ask."""

    @property
    def problem(self) -> str | None:
        """Say why nothing can be admitted now, None when all is well."""

    def unfit(self, definitions: Definitions) -> str | None:
        """Say why it cannot count by these definitions, None when it can."""

    def until_next_expiry(self) -> float | None:
        """Return the seconds until a hold may lapse, None when none is open."""

    @property
    def epoch(self) -> str:
        """Return what tells this life of the ledger from the next; another one means that something was lost."""

    @property
    def version(self) -> int:
        """Return the version of the definitions."""

    def listen(self, heard: Heard | None) -> None:
        """Tell `heard` what other processes free, from now on; None to stop."""

    async def apply(self, operations: Sequence[Operation]) -> Applied:
        """Do a batch, each operation whole or not at all; when it returns, all of it is durable (I7).

        Raises:
            MeshError: QUOTA_UNAVAILABLE; nothing of the batch is certain, repeat it with the same ids.
        """

    async def standing(self, prefix: str = "") -> Standing:
        """Return how the budgets stand whose subjects start with this."""

    async def spend(self, query: SpendQuery) -> list[SpendLine]:
        """Sum what was spent."""

    async def verify(self) -> list[str]:
        """Recompute every level; return a sentence for each that is wrong (I2)."""

    async def image(self) -> Image:
        """Return the whole ledger as of one moment, but for ended holds."""

    async def take_in(self, image: Image) -> None:
        """Become what an image shows; the store must be empty, and does not serve yet.

        Raises:
            StartError: it is not empty, or cannot hold it. Nothing has changed then.
        """

    async def close(self) -> None:
        """Let go of everything."""
