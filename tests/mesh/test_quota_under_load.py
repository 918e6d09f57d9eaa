"""A quota is a promise to the vendor: not one call more, and none lost, however many callers come at once."""

import asyncio
from collections import Counter

from fixtures.mesh_callers import Callers

QUOTA, CALLERS = 10, 50


async def test_fifty_callers_at_once_spend_a_quota_of_ten_to_the_last_and_the_rest_is_served_next_door(
    callers: Callers,
) -> None:
    limits = [{"unit": "requests", "per": "day", "amount": QUOTA, "scope": "model"}]
    await callers.simulator.set_limits("groq", limits)
    for vendor in ("groq", "gemini"):
        await callers.simulator.set_latency(vendor, first_token_ms=150)
    replies = await asyncio.gather(*(callers.generate("tokens: 5", use_case="burst") for _ in range(CALLERS)))
    served = Counter(reply.route.vendor for reply in replies)
    assert served == {"groq": QUOTA, "gemini": CALLERS - QUOTA}
    assert await callers.arrived("groq") == QUOTA
    assert await callers.arrived("gemini") == CALLERS - QUOTA
    await callers.settled()
    budgets = {budget.id: budget for budget in (await callers.budgets("groq")).budgets}
    spent = budgets["groq/default/openai/gpt-oss-20b/requests/rolling:86400s"]
    assert (spent.used, spent.held, spent.left) == (QUOTA, 0, 0)
    for reply in replies:
        if reply.route.vendor == "gemini":
            assert reply.route.fallback_used
            assert spent.id in reply.route.primary_error
            assert reply.route.skipped == {"budget": 1}
