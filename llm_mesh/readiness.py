"""Asks a process over HTTP whether it is ready, as Kubernetes would."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a process says of itself: whether it answers at all, and why it is not ready, empty when it is."""

    answers: bool
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Tell whether requests can be served."""
        return self.answers and not self.reason


class Probe:
    """Asks any number of processes, over connections it keeps."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, url: str) -> Readiness:
        """Ask once; a process that does not answer yet is no error."""
        try:
            async with self._session.get(url) as response:
                if response.status == 200:
                    return Readiness(answers=True)
                body = await response.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return Readiness(answers=False, reason="it does not answer")
        except ValueError:
            return Readiness(answers=True, reason="it answers nonsense")
        reason = body.get("reason") if isinstance(body, dict) else None
        return Readiness(answers=True, reason=str(reason or f"it answers {response.status}"))
