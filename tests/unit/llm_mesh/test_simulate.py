"""`llm-mesh simulate`: what it makes of a file and its options, and what it says of mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from llm_mesh.cli.app import command_line
from llm_mesh.cli.outcome import Exit

LOCAL, GROQ = "ollama/llama3.1:8b", "groq/llama-3.1-70b-versatile"
QUOTA = {"unit": "requests", "window": "day", "amount": 3}
CONFIG: dict[str, Any] = {
    "catalog": "2025",
    "vendors": {"groq": {"limits": {"free": [QUOTA]}}},
    "use_cases": {"chain": {"default_tier": "free", "candidates": {"free": [GROQ, LOCAL]}}},
}


def changed(**parts: Any) -> dict[str, Any]:
    return {**CONFIG, **parts}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mesh.yaml"


def run(file: Path, *words: str, config: dict[str, Any] | None = None) -> Result:
    file.write_text(yaml.safe_dump(config or CONFIG))
    unset = dict.fromkeys(("MESH_CATALOG", "LOCAL_MODELS_ENABLED", "OLLAMA_NUM_PARALLEL"))
    return CliRunner().invoke(command_line(), ["simulate", str(file), *words], env={"COLUMNS": "200", **unset})


def runs(file: Path, *words: str, config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    said = run(file, *words, "--json", config=config)
    assert said.exit_code == Exit.DONE, said.stderr
    found: list[dict[str, Any]] = json.loads(said.stdout)["runs"]
    return found


def served(told: dict[str, Any]) -> dict[str, int]:
    return {row["vendor"]: row["served"] for row in told["vendors"]}


def test_the_table_says_who_served_what_is_left_what_it_cost_and_how_often_there_was_no_room(file):
    said = run(file, "-n", "5", "--callers", "1", "--at", "2026-02-03")
    lines = [line.split() for line in said.stdout.splitlines()]
    assert said.stdout.splitlines()[0] == "2026-02-03T12:00:00Z: 5 requests of use case chain, strategy priority"
    assert lines[1:] == [
        ["vendor", "served", "quota", "left", "money", "refused"],
        ["groq", "3", "3", "requests", "per", "day", "0", "$0", "2"],
        ["ollama", "2", "unlimited", "$0", "0"],
        ["5", "served,", "0", "not;", "money", "$0"],
    ]


def test_paid_plans_cost_what_vendors_count_and_not_what_was_estimated(file):
    config = changed(vendors={"groq": {"slots": {1: {"plan": "paid"}}}})
    words = ("-n", "10", "--tier", "premium", "--input-tokens", "1000", "--output-tokens", "100", "--estimates", "2")
    config["use_cases"] = {"chain": {"default_tier": "premium", "candidates": {"premium": [GROQ, LOCAL]}}}
    (told,) = runs(file, *words, config=config)
    price = 590 * 1000 + 790 * 100
    assert (told["money_nanos"], told["vendors"][0]["cost_nanos"]) == (10 * price, 10 * price)


def test_several_keys_take_turns_and_each_account_has_a_quota(file):
    slots = {1: {"account": "one"}, 2: {"account": "two"}}
    (told,) = runs(file, "-n", "7", config=changed(vendors={"groq": {**CONFIG["vendors"]["groq"], "slots": slots}}))
    assert served(told) == {"groq": 6, "ollama": 1}
    used = {budget["id"]: budget["used"] for budget in told["vendors"][0]["budgets"]}
    assert used == {"groq/one/requests/day": 3, "groq/two/requests/day": 3}


def test_runs_follow_one_another_on_one_ledger_and_a_minute_may_pass_within_one(file):
    days = ("--at", "2026-02-03", "--at", "2026-02-03T13:00", "--at", "2026-02-04")
    assert [served(told)["groq"] for told in runs(file, "-n", "5", *days)] == [3, 0, 3]
    by_the_minute = changed(vendors={"groq": {"limits": {"free": [{**QUOTA, "window": "minute"}]}}})
    (told,) = runs(file, "-n", "40", "--over", "10m", config=by_the_minute)
    # One comes every 15 s, and a minute weighs a little longer than that: of five three are served.
    assert served(told)["groq"] == 24


def test_what_nobody_can_serve_is_counted_with_the_reason(file):
    alone = changed(use_cases={"chain": {"default_tier": "free", "candidates": {"free": [GROQ]}}})
    (told,) = runs(file, "-n", "5", config=alone)
    assert (told["served"], sum(told["failed"].values())) == (3, 2)
    assert list(told["failed"]) == ["no budget has room: groq/default/requests/day has 0 of 3 requests left"]
    said = run(file, "-n", "5", config=alone)
    assert "not served, 2 times: no budget has room" in said.stdout
    assert said.stdout.splitlines()[-1] == "3 served, 2 not; money $0"


def test_a_vendor_that_is_switched_off_serves_nothing(file):
    (told,) = runs(file, "-n", "2", config=changed(vendors={"groq": {"enabled": False}}))
    assert served(told) == {"ollama": 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "luck"], "--strategy: unknown strategy `luck`; known: priority, cheapest"),
        (["--strategy", "spread"], "strategy `spread` needs a share: say --spread-share N"),
        (["--spread-share", "5"], "--spread-share goes with the strategy `spread`; this one is `priority`"),
        (["--use-case", "chess"], "--use-case: unknown use case `chess`; known: analysis"),
        (["--input-tokens", "9", "--estimates", "0.5"], "no prompt is estimated at less than 7 tokens; this one would"),
        (["--use-case", "embedding"], "use case `embedding` make embeddings, not answers"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_one_line(file, words, said):
    found = run(file, *words)
    assert (found.exit_code, found.stdout) == (Exit.FAILED, "")
    assert said in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "2026-02-30"], "`2026-02-30`; allowed: 2026-01-31 or 2026-01-31T23:59:30"),
        (["--over", "soon"], "`soon`; allowed: a number and s, m, h or d, up to 31d"),
        (["--over", "32d"], "`32d`; allowed"),
        (["--requests", "0"], "greater than or equal to 1"),
    ],
)
def test_options_of_the_wrong_shape_are_wrong_usage(file, words, said):
    found = run(file, *words)
    assert found.exit_code == Exit.USAGE
    assert said in found.stderr


def test_a_file_with_several_use_cases_wants_one_named_and_a_wrong_file_is_told_by_its_line(file):
    both = changed(use_cases=dict.fromkeys(("one", "two"), CONFIG["use_cases"]["chain"]))
    assert "name one with --use-case: one, two" in run(file, config=both).stderr
    assert served(runs(file, "-n", "1", "--use-case", "two", config=both)[0]) == {"groq": 1, "ollama": 0}
    wrong = run(file, config=changed(use_cases={"chain": {"strategy": "luck"}}))
    assert wrong.exit_code == Exit.FAILED
    assert f"{file}:" in wrong.stderr
    assert "use_cases.chain.strategy" in wrong.stderr
