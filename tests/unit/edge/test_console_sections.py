"""The sections of the console: the router's own figures, with nothing that only some may know."""

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from fixtures.clock import ManualClock
from fixtures.fake_router import FakeRouter
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from router_service.edge.console.sections import DAYS, Sections
from router_service.interface import Fallback, Standing

NOON = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC).timestamp()
TODAY, YESTERDAY = "2026-11-29", "2026-11-28"


def plain(sections: Any) -> Any:
    return json.loads(msgspec.json.encode(sections))


def vendor() -> router_pb2.Vendor:
    told = router_pb2.Vendor(id="acme", display_name="Acme", group="speed", status="active", models=3)
    told.slots.add(slot=1, account="default", plan="free", state="active")
    told.slots.add(slot=2, account="default", plan="paid", state="rejected", reason="acme rejected the key")
    told.quotas.add(unit="requests", period="day", limit=100, used=7, held=2, left=91).resets_at.FromSeconds(int(NOON))
    told.quotas.add(unit="nanodollars", period="once", limit=5_000_000_000, used=1, left=4_999_999_999)
    told.budgets.add(id="acme/default/requests/minute", unit="requests", window="minute", limit=30, used=3, left=27)
    told.budgets.add(id="acme/default/requests/day", unit="requests", window="day", limit=100, left=100)
    told.closures.add(subject="acme/default/slow", reason="throttled").until.FromSeconds(int(NOON))
    return told


@pytest.fixture
def router() -> FakeRouter:
    told = router_pb2.GetHealthResponse(can_serve=True, serving=["acme/one#1", "b", "c", "d"], use_case="default")
    told.vendors.append(vendor())
    return FakeRouter(told=told)


def sections(router: FakeRouter) -> Sections:
    return Sections(router, ManualClock(NOON))


async def test_the_state_tells_who_serves_and_each_vendor_with_keys_quotas_and_what_is_in_use(
    router: FakeRouter,
) -> None:
    told = plain(await sections(router).state())
    assert told["mesh"]["serving"] == ["acme/one#1", "b", "c"]
    assert told["mesh"]["local_fallback"] == {"active": False, "since": None}
    assert told["vendors"] == ["acme"]
    acme = told["vendor/acme"]
    assert [(slot["slot"], slot["plan"], slot["state"]) for slot in acme["slots"]] == [
        (1, "free", "active"),
        (2, "paid", "rejected"),
    ]
    requests, credit = acme["quotas"]
    assert (requests["used"], requests["held"], requests["left"], requests["limit"]) == (7, 2, 91, 100)
    assert requests["resets_at"] == "2026-11-29T12:00:00Z"
    assert (credit["unit"], credit["left"]) == ("usd", 4.999999999)
    assert [budget["id"] for budget in acme["budgets"]] == ["acme/default/requests/minute"]
    assert acme["closures"] == [
        {"subject": "acme/default/slow", "reason": "throttled", "until": "2026-11-29T12:00:00Z"}
    ]


@pytest.mark.parametrize(
    ("after", "says"), [(12.4, "2026-11-29T12:00:12+00:00"), (12.3, "2026-11-29T12:00:12+00:00"), (-0.2, None)]
)
async def test_a_breaker_that_waits_is_no_news_each_second(router: FakeRouter, after: float, says: str | None) -> None:
    for subject in ("acme", "acme/one"):
        breaker = router.told.vendors[0].breakers.add(subject=subject, state="open")
        breaker.probe_at.FromNanoseconds(int((NOON + after) * 1e9))
    told = plain(await sections(router).state())["vendor/acme"]["breakers"]
    assert told == [{"subject": subject, "state": "open", "probe_at": says} for subject in ("acme", "acme/one")]


async def test_fallbacks_are_told_in_words_of_ours(router: FakeRouter) -> None:
    router.fell_back = [Fallback(NOON, "default", "free", "acme/one", "globex/two#1", "breaker_open")]
    assert plain(await sections(router).state())["fallbacks"] == [
        {
            "at": "2026-11-29T12:00:00.000+00:00",
            "use_case": "default",
            "tier": "free",
            "wanted": "acme/one",
            "offer": "globex/two#1",
            "reason": "breaker_open",
        }
    ]


async def test_standings_are_told_by_use_case_with_the_tier_of_requests_that_name_none(router: FakeRouter) -> None:
    router.standing = [
        Standing("default", "free", usual=True, offer="acme/one#1", plan="free"),
        Standing("default", "premium", usual=False, why_nobody="no API key for globex"),
        Standing("quick", "free", usual=False, offer="acme/one#1", plan="free"),
    ]
    told = plain(await sections(router).standings())["standings"]
    assert [(row["use_case"], row["usual"]) for row in told] == [("default", "free"), ("quick", None)]
    assert told[0]["tiers"] == {
        "free": {"offer": "acme/one#1", "plan": "free"},
        "premium": {"offer": None, "why": "no API key for globex"},
    }


async def test_spend_is_by_day_and_vendor_and_savings_are_reckoned_from_what_was_served(router: FakeRouter) -> None:
    router.spent = [
        quota_pb2.SpendRow(day=YESTERDAY, vendor="acme", outcome="served", attempts=9, requests=9, cost_nanos=2_000),
        quota_pb2.SpendRow(
            day=TODAY,
            vendor="acme",
            outcome="served",
            attempts=2,
            requests=2,
            input_tokens=30,
            output_tokens=5,
            cost_nanos=1_500,
        ),
        quota_pb2.SpendRow(
            day=TODAY, vendor="acme", outcome="unknown", attempts=1, requests=1, input_tokens=99, cost_nanos=500
        ),
        quota_pb2.SpendRow(day=TODAY, vendor="globex", outcome="failed", attempts=1, requests=1),
    ]
    told = plain(await sections(router).spend())["spend"]
    assert router.request.group_by == ["day", "vendor", "outcome"]
    assert (router.request.from_day, router.request.tenant) == (told["days"][0], "")
    assert (len(told["days"]), told["days"][-1]) == (DAYS, TODAY)
    acme, globex = told["vendors"]
    assert (acme["cost_usd"][-2:], acme["requests_today"]) == ([0.000002, 0.000002], 3)
    assert (sum(globex["cost_usd"]), globex["requests_today"]) == (0, 1)
    assert told["today"] == {"served": 2, "input_tokens": 30, "output_tokens": 5, "paid_usd": 0.000002}
