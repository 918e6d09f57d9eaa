"""The page /console: it shows what the ledger and health say, and a vendor can be chosen and tried from it."""

import json

import pytest
from fixtures.customer import spoken
from fixtures.observation import wait_until
from llmmesh.quota.v1 import quota_pb2

SECTIONS = {"mesh", "vendors", "standings", "spend", "fallbacks"}
pytestmark = pytest.mark.product("P-OPS-6")


def shown(customer):
    """Look at the console once: everything it tells whoever begins to look."""
    sections, vendors, event = {}, {}, ""
    with customer.http.stream("GET", "/console/events") as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                content = json.loads(line.removeprefix("data: "))
                if event == "vendor":
                    vendors[content["id"]] = content
                else:
                    sections[event] = content
            elif not line and set(sections) >= SECTIONS and len(vendors) >= len(sections["vendors"]):
                return sections, vendors
    raise AssertionError(f"the stream ended with {set(sections)}")


def quotas(told):
    """Return the figures of quotas."""
    return [(quota["unit"], quota["window"], quota["used"], quota["left"]) for quota in told]


def test_the_page_shows_quotas_used_and_left_who_serves_now_and_the_local_fallback_as_health_has_them(whole):
    page = whole.http.get("/console")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'src="console/console.js"' in page.text
    whole.generate(model="cohere")
    wait_until(lambda: whole.budgets().open_holds == 0, 20, "every request to be settled")
    health = whole.http.get("/api/health").json()
    sections, vendors = shown(whole)
    assert sections["mesh"]["serving"][0] == health["serving_offer"]
    assert sections["mesh"]["local_fallback"] == health["local_fallback"]
    assert sections["mesh"]["totals"] == health["totals"]
    assert sections["vendors"] == list(vendors)
    for provider in health["providers"]:
        vendor = vendors[provider["name"]]
        assert vendor["status"] == provider["status"]
        assert quotas(vendor["quotas"]) == quotas(provider["quotas"]), vendor["id"]
    assert any(quota["used"] for quota in vendors["cohere"]["quotas"])


def test_it_says_who_would_serve_each_use_case_and_tier_and_who_lately_served_in_another_s_place(whole):
    explained = whole.explain(use_case="quick", tier=1)
    first = next(offer.offer for offer in explained.offers if offer.has_room)
    whole.tap.faults("gemini", {"kind": "status", "status": 500})
    whole.generate(use_case="fragile")
    sections, _ = shown(whole)
    standing = {row["use_case"]: row["tiers"] for row in sections["standings"]}
    assert standing["quick"]["free"]["offer"].partition("#")[0] == first.partition("#")[0]
    newest = sections["fallbacks"][0]
    assert (newest["use_case"], newest["wanted"]) == ("fragile", "gemini/gemini-2.5-flash")
    assert newest["offer"].startswith("ollama/")


def test_it_shows_cost_by_day_and_vendor_and_what_was_saved_is_what_the_command_says(whole):
    whole.generate(model="openai/priced-like-claude")
    wait_until(lambda: whole.budgets().open_holds == 0, 20, "every request to be settled")
    spend = shown(whole)[0]["spend"]
    rows = whole.quota.QuerySpend(quota_pb2.QuerySpendRequest(group_by=["day", "vendor"]), timeout=20).rows
    paid = {(row.day, row.vendor): row.cost_nanos for row in rows}
    told = {
        (day, row["vendor"]): round(cost * 1e9)
        for row in spend["vendors"]
        for day, cost in zip(spend["days"], row["cost_usd"], strict=True)
        if (day, row["vendor"]) in paid
    }
    assert told == paid
    assert any(told.values())
    day = spend["days"][-1]
    command = whole.command("savings", "--per-request", "0.03", "--from", day, "--to", day, "--json")
    assert command.returncode == 0, command.stderr
    total = json.loads(command.stdout)["comparisons"][0]["total"]
    assert spend["today"] == {
        "served": total["requests"],
        "input_tokens": total["input_tokens"],
        "output_tokens": total["output_tokens"],
        "paid_usd": total["paid_usd"],
    }


def test_a_vendor_is_chosen_and_tried_and_the_answer_streams_with_its_route(whole):
    """What the playground sends, as it sends it."""
    chunks = whole.stream("say: hello there", model="openai", stream_options={"include_usage": True})
    assert spoken(chunks) == "hello there"
    (route,) = [chunk["llm_mesh"] for chunk in chunks if "llm_mesh" in chunk]
    assert route["vendor"] == "openai"
    assert route["attempts"][0]["outcome"] == "served"
    assert {"cost_usd", "total_cost_usd", "fallback_used"} <= set(route)
    assert chunks[-1]["usage"]["completion_tokens"] > 0
