"""One prompt to several models at once: what each took, wrote and cost, whatever became of the others."""

import re
import shlex

import pytest
from fixtures.customer import prompt
from fixtures.observation import wait_until
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

LINE = re.compile(r"(\S+) +(\d+\.\d\d) s +(\d+\.\d\d) s +([\d,]+) +(\$[\d.]+)  (.*)")
BROKEN = {"kind": "status", "status": 500}


OPENAI, CLAUDE, GEMINI = "openai/gpt-4o", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash"


def compared(customer, row):
    """Run the promised command; again when another test has just used up one vendor's second."""
    words = shlex.split(row("P-CMD-5")["run"])[1:]
    for _ in range(10):
        done = customer.command(*words)
        if "try again in" not in done.stdout:
            break
    return words[2:], done


@pytest.mark.product("P-CMD-5")
def test_the_promised_comparison_shows_latency_tokens_cost_and_the_beginning_of_each_answer(row, whole):
    models, done = compared(whole, row)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()[1 : len(models) + 1]
    told = {match[1]: match for match in map(LINE.fullmatch, map(str.rstrip, lines)) if match}
    assert list(told) == models, done.stdout
    for match in told.values():
        assert 0 < float(match[3]) <= float(match[2])
        assert int(match[4].replace(",", "")) > 0
        assert 0 < len(match[6]) <= 100
    assert {heard.vendor for heard in whole.tap.chats} == {"openai", "anthropic", "mistral", "gemini"}
    # What has ended since is served by its successor, and that is said.
    assert "anthropic/claude-3-5-sonnet-20241022 was retired on" in done.stdout


@pytest.mark.product("P-CMD-5")
def test_a_failing_model_shows_its_error_and_the_others_go_on(whole):
    whole.tap.faults("openai", BROKEN)
    done = whole.command("compare", "say: yes", OPENAI, CLAUDE, GEMINI)
    assert done.returncode == 0, done.stderr
    failed, *others = done.stdout.splitlines()[1:4]
    assert failed.split()[0] == OPENAI
    assert " error: " in failed
    assert "VENDOR_SERVER: " in failed
    assert all(LINE.fullmatch(line.rstrip()) for line in others), done.stdout


@pytest.mark.product("P-CMD-5")
def test_nothing_that_cannot_be_right_is_asked_of_anybody(whole):
    done = whole.command("compare", "say: yes", *[OPENAI] * 2)
    assert (done.returncode, done.stderr) == (1, "llm-mesh: models[1]: `openai/gpt-4o` is there twice\n")
    done = whole.command("compare", "say: yes", *(f"m{number}" for number in range(9)))
    assert (done.returncode, done.stderr) == (1, "llm-mesh: models: must be from 1 to 8, not 9\n")
    assert whole.tap.chats == []


@pytest.mark.product("P-CMD-5")
def test_who_leaves_cancels_all_and_every_hold_ends(whole):
    stalls = {"kind": "stall", "after_tokens": 1, "seconds": 30}
    for vendor in ("openai", "anthropic"):
        whole.tap.faults(vendor, stalls)
    label = {"purpose": "left-behind"}
    request = router_pb2.CompareRequest(
        models=[OPENAI, CLAUDE],
        intent=router_pb2.Intent(labels=label),
        prompt=prompt("words: 20"),
    )
    call = whole.router.Compare(request, timeout=30)
    begun = set()
    for event in call:
        begun.add(event.place)
        if len(begun) == 2:
            break
    call.cancel()
    asked = quota_pb2.QuerySpendRequest(group_by=["vendor", "outcome", "label:purpose"])

    def ended():
        rows = whole.quota.QuerySpend(asked, timeout=10).rows
        return {(each.vendor, each.outcome) for each in rows if each.labels["purpose"] == "left-behind"}

    wait_until(lambda: ended() == {("openai", "cancelled"), ("anthropic", "cancelled")}, 20, "both holds to end")
