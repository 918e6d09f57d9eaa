"""What a pursuit is given: the tools that all share, and the one request it is for."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from catalog.mesh import Timeouts
from meshkit.clock import Clock
from router_service.breakers import Breakers
from router_service.estimate import Estimator
from router_service.probes import Probes
from router_service.quota_client import QuotaClient
from router_service.rejections import Rejections
from router_service.retries import RetryBudget
from router_service.silence import WithoutLedger
from router_service.speeds import Speeds
from router_service.vendors import Ask, Vendors


@dataclass(frozen=True, slots=True)
class Tools:
    """What every pursuit works with; `incarnation` and `numbers` make the names of attempts unique for ever.

    `notes` are what is worth a word in health beside what the tools themselves know.
    """

    quota: QuotaClient
    without_ledger: WithoutLedger
    vendors: Vendors
    breakers: Breakers
    probes: Probes
    rejections: Rejections
    estimator: Estimator
    timeouts: Timeouts
    clock: Clock
    incarnation: str
    speeds: Speeds = field(default_factory=Speeds)
    retries: RetryBudget = field(default_factory=RetryBudget)
    notes: Callable[[], Mapping[str, str]] = dict
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True, slots=True)
class Order:
    """One request, ready to be served; `ask` makes its call to any offer. `deadline` is a monotonic moment."""

    request_id: str
    tenant: str
    ask: Ask
    deadline: float
    streamed: bool = False
    held_back: bool = False
    restarts: bool = False
