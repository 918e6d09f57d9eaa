"""Keeps the plan a model made before its tool calls: it goes back as a plan, not as reasoning.

A thought goes back as what it says, and is only marked with whose it is.
"""

from collections.abc import Mapping

from llmmesh.chat.v1.chat_pb2 import ProviderData

from provider_services.dialects import wire
from provider_services.dialects.interface import Call


def keep(call: Call, plan: str) -> ProviderData:
    """Return what must go back with a plan."""
    return ProviderData(vendor=call.vendor, model=call.model, data=wire.encode({"tool_plan": plan}))


def mark(call: Call) -> ProviderData:
    """Return whose a thought is."""
    return ProviderData(vendor=call.vendor, model=call.model)


def plan(data: bytes) -> str:
    """Return the plan that was kept, or nothing."""
    kept = wire.try_decode(data) if data else None
    return wire.text(kept.get("tool_plan")) if isinstance(kept, Mapping) else ""
