"""What a request costs, to the nano-dollar: tokens as a vendor counts them, on the prices the rows name."""

import csv

import pytest
from fixtures.customer import user
from fixtures.observation import wait_until
from fixtures.promised_meshes import PRICED
from llmmesh.quota.v1 import quota_pb2

ROWS = [
    pytest.param("P-MONEY-9", "priced-like-groq", 14_750, marks=pytest.mark.product("P-MONEY-9")),
    pytest.param("P-MONEY-10", "priced-like-deepseek", 16_800, marks=pytest.mark.product("P-MONEY-10")),
    pytest.param("P-MONEY-11", "priced-like-claude", 750_000, marks=pytest.mark.product("P-MONEY-11")),
]


def counting(customer, prompt, completion):
    """Have openai count these tokens for whatever it is asked."""
    customer.tap.answers["openai"] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "counted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def in_words(dollars):
    """Write a row's cost without exponent."""
    return f"{dollars:.9f}".rstrip("0")


@pytest.mark.parametrize(("id_", "model", "nanos"), ROWS)
def test_input_tokens_cost_exactly_their_price(row, whole, id_, model, nanos):
    reply = row(id_)["reply"]
    assert row(id_)["implies"].startswith(f"{PRICED[model][0]:.2f} per 1M")
    counting(whole, reply["tokens_used"], 0)
    usage = whole.generate(model=f"openai/{model}").completion.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cost_nanos) == (reply["tokens_used"], 0, nanos)
    assert nanos == round(reply["cost"] * 1e9)


@pytest.mark.parametrize(("id_", "model", "nanos"), ROWS)
def test_a_cost_is_written_without_rounding_to_micro_dollars(row, whole, id_, model, nanos):
    counting(whole, row(id_)["reply"]["tokens_used"], 0)
    cost = in_words(row(id_)["reply"]["cost"])
    reply = whole.chat(model=f"openai/{model}")
    assert f'"cost_usd":{cost},' in reply.text
    assert reply.headers["x-llm-mesh-cost-usd"] == cost
    done = whole.command("chat", "--whole", "--model", f"openai/{model}", "say: yes")
    assert done.stdout.splitlines()[-1].strip() == f"cost: ${cost}", done.stderr


@pytest.mark.product("P-MONEY-12")
def test_output_tokens_have_a_price_of_their_own(row, whole):
    said = row("P-MONEY-12")["want"].partition("all output cost ")[2].partition(" on the snapshot")[0].split(" / ")
    assert said == ["0.00001975", "0.0000336", "0.00375"]
    for cost, id_, model in zip(said, ("P-MONEY-9", "P-MONEY-10", "P-MONEY-11"), PRICED, strict=True):
        counting(whole, 0, row(id_)["reply"]["tokens_used"])
        assert f'"cost_usd":{cost},' in whole.chat(model=f"openai/{model}").text


def told_over_http(customer, **body):
    """Return cost, list cost and the cost of all attempts, in nano-dollars, of a whole reply and of a streamed one."""
    whole = customer.chat(**body).json()["llm_mesh"]
    streamed = customer.stream(**body)[-1]["llm_mesh"]
    return [
        tuple(round(mesh[key] * 10**9) for key in ("cost_usd", "list_cost_usd", "total_cost_usd"))
        for mesh in (whole, streamed)
    ]


@pytest.mark.product("P-MONEY-13")
@pytest.mark.parametrize(
    ("model", "free", "listed"), [("groq", True, True), ("ollama", True, False), ("openai/gpt-4o", False, True)]
)
def test_every_reply_carries_its_cost_and_a_free_or_local_one_costs_0_with_the_list_price_beside_it(
    whole, model, free, listed
):
    for cost, list_cost, _ in told_over_http(whole, model=model):
        assert (cost == 0, list_cost > 0) == (free, listed)
        assert free or cost == list_cost
    usage = whole.generate(model=model).completion.usage
    assert (usage.cost_nanos == 0, usage.list_cost_nanos > 0) == (free, listed)
    reply = whole.http.post("/llm/generate", json={"model": model, "messages": [user("say: yes")]}).json()
    assert (reply["cost"] == 0, reply["llm_mesh"]["list_cost_usd"] > 0) == (free, listed)
    asked = {"task": "say: yes", "preferred_model": model, "llm_mesh": {"tier": "premium"}}
    task = whole.http.post("/orchestrator/process", json=asked).json()
    assert (task["cost"] == 0, task["llm_mesh"]["list_cost_usd"] > 0) == (free, listed)


@pytest.mark.product("P-MONEY-13", "P-OPS-8")
def test_the_costs_of_replies_add_up_to_what_the_spend_report_says(whole):
    label = {"x-llm-mesh-labels": "proof=adds-up"}
    whole.http.headers.update(label)
    try:
        told = [
            costs
            for model in ("openai/gpt-4o", "groq", "ollama", *(f"openai/{name}" for name in PRICED))
            for costs in told_over_http(whole, model=model)
        ]
        body = {"model": "openai/gpt-4o", "messages": [user("say: yes")]}
        whole.tap.faults("openai", {"kind": "status", "status": 500, "times": 1})
        wish = {"fallback": True, "llm_mesh": {"use_case": "conversation", "tier": "premium"}}
        failing = whole.http.post("/v1/chat/completions", json=body | wish).json()["llm_mesh"]
        assert len(failing["attempts"]) > 1
        generated = whole.http.post("/llm/generate", json=body).json()["llm_mesh"]
        vectors = whole.http.post("/v1/embeddings", json={"input": "a text"}).json()["llm_mesh"]
    finally:
        for name in label:
            del whole.http.headers[name]
    nanos = sum(total for _, _, total in told)
    nanos += sum(round(mesh["total_cost_usd"] * 10**9) for mesh in (failing, generated, vectors))
    assert nanos > 0

    def spent():
        request = quota_pb2.QuerySpendRequest(group_by=["label:proof"])
        rows = whole.quota.QuerySpend(request, timeout=20).rows
        return [row.cost_nanos for row in rows if row.labels.get("proof") == "adds-up"]

    wait_until(lambda: spent() == [nanos], 20, "the last of them to be settled")
    report = whole.command("ledger", "spend", "--by", "label:proof", "--csv").stdout.splitlines()
    row = next(csv.DictReader([line for line in report if "adds-up" in line or "proof" in line]))
    assert (row["label:proof"], int(row["cost_nanos"])) == ("adds-up", nanos)
