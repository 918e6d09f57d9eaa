"""Names how models of the anthropic dialect differ; each quirk holds patterns of the models it is about."""

from msgspec import Struct

from provider_services.simulator.patterns import fits
from provider_services.simulator.rows import ModelRow


class Quirks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one host of this dialect differs from the next."""

    efforts: tuple[str, ...] = ()  # think by an effort; a budget is refused
    either: tuple[str, ...] = ()  # think by either
    always: tuple[str, ...] = ()  # cannot be told not to think
    unsampled: tuple[str, ...] = ()  # take no temperature, top_p or top_k
    one_of_two: tuple[str, ...] = ()  # take a temperature or top_p, not both
    unforced: tuple[str, ...] = ()  # cannot be forced to call a tool
    no_xhigh: tuple[str, ...] = ()  # know no effort between high and max

    def of(self, model: ModelRow) -> "Habits":
        """Return how one model differs."""
        return Habits(**{name: fits(getattr(self, name), model.id) for name in Habits.__struct_fields__})


class Habits(Struct, frozen=True, kw_only=True):
    """The same about one model."""

    efforts: bool
    either: bool
    always: bool
    unsampled: bool
    one_of_two: bool
    unforced: bool
    no_xhigh: bool
