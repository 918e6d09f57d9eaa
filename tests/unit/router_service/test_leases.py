"""A lent place is renewed as long as it is used, and no longer."""

import asyncio

from fixtures.fake_provider import answers
from fixtures.router_house import eventually, house
from fixtures.small_mesh import catalog, model, timeouts, vendor
from llmmesh.quota.v1 import quota_pb2

from catalog.model import Limit, Plan
from catalog.window import parse_window
from router_service.leases import Lease


class Notes:
    """A ledger that notes what is renewed."""

    def __init__(self) -> None:
        self.extended: list[tuple[str, float]] = []

    def extend(self, attempt_id: str, seconds: float) -> None:
        self.extended.append((attempt_id, seconds))


async def test_a_lease_is_renewed_three_times_as_often_as_it_must_be_until_the_block_ends():
    notes = Notes()
    with Lease(notes, "a", 0.03):
        await eventually(lambda: len(notes.extended) >= 3)
    assert set(notes.extended) == {("a", 0.03)}
    ended = len(notes.extended)
    await asyncio.sleep(0.05)
    assert len(notes.extended) == ended


async def test_a_hold_that_needs_no_lease_is_never_renewed():
    notes = Notes()
    with Lease(notes, "a", 0.0):
        await asyncio.sleep(0.02)
    assert notes.extended == []


async def test_an_attempt_with_a_lent_place_renews_it_in_the_ledger_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("quota_service.ledger.LEASE", 3_000)
    monkeypatch.setattr("quota_service.holds.LEASE", 3_000)
    one_at_a_time = {"local": Plan("local", (Limit("concurrency", parse_window("now"), 1, "model"),))}
    known = catalog(vendor("home", model("llama"), plan="local", local=True, plans=one_at_a_time))
    limits = timeouts(first_token=dict.fromkeys(("chat", "reasoning", "local", "embedding"), 30.0))
    async with house(known, limits=limits, ledger=tmp_path / "ledger.db") as running:
        gate = asyncio.Event()
        running.provider("home").script.append(answers(gate=gate))
        call = asyncio.create_task(running.generate(timeout=30))
        await asyncio.sleep(4)  # longer than a lease
        budgets = await running.ledger.GetBudgets(quota_pb2.GetBudgetsRequest(), timeout=20)
        assert [(budget.held, budget.left) for budget in budgets.budgets] == [(1, 0)]
        gate.set()
        assert (await call).route.offer == "home/llama#1"
        spent = await running.ledger.QuerySpend(quota_pb2.QuerySpendRequest(group_by=["outcome"]), timeout=20)
        assert all(row.assumed == 0 for row in spent.rows)
