"""Holds the fault of a stream back until the pieces before it are out: every cut of the bytes gives the same."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from llmmesh.chat.v1.chat_pb2 import Delta

from provider_services.dialects import wire
from provider_services.dialects.framing import FramingError
from provider_services.dialects.interface import VendorFault

Piece = TypeVar("Piece")


class Held:
    """The fault of one stream, if it has one."""

    def __init__(self) -> None:
        self._fault: VendorFault | None = None

    def check(self) -> None:
        """Raise the fault that was held back."""
        if self._fault is not None:
            raise self._fault

    def read(self, pieces: Callable[[], Iterable[Piece]], take: Callable[[Piece, list[Delta]], None]) -> list[Delta]:
        """Return the deltas of some pieces; a fault after some of them is held back, one before any is raised."""
        self.check()
        deltas: list[Delta] = []
        try:
            for piece in pieces():
                take(piece, deltas)
        except VendorFault as fault:
            self._fault = fault
        except FramingError as error:
            self._fault = wire.nonsense(f"the vendor's stream: {error}")
        except wire.MALFORMED:
            self._fault = wire.nonsense("a piece of the vendor's stream has an unknown shape")
        if not deltas:
            self.check()
        return deltas
