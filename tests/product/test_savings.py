"""What was saved against a baseline: 1,000 requests per use case through a router into a real ledger."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from fixtures.customer import streamed, user
from fixtures.fake_provider import Behaviour, breaks
from fixtures.observation import wait_until
from fixtures.router_house import House, house
from fixtures.sandbox_mesh import bare_environment
from fixtures.small_mesh import catalog, model, price, timeouts, use_case, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.quota.v1 import quota_pb2

from meshkit.errors import Reason

REQUESTS = 1_000
AT_ONCE = 50
USED = chat_pb2.Usage(input_tokens=15_000, output_tokens=5_000)
# Nothing here is about time.
PATIENT = timeouts(
    connect=30.0,
    first_token=dict.fromkeys(("chat", "local"), 60.0),
    idle=60.0,
    total=60.0,
    quota_grace=60.0,
    reserve=60.0,
)
BASELINE = ("--baseline", "15.00")


class Ever:
    """Answers every call alike, after the behaviours that are to come first."""

    def __init__(self, usage):
        self.first: list[Behaviour] = []
        self._usual = Behaviour(pieces=("yes",), usage=usage)

    def __bool__(self):
        return True

    def popleft(self):
        return self.first.pop(0) if self.first else self._usual


@asynccontextmanager
async def running(cases, directory) -> AsyncIterator[House]:
    """Run a router over the real ledger, with a use case and a vendor for each (name, vendor, flat price or plan)."""
    vendors = [
        vendor(name, model("flat", price=price(float(flat)), max_output_tokens=8_000), plan=plan)
        for _, name, flat, plan in cases
    ]
    named = [
        use_case(case, default_tier="premium", candidates={"premium": [f"{name}/flat"]}) for case, name, *_ in cases
    ]
    known = catalog(*vendors, use_cases=(use_case(), *named))
    async with house(known, PATIENT, ledger=directory / "ledger.db", silence=60) as everything:
        for provider in everything.providers.values():
            provider.script = Ever(USED)
        yield everything


async def serve(everything, case, requests=REQUESTS):
    """Have so many requests of a use case served, some at a time."""
    left = iter(range(requests))

    async def caller():
        for _ in left:
            await everything.generate(use_case=case, timeout=60)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))


async def command(everything, directory, *words):
    """Run `llm-mesh savings` against the ledger, and return its exit code, output and complaints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llm_mesh", "savings", "--quota", f"127.0.0.1:{everything.servers['quota'].port}"),
        *words,
        env=bare_environment(directory),
        stdout=pipe,
        stderr=pipe,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def told(everything, directory, *words):
    """Run the command in JSON and return what it says."""
    code, out, err = await command(everything, directory, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def percents(out):
    """Return the last column by the first."""
    return {line.split()[0]: line.split()[-1] for line in out.splitlines() if "$" in line and ":" not in line}


@pytest.mark.product(
    "P-MONEY-1", "P-MONEY-2", "P-MONEY-3", "P-MONEY-4", "P-MONEY-5", "P-MONEY-6", "P-MONEY-7", "P-CMD-14"
)
async def test_the_promised_savings_come_out_of_a_thousand_requests_for_each_use_case(row, tmp_path):
    rows = [row(f"P-MONEY-{number}") for number in range(1, 6)]
    cases = [(each["use_case"], each["vendor"], each["new"], "paid") for each in rows]
    async with running(cases, tmp_path) as everything:
        # P-MONEY-7: the same month through the mix of four, then of five use cases in equal parts.
        for number, each in enumerate(rows, start=1):
            await serve(everything, each["use_case"])
            if (month := {4: "87.75", 5: "71.80"}.get(number)) is not None:
                _, out, _ = await command(everything, tmp_path, *BASELINE, "--monthly-tokens", "100000000")
                saved = f"{Decimal(1_500) - Decimal(month):,}"
                assert f"baseline $1,500.00, paid ${month}, saved ${saved} " in out
                assert 50 <= Decimal(month) <= 150
        # P-MONEY-6: what fails is paid for and saves nothing.
        before = await told(everything, tmp_path, *BASELINE)
        for each in rows:
            everything.provider(each["vendor"]).script.first = [breaks("half", usage=USED)]
            stream = await everything.stream(use_case=each["use_case"], timeout=60)
            assert stream.error.reason is Reason.STREAM_INCOMPLETE
        await asyncio.sleep(0)
        after = await paid_for(everything, tmp_path, 5 * REQUESTS + 5)
        for each, was, now in zip(rows, *(by_case(report, rows) for report in (before, after)), strict=True):
            assert (was["requests"], now["requests"], now["attempts"]) == (REQUESTS, REQUESTS, REQUESTS + 1)
            assert now["baseline_usd"] == was["baseline_usd"] == 20_000 * REQUESTS * each["old"] / 1e6
            assert was["paid_usd"] == pytest.approx(20_000 * REQUESTS * each["new"] / 1e6)
            assert now["paid_usd"] == pytest.approx(was["paid_usd"] * (1 + 1 / REQUESTS))
        code, out, err = await command(everything, tmp_path, *BASELINE)
        assert code == 0, err
        assert "baseline: $15.00 per 1M input tokens, $15.00 per 1M output tokens (one price for both)" in out
        shown = percents(out)
        fine = percents((await command(everything, tmp_path, *BASELINE, "--decimals", "2"))[1])
        for each in rows[:4]:
            assert shown[each["use_case"]] == f"{each['percent']:.1f}"
        assert (shown["classification"], fine["classification"]) == ("99.5", "99.47")


def by_case(report, rows):
    """Return the rows of a report in the order of the promised ones."""
    found = {each["use_case"]: each for each in report["comparisons"][0]["rows"]}
    return [found[each["use_case"]] for each in rows]


async def paid_for(everything, directory, attempts):
    """Ask until the ledger has so many attempts: the last settles travel behind their answers."""
    async with asyncio.timeout(30):
        while True:
            report = await told(everything, directory, *BASELINE)
            if report["comparisons"][0]["total"]["attempts"] == attempts:
                return report


@pytest.mark.product("P-MONEY-8", "P-CMD-14")
async def test_a_baseline_per_request_and_a_fixed_monthly_cost(row, tmp_path):
    assert "0.03 x 1,000 a day" in row("P-MONEY-8")["want"]
    async with running([("chores", "gratis", 0.5, "free")], tmp_path) as everything:
        await settle(everything, "chores", "gratis", input_tokens=15_000, output_tokens=5_000)
        options = ("--per-request", "0.03", "--fixed-monthly", "10", "--by", "day")
        code, out, err = await command(everything, tmp_path, *options)
        assert code == 0, err
        assert "baseline: $0.03 per request" in out
        (day,) = [line for line in out.splitlines() if line.startswith("20") and "$" in line]
        assert day.split()[1:] == ["1,000", "15,000,000", "5,000,000", "$30.00", "$0.00", "$30.00", "100.0"]
        month = (
            "a month of 30 days at this rate: baseline $900.00, paid $10.00, $10.00 of it fixed, saved $890.00 (98.9 %)"
        )
        assert month in out
        both = await told(everything, tmp_path, *options, *BASELINE, "--output-baseline", "75")
        by_token, by_request = both["comparisons"]
        assert by_token["baseline"] == {"input_usd_per_1m": 15.0, "output_usd_per_1m": 75.0}
        assert by_token["total"]["baseline_usd"] == 15 * 15 + 5 * 75
        assert by_request["month"] == {
            "baseline_usd": 900.0,
            "paid_usd": 10.0,
            "saved_usd": 890.0,
            "saved_percent": pytest.approx(98.888, abs=0.001),
        }


@pytest.mark.product("P-MONEY-13", "P-OPS-8")
def test_every_reply_carries_its_cost_and_their_sum_is_the_spend_of_the_period(whole):
    labels, said = {"purpose": "the-sum"}, []
    labelled = {"x-llm-mesh-labels": "purpose=the-sum"}
    for name in ("openai/priced-like-groq", "openai/priced-like-claude"):
        usage = whole.generate("words: 9", model=name, labels=labels).completion.usage
        assert usage.cost_nanos == usage.list_cost_nanos > 0
        said.append(usage.cost_nanos)
        body = {"model": name, "messages": [user("words: 9")]}
        with whole.http.stream("POST", "/v1/chat/completions", json=body | {"stream": True}, headers=labelled) as reply:
            said.append(round(streamed(reply)[-1]["llm_mesh"]["cost_usd"] * 1e9))
        reply = whole.http.post("/v1/chat/completions", json=body, headers=labelled).json()
        said.append(round(reply["llm_mesh"]["cost_usd"] * 1e9))
    task = {"task": "words: 9", "preferred_model": "openai/priced-like-claude"}
    said.append(round(whole.http.post("/orchestrator/process", json=task, headers=labelled).json()["cost"] * 1e9))
    assert min(said[:-1]) > 0
    wait_until(lambda: spent(whole).get("the-sum") == sum(said), 20, "the spend of what was answered")


def spent(customer):
    """Return the money spent by the label `purpose`."""
    rows = json.loads(customer.command("ledger", "spend", "--by", "label:purpose", "--json").stdout)["rows"]
    return {each["labels"]["purpose"]: each["cost_nanos"] for each in rows}


@pytest.mark.product("P-MONEY-13")
def test_an_answer_of_a_free_plan_or_of_our_own_machine_costs_nothing_and_shows_its_list_price(whole):
    free = whole.generate("words: 9", use_case="slow").completion.usage
    assert (free.cost_nanos, free.list_cost_nanos > 0) == (0, True)
    done = whole.command("chat", "--use-case", "slow", "words: 9")
    assert "cost: $0 (list price $" in done.stdout
    local = whole.generate(model="ollama/llama3.1:8b").completion.usage
    assert (local.cost_nanos, local.list_cost_nanos) == (0, 0)
    body = {"messages": [{"role": "user", "content": "words: 9"}], "use_case": "slow"}
    assert whole.http.post("/llm/generate", json=body).json()["cost"] == 0


async def test_spend_without_tokens_is_refused_for_a_price_per_token_only(tmp_path):
    async with running([("untold", "mute", 0, "local")], tmp_path) as everything:
        await settle(everything, "untold", "mute")
        code, _, err = await command(everything, tmp_path, *BASELINE)
        assert code == 1
        assert err.startswith("llm-mesh: the spend of use_case untold has answers but no tokens")
        code, out, err = await command(everything, tmp_path, "--per-request", "0.03")
        assert (code, percents(out)["untold"]) == (0, "100.0"), err


async def settle(everything, case, name, requests=REQUESTS, **counted):
    """Hold and settle so many answers in the ledger itself, with what was counted of each."""
    amounts = quota_pb2.OfferAmounts(offer=f"{name}/flat#1", requests=1, input_tokens=10, output_tokens=10)
    reserves, settles = [], []
    for number in range(requests):
        reserve = quota_pb2.Reserve(attempt_id=f"a{number}", tenant="local", use_case=case, offers=[amounts])
        reserve.ttl.FromSeconds(600)
        reserves.append(quota_pb2.Operation(reserve=reserve))
        served = quota_pb2.Settle(
            attempt_id=f"a{number}",
            outcome=quota_pb2.OUTCOME_SERVED,
            amounts=quota_pb2.Amounts(requests=1, **counted),
        )
        settles.append(quota_pb2.Operation(settle=served))
    for kind, operations in (("held", reserves), ("done", settles)):
        for start in range(0, requests, 50):
            batch = quota_pb2.ApplyRequest(operations=operations[start : start + 50])
            answers = (await everything.ledger.Apply(batch, timeout=60)).answers
            assert all(answer.WhichOneof("kind") == kind for answer in answers), answers


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "say what to compare with"),
        (["--output-baseline", "3"], "needs the price of input tokens in --baseline"),
        (["--baseline", "dear"], "`dear`; allowed: US dollars"),
        (["--baseline", "-1"], "`-1`; allowed: US dollars"),
        (["--baseline", "1", "--from", "yesterday"], "allowed: a day, YYYY-MM-DD"),
        (["--baseline", "1", "--by", "moon"], "'use_case', 'vendor', 'tenant', 'day'"),
    ],
)
def test_what_cannot_be_right_is_refused(whole, words, problem):
    done = whole.command("savings", *words)
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())
