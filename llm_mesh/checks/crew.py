"""Does many jobs at once, but few at any one vendor, whose quotas and machines bear no more."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

IN_ALL = 12


class Job(Protocol):
    """Something to do at a vendor."""

    @property
    def vendor(self) -> str:
        """Return which one."""


JobT = TypeVar("JobT", bound=Job)
ResultT = TypeVar("ResultT")


async def spread(
    jobs: Sequence[JobT], do: Callable[[JobT], Awaitable[ResultT]], *, per_vendor: int
) -> AsyncGenerator[ResultT]:
    """Do the jobs and give each result when it is there; closing the iterator cancels the rest."""
    everybody = asyncio.Semaphore(IN_ALL)
    queues: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per_vendor))

    async def one(job: JobT) -> ResultT:
        async with queues[job.vendor], everybody:
            return await do(job)

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
