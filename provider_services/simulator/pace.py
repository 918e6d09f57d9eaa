"""Decides how long a vendor takes: until the first token, and from token to token."""

import asyncio
import random

from provider_services.simulator.rows import LatencyRow

MILLISECONDS = 1_000


class Pace:
    """The latency of one vendor, with seeded jitter; it can be replaced while requests run."""

    def __init__(self, latency: LatencyRow, chance: random.Random) -> None:
        self._row = latency
        self._chance = chance
        self.latency = latency

    def reset(self) -> None:
        """Go back to the latency of the row."""
        self.latency = self._row

    def first_s(self) -> float:
        """Draw the seconds until the first token."""
        return self._drawn(self.latency.first_token_ms)

    def token_s(self) -> float:
        """Draw the seconds from one token to the next."""
        return self._drawn(self.latency.token_ms)

    def _drawn(self, milliseconds: float) -> float:
        jitter = self.latency.jitter
        if not milliseconds or not jitter:
            return milliseconds / MILLISECONDS
        return milliseconds * (1 + jitter * (2 * self._chance.random() - 1)) / MILLISECONDS


async def pause(seconds: float) -> None:
    """Wait, or do nothing at all when there is nothing to wait for."""
    if seconds > 0:
        await asyncio.sleep(seconds)
