"""The shapes of what the mesh says of itself in every reply: its `llm_mesh` object and its errors."""

from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

# Written exactly; a float would round it.
Usd = Annotated[
    msgspec.Raw, Meta(description="US dollars, exact to the billionth", extra_json_schema={"type": "number"})
]


class Notice(TypedDict):
    """What was left out or changed: the field in the notation of the body, and why."""

    code: str
    field: str
    message: str


class Attempt(TypedDict):
    """One call to one offer."""

    offer: str
    plan: str
    outcome: str
    reason: str | None
    cost_usd: Usd
    duration_ms: float
    first_token_ms: float | None
    unmetered: NotRequired[bool]


class PassedOver(TypedDict):
    """An offer without room, and the budget that has none, or what its vendor has closed."""

    offer: str
    budget: str
    reason: str


class PromptDetails(TypedDict):
    """Of the tokens of a prompt, those a vendor read from its cache and wrote to it."""

    cached_tokens: int
    cache_write_tokens: NotRequired[int]


class CompletionDetails(TypedDict):
    """Of the tokens of an answer, those of its reasoning."""

    reasoning_tokens: int


class Usage(TypedDict):
    """Tokens of prompt and answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Course(TypedDict):
    """How a request was served, or was not."""

    use_case: str
    tier: str | None
    fallback_used: bool
    primary_error: str | None
    attempts: list[Attempt]
    skipped: dict[str, int]
    passed_over: list[PassedOver]
    total_cost_usd: Usd


class Served(Course):
    """How a request was served: `cost_usd` is the answer's, `total_cost_usd` that of all attempts."""

    request_id: str
    vendor: str
    offer: str
    cost_usd: Usd
    list_cost_usd: Usd
    warnings: list[Notice]
    estimated: NotRequired[bool]
    unpriced: NotRequired[bool]
    vendor_model: NotRequired[str]


class FullBudget(TypedDict):
    """A budget without room."""

    subject: str
    description: str


class Particulars(TypedDict):
    """What else is known of an error; the route so far when there was one."""

    reason: str
    request_id: str
    metadata: NotRequired[dict[str, str]]
    budgets: NotRequired[list[FullBudget]]
    use_case: NotRequired[str]
    tier: NotRequired[str | None]
    fallback_used: NotRequired[bool]
    primary_error: NotRequired[str | None]
    attempts: NotRequired[list[Attempt]]
    skipped: NotRequired[dict[str, int]]
    passed_over: NotRequired[list[PassedOver]]
    total_cost_usd: NotRequired[Usd]
    offer: NotRequired[str]
    partial_usage: NotRequired[Usage]


class Error(TypedDict):
    """An error as the official clients read it."""

    message: str
    type: str
    code: str
    param: str | None
    llm_mesh: Particulars


class Failure(TypedDict):
    """A request that failed."""

    error: Error


class PlainFailure(TypedDict):
    """A request that failed, where answers are plain objects."""

    success: Literal[False]
    error: str
    code: str
    request_id: str
