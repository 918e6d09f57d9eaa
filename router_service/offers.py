"""What can be asked of whom right now: offers, and the state of the vendors behind them."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from llmmesh.quota.v1 import quota_pb2

from catalog.mesh import Mesh
from catalog.model import Model, ModelRef, Price, Vendor, blended, charged_price
from catalog.offers import OfferId


@dataclass(frozen=True)
class Offer:
    """One model of one vendor with one of its keys; `price` is what it costs under the key's plan, None if unknown.

    `installed` is false for a model that a server of ours does not have.
    """

    text: str
    ref: ModelRef
    slot: int
    vendor: Vendor
    model: Model
    plan: str
    price: Price | None
    installed: bool = True

    @cached_property
    def blended_price(self) -> int | None:
        """Nano-dollars per million tokens, three parts input to one part output."""
        return None if self.price is None else blended(self.price)

    @cached_property
    def covered(self) -> bool:
        """Tell whether the key's plan includes the model."""
        return self.vendor.plans[self.plan].covers(self.model.id)

    @cached_property
    def model_text(self) -> str:
        """Return "vendor/model"."""
        return f"{self.ref.vendor}/{self.ref.model}"


class Planned(NamedTuple):
    """An offer that will be tried, with what it is expected to need; `requests` are those the vendor will count."""

    offer: Offer
    input_tokens: int
    output_tokens: int
    cost: int
    requests: int = 1

    def amounts(self) -> quota_pb2.OfferAmounts:
        """Return what the ledger must hold for it."""
        return quota_pb2.OfferAmounts(
            offer=self.offer.text,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_nanos=self.cost,
            requests=self.requests,
        )


@dataclass(frozen=True, slots=True)
class DescribedSlot:
    """One slot as its provider service describes it; `state` is a word of the contract's VendorSlot."""

    number: int
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VendorState:
    """What a vendor's provider service says of itself: usable slots, or why there are none.

    `lacks` are models of the catalogue that are not on a server of ours. `described` are all its slots and `warnings`
    what is odd about its keys: for people, plans do not depend on them.
    """

    slots: tuple[int, ...] = ()
    reason: str = ""
    detail: str = ""
    lacks: frozenset[str] = frozenset()
    described: tuple[DescribedSlot, ...] = field(default=(), compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)


# When a breaker that an operator has forced open lets a probe through.
FORCED_OPEN = float("inf")


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything about the present moment that a plan depends on.

    `today` is the day in UTC; `open_breakers` maps a vendor, or "vendor/model", to the monotonic moment of its next
    probe; `turns` says, by "vendor/model", which of several keys is the next to begin. `wait` tells how many seconds an
    offer is expected to take to begin its answer, 0 while nobody knows; `chance` is any number, another one for each
    request; `last_offer` has served the conversation before.
    """

    today: dt.date
    vendors: Mapping[str, VendorState] = field(default_factory=dict)
    open_breakers: Mapping[str, float] = field(default_factory=dict)
    turns: Mapping[str, int] = field(default_factory=dict)
    wait: Callable[[str], float] = lambda _: 0.0
    chance: int = 0
    last_offer: str = ""

    def shut_until(self, offer: Offer) -> float | None:
        """Return when an offer may be probed, infinite if an operator shut it; None when its breakers are closed."""
        if not self.open_breakers:
            return None
        return max(
            (self.open_breakers[s] for s in (offer.ref.vendor, offer.model_text) if s in self.open_breakers),
            default=None,
        )


UNDESCRIBED = VendorState(reason="unreachable", detail="its provider service does not answer")
LOST = VendorState(reason="unreachable", detail="its provider service is gone")


def offers_of(mesh: Mesh, ref: ModelRef, state: VendorState) -> tuple[Offer, ...]:
    """List the offers of one model, one for each usable slot, in their order."""
    vendor = mesh.catalog.vendors[ref.vendor]
    model = vendor.models[ref.model]
    offers = []
    for slot in sorted(state.slots):
        plan = mesh.plan(vendor.id, mesh.slot(vendor.id, slot).plan)
        text = str(OfferId(ref.vendor, ref.model, slot))
        installed = ref.model not in state.lacks
        offers.append(Offer(text, ref, slot, vendor, model, plan.name, charged_price(plan, model), installed))
    return tuple(offers)
