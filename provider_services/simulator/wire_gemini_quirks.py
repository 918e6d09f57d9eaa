"""Names how hosts and models of the gemini dialect differ; models are named by patterns."""

from msgspec import Struct


class Quirks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one host of this dialect differs from the next."""

    service: str = ""
    quota_suffix: str = "-FreeTier"
    budgets: tuple[str, ...] = ()  # think by a budget; a level is refused
    always: tuple[str, ...] = ()  # cannot be told not to think
    json_or_tools: tuple[str, ...] = ()  # answer in JSON or call tools, not both
