"""The words a row may use for what there are only a few of: classes, groups, tiers, strategies, capabilities."""

from typing import Literal, get_args

ModelClass = Literal["chat", "reasoning", "local", "embedding"]
Status = Literal["active", "retired", "unknown"]
STATUSES: tuple[Status, ...] = ("active", "unknown", "retired")
Group = Literal["premium", "cost_optimised", "speed", "enterprise", "local"]
Tier = Literal["free", "ultra_economy", "economy", "standard", "premium"]
TIERS: tuple[Tier, ...] = get_args(Tier)
Strategy = Literal["priority", "cheapest", "fastest", "balanced", "spread", "weighted"]
StreamGuarantee = Literal["fast", "whole", "restart"]
DataPolicy = Literal["", "local_only", "no_training"]
ErrorReason = Literal[
    "auth",
    "permission",
    "bad_request",
    "context",
    "content_filter",
    "not_found",
    "throttled",
    "quota",
    "overload",
    "server",
    "retired",
]
Capability = Literal[
    "vision",
    "pdf",
    "tools",
    "parallel_tools",
    "json_object",
    "json_schema",
    "reasoning",
    "web_search",
    "prompt_caching",
]
