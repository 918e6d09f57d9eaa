"""Checks and measures vendors as a person would, against meshes with keys whose vendors are simulated."""

import datetime as dt
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fixtures.customer import Customer
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.sandbox_mesh import bare_environment
from fixtures.shipped import shipped

from catalog.model import Catalog, Vendor, blended

CATALOG = shipped()
TODAY = dt.datetime.now(dt.UTC).date()
LIVING = {vendor.id for vendor in CATALOG.vendors.values() if vendor.retired_on is None or vendor.retired_on > TODAY}
SCARCE = "groq/openai/gpt-oss-20b"
STATED = ("openai", "anthropic", "gemini", "ollama")  # the vendors of the promised table
EMPTY_ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}


def with_keys(catalog: Catalog) -> list[Vendor]:
    return [vendor for vendor in catalog.vendors.values() if vendor.key_env]


def without_limits(**limits: Any) -> dict[str, Any]:
    """Return settings under which no vendor has a limit, but for those named."""
    return {
        "vendors": {
            vendor.id: {"limits": {plan: limits.get(vendor.id, []) for plan in vendor.plans}}
            for vendor in CATALOG.vendors.values()
        }
    }


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """A mesh with a key for every vendor, two for groq, and one scarce model."""
    keys = {vendor.key_env[0]: key_of(vendor.id, "evry") for vendor in with_keys(CATALOG)}
    keys["GROQ_API_KEY_2"] = key_of("groq", "two2")
    once = {"unit": "requests", "window": "rolling 24h", "amount": 1, "scope": "model", "models": [SCARCE[5:]]}
    config = without_limits(groq=[once])
    with keyed_mesh(tmp_path_factory.mktemp("everybody"), config=config, keys=keys) as customer:
        yield customer


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """A mesh with keys for the vendors of the promised table, and one malformed key."""
    named = [vendor for vendor in with_keys(CATALOG) if vendor.id in STATED]
    keys = {vendor.key_env[-1]: key_of(vendor.id, "few1") for vendor in named}
    keys["GROQ_API_KEY"] = "malformed-but-secret"
    with keyed_mesh(tmp_path_factory.mktemp("few"), config=without_limits(), keys=keys) as customer:
        yield customer


@pytest.fixture(autouse=True)
def _calm(request: pytest.FixtureRequest) -> None:
    for name in {"everybody", "few"} & set(request.fixturenames):
        customer: Customer = request.getfixturevalue(name)
        customer.tap.forget()
        customer.put_right()


def told(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shows_a_key(customer: Customer, *texts: str) -> list[str]:
    return [key for key in customer.keys.values() for text in texts if key in text]


@pytest.mark.product("P-CMD-1")
@pytest.mark.parametrize("group", ["vendors", "providers"])
def test_every_configured_key_is_a_row_and_none_is_shown(everybody, group):
    done = everybody.command(group, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split()[:5] == ["vendor", "slot", "key", "accepted", "latency"]
    slots = [(row.split()[0], row.split()[1]) for row in rows]
    assert slots == sorted([*((vendor, "1") for vendor in CATALOG.vendors), ("groq", "2")])
    living = [row for row in rows if row.split()[0] in LIVING]
    assert all(re.search(r"(well-formed|not needed) +yes +\d", row) for row in living)
    assert shows_a_key(everybody, done.stdout, done.stderr) == []
    assert [heard for heard in everybody.tap.heard if heard.body] == [], "nothing but the keys was asked about"


@pytest.mark.product("P-CMD-1")
def test_one_rejected_key_is_told_with_its_reason_and_fails_the_check(everybody):
    everybody.tap.faults("groq", {"kind": "status", "status": 401, "operation": "models"})
    done = everybody.command("vendors", "check", "--json")
    assert done.returncode == 1
    keys = told(done)["keys"]
    refused = [each for each in keys if each["vendor"] in LIVING and not each["accepted"]]
    assert [(each["vendor"], each["slot"], each["key"], each["reason"]) for each in refused] == [
        ("groq", slot, "well_formed", "VENDOR_AUTH") for slot in (1, 2)
    ]
    assert shows_a_key(everybody, done.stdout, done.stderr) == []
    assert everybody.command("vendors", "check", "openai").returncode == 0


@pytest.mark.product("P-CMD-1")
def test_a_malformed_key_is_told_with_its_format_and_never_sent(few):
    done = few.command("vendors", "check")
    assert done.returncode == 1
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("groq ")]
    assert row.split()[2:4] == ["malformed", "no"]
    assert CATALOG.vendors["groq"].key_format in row
    assert shows_a_key(few, done.stdout, done.stderr) == []
    assert [heard for heard in few.tap.ever if heard.vendor == "groq"] == []


@pytest.mark.product("P-CMD-2")
@pytest.mark.parametrize(("group", "name"), [("vendors", "gemini"), ("providers", "google")])
def test_one_vendor_gets_one_short_call_to_its_cheapest_model_that_is_accounted_for(few, group, name):
    before = requests_of(few, "gemini")
    began = time.monotonic()
    done = few.command(group, "check", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 30
    (called,) = few.tap.chats
    assert called.vendor == "gemini"
    (line,) = [line for line in done.stdout.splitlines() if line.endswith(": ok")]
    model = line.removesuffix(": ok").removeprefix("gemini/")
    assert f"/{model}:" in called.target
    gemini = CATALOG.vendors["gemini"]
    plan = gemini.plans[gemini.default_plan]
    callable_models = [each for each in answering(gemini) if plan.covers(each.id)]
    assert blended(gemini.models[model].price) == min(blended(each.price) for each in callable_models)
    assert requests_of(few, "gemini") == before + 1


def alive(vendor: Vendor) -> list[Any]:
    """Return the models of a vendor that can be asked today."""
    ended = vendor.retired_on is not None and vendor.retired_on <= TODAY
    models = () if ended else vendor.models.values()
    return [each for each in models if each.status == "active" and not each.retired_by(TODAY)]


def answering(vendor: Vendor) -> list[Any]:
    """Return those that answer prompts; the others make vectors."""
    return [each for each in alive(vendor) if each.model_class != "embedding"]


def requests_of(customer: Customer, vendor: str) -> int:
    spent = told(customer.command("status", "--json"))["spent_today"]
    return sum(row["requests"] for row in spent if row["vendor"] == vendor)


@pytest.mark.product("P-CMD-3")
def test_the_bench_of_a_vendor_measures_each_model_with_ten_questions(few):
    done = few.command("bench", "vendors", "gemini", "--json")
    assert done.returncode == 0, done.stderr
    gemini = CATALOG.vendors["gemini"]
    plan = gemini.plans[gemini.default_plan]
    rows = {row["model"]: row for row in told(done)["models"]}
    assert set(rows) == {each.id for each in answering(gemini)}
    heard = Counter(re.search(r"models/(.+?):", chat.target)[1] for chat in few.tap.chats)
    for model, row in rows.items():
        if not plan.covers(model):
            assert (row["asked"], row["unasked"], heard[model]) == (0, 10, 0)
            continue
        assert (row["asked"], row["unasked"], heard[model]) == (10, 0, 10)
        assert 0 < row["first_token_seconds"] <= row["first_token_p95_seconds"]
        assert 0 < row["seconds"] <= row["p95_seconds"]
        assert row["tokens_per_second"] > 0
        assert row["passed"] + len(row["wrong"]) == 10
        assert row["pass_rate"] == row["passed"] / 10


def summaries(text: str) -> dict[str, dict[str, str]]:
    """Return the lines of each summary: what is said of each model."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        if heading := re.match(r"(non-streaming|streaming): \d+ of \d+ models ok", line):
            current = found.setdefault(heading[1], {})
        elif said := re.match(r"(\S+/\S+): (.+)", line):
            current[said[1]] = said[2]
        elif not line:
            current = {}
    return found


def all_models(customer: Customer, report: Path, *words: str, group: str = "vendors") -> Any:
    """Run the promised command."""
    return customer.command(group, "check", "--all-models", "--stream", "both", "--report", str(report), *words)


@pytest.mark.product("P-CMD-4")
def test_every_model_of_every_vendor_answers_both_ways_in_the_right_form(everybody, tmp_path):
    report = tmp_path / "report.md"
    done = all_models(everybody, report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = summaries(done.stdout)
    answer = {f"{vendor.id}/{each.id}" for vendor in CATALOG.vendors.values() for each in answering(vendor)}
    models = {f"{vendor.id}/{each.id}" for vendor in CATALOG.vendors.values() for each in alive(vendor)}
    assert (set(found["non-streaming"]), set(found["streaming"])) == (models, answer)
    for said in found.values():
        wrong = {model: words for model, words in said.items() if words != "ok"}
        assert all(words.startswith("no quota: ") for words in wrong.values()), wrong
        for vendor in LIVING:
            told_ok = [said[f"{vendor}/{each.id}"] == "ok" for each in answering(CATALOG.vendors[vendor])]
            assert any(told_ok), vendor
    vectors = {model: found["non-streaming"][model] for model in models - answer}
    assert {words for words in vectors.values() if not words.startswith("no quota: the free plan")} == {"ok"}
    both = [found[how][SCARCE] for how in ("non-streaming", "streaming")]
    assert sorted(words == "ok" for words in both) == [False, True], "its quota has room for one of them"
    page = report.read_text(encoding="utf-8")
    for heading in ("## Keys", "## Non-streaming", "## Streaming", "## Faults of form\n\nNone."):
        assert heading in page
    assert all(f"| {model} |" in page for model in models)
    assert shows_a_key(everybody, done.stdout, done.stderr, page) == []


@pytest.mark.product("P-CMD-4")
def test_failures_and_faults_of_form_are_told_by_model_and_the_others_go_on(few, tmp_path):
    report = tmp_path / "report.md"
    few.tap.faults("gemini", {"kind": "cut", "after_tokens": 3})
    few.tap.answers["openai"] = EMPTY_ANSWER
    done = all_models(few, report, "openai", "gemini", "local", group="providers")
    assert done.returncode == 1
    found = summaries(done.stdout)
    page = report.read_text(encoding="utf-8")
    for each in answering(CATALOG.vendors["openai"]):
        assert found["non-streaming"][f"openai/{each.id}"] == "wrong form: the answer is empty and gives no reason"
        assert f"- `openai/{each.id}`, non-streaming: the answer is empty and gives no reason" in page
    gemini = CATALOG.vendors["gemini"]
    covered = [each.id for each in answering(gemini) if gemini.plans[gemini.default_plan].covers(each.id)]
    told = [found["streaming"][f"gemini/{model}"] for model in covered]
    broken_off = [words for words in told if words.startswith(("STREAM_INCOMPLETE: ", "VENDOR_INCOMPLETE: "))]
    assert broken_off
    # After so many of them the breaker of the vendor opens, and the others are not asked any more.
    assert all("its breaker is open" in words for words in told if words not in broken_off), told
    for each in answering(CATALOG.vendors["ollama"]):
        assert found["streaming"][f"ollama/{each.id}"] == "ok"


def prices(catalog: Catalog) -> Mapping[str, int]:
    return {
        f"{vendor.id}/{each.id}": blended(each.price)
        for vendor in catalog.vendors.values()
        for each in answering(vendor)
        if each.price is not None
    }


@pytest.mark.product("P-CMD-17")
def test_the_comparison_has_the_promised_columns_dearer_models_cost_more_and_local_is_free(few, row):
    done = few.command("bench", "vendors", "--json")
    assert done.returncode == 0, done.stderr
    rows = told(done)["models"]
    promised = row("P-CMD-17")["stated"]
    assert {each["vendor"] for each in rows} == {each["vendor"] for each in promised} & set(CATALOG.vendors)
    columns = {"relative_cost" if key == "cost" else key for each in promised for key in each}
    assert all(columns <= set(each) for each in rows)
    price = prices(CATALOG)
    ranked = sorted(rows, key=lambda each: price[f"{each['vendor']}/{each['model']}"])
    costs = [each["relative_cost"] for each in ranked]
    assert costs == sorted(costs)
    assert {each["relative_cost"] for each in rows if each["vendor"] == "ollama"} == {0}
    assert min(cost for cost in costs if cost) == 1
    assert all(each["quality"] == pytest.approx(5 * each["pass_rate"]) for each in rows if each["asked"])


@pytest.mark.product("P-CMD-17")
def test_the_comparison_is_a_table_for_people(few):
    done = few.command("bench", "vendors", "ollama")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    for column in ("vendor", "model", "seconds", "quality", "relative cost"):
        assert column in head
    models = [row for row in rows if row.startswith("ollama ")]
    assert len(models) == len(answering(CATALOG.vendors["ollama"]))
    assert all(row.endswith("free") for row in models)


@pytest.mark.product("P-CMD-2")
def test_a_vendor_nobody_knows_is_one_line_that_names_the_known(few):
    done = few.command("vendors", "check", "nonesuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert "unknown vendor `nonesuch`; known: " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.product("P-CMD-2")
def test_a_check_can_be_rehearsed_with_no_mesh_and_no_key(tmp_path):
    command = [sys.executable, "-m", "llm_mesh", "vendors", "check", "gemini", "--sandbox"]
    done = subprocess.run(
        command, cwd=tmp_path, env=bare_environment(tmp_path), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^gemini/\S+: ok$", done.stdout, re.MULTILINE)


def test_both_spellings_list_the_same_vendors(few):
    first, second = (told(few.command(group, "--json"))["vendors"] for group in ("vendors", "providers"))
    assert [vendor["id"] for vendor in first] == [vendor["id"] for vendor in second]
    assert {vendor["id"] for vendor in first} == set(CATALOG.vendors)
