"""What a request costs, to the nano-dollar: tokens as a vendor counts them, on the prices the rows name."""

import pytest
from fixtures.promised_meshes import PRICED

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
