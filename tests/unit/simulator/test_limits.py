"""The vendors enforce their own quotas exactly, whoever asks and however many at once."""

import asyncio
from collections import Counter

import pytest

PATH = "/groq/openai/v1/chat/completions"


def limit(unit: str, amount: int, per: str = "minute", **more):
    return {"unit": unit, "per": per, "amount": amount, **more}


def body(text: str = "say: x", model: str = "qwen/qwen3.8-27b"):
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def key(name: str):
    return {"authorization": f"Bearer gsk_{name}"}


@pytest.fixture
def ask_as(http):
    async def send(name: str, text: str = "say: x", model: str = "qwen/qwen3.8-27b"):
        return await http.post(PATH, json=body(text, model), headers=key(name))

    return send


async def test_exactly_as_many_get_in_as_the_limit_says_under_concurrency(sim, ask_as):
    await sim.set_limits("groq", [limit("requests", 37)])
    replies = await asyncio.gather(*(ask_as("one") for _ in range(150)))
    assert Counter(reply.status_code for reply in replies) == {200: 37, 429: 113}
    state = await sim.state("groq")
    assert (state["arrivals"], state["admitted"], state["refused"]) == (150, 37, 113)
    assert (state["minute_max"], state["minute_max_admitted"], state["in_flight"]) == (150, 37, 0)
    assert state["models"]["qwen/qwen3.8-27b"]["admitted"] == 37


async def test_tokens_are_counted_with_what_the_answer_will_cost(sim, ask_as):
    await sim.set_limits("groq", [limit("tokens", 100)])
    replies = await asyncio.gather(*(ask_as("one", "tokens: 14") for _ in range(20)))
    assert Counter(reply.status_code for reply in replies) == {200: 5, 429: 15}
    state = await sim.state("groq")
    assert state["tokens_in"] + state["tokens_out"] == 5 * (6 + 14)


async def test_a_window_slides_with_the_simulators_clock(sim, ask_as):
    await sim.set_limits("groq", [limit("requests", 2)])
    assert (await ask_as("one")).status_code == 200
    await sim.advance(40)
    assert [(await ask_as("one")).status_code for _ in range(2)] == [200, 429]
    await sim.advance(21)
    assert [(await ask_as("one")).status_code for _ in range(2)] == [200, 429]


async def test_a_refused_request_does_not_use_the_quota_up(sim, ask_as):
    await sim.set_limits("groq", [limit("requests", 1)])
    assert [(await ask_as("one")).status_code for _ in range(5)] == [200, 429, 429, 429, 429]
    await sim.advance(60)
    assert (await ask_as("one")).status_code == 200


async def test_two_keys_of_one_account_share_and_two_accounts_do_not(sim, ask_as):
    await sim.set_limits("groq", [limit("requests", 1)])
    assert (await ask_as("acctA_first")).status_code == 200
    assert (await ask_as("acctA_second")).status_code == 429
    assert (await ask_as("acctB_first")).status_code == 200
    assert (await ask_as("keyed")).status_code == 200


async def test_a_limit_per_model_leaves_other_models_alone_and_one_per_account_does_not(sim, ask_as):
    await sim.set_limits("groq", [limit("requests", 1, scope="model")])
    assert (await ask_as("one", model="qwen/qwen3.8-27b")).status_code == 200
    assert (await ask_as("one", model="openai/gpt-oss-20b")).status_code == 200
    assert (await ask_as("one", model="qwen/qwen3.8-27b")).status_code == 429
    await sim.set_limits("groq", [limit("requests", 2, scope="account")])
    assert (await ask_as("one", model="openai/gpt-oss-120b")).status_code == 429


async def test_a_limit_may_name_its_models(sim, ask_as):
    await sim.set_limits("groq", [limit("requests", 0, models=["openai/gpt-oss-20b"])])
    assert (await ask_as("one", model="openai/gpt-oss-20b")).status_code == 429
    assert (await ask_as("one", model="qwen/qwen3.8-27b")).status_code == 200


async def test_new_limits_count_what_has_already_arrived(sim, ask_as):
    await sim.set_limits("groq", None)
    for _ in range(3):
        assert (await ask_as("one")).status_code == 200
    await sim.set_limits("groq", [limit("requests", 4, "day")])
    assert [(await ask_as("one")).status_code for _ in range(2)] == [200, 429]


async def test_concurrency_is_what_is_inside_at_one_moment(sim, ask_as):
    await sim.set_limits("groq", [limit("concurrency", 3)])
    await sim.set_latency("groq", first_token_ms=150)
    replies = await asyncio.gather(*(ask_as("one") for _ in range(8)))
    assert Counter(reply.status_code for reply in replies) == {200: 3, 429: 5}
    assert (await sim.state("groq"))["max_in_flight"] == 3
    assert (await ask_as("one")).status_code == 200


@pytest.mark.parametrize(
    ("limits", "text", "expected"),
    [
        ([limit("requests", 1)], "say: x", (60, "requests per minute (RPM): Limit 1, Used 1, Requested 1")),
        ([limit("requests", 1, "day")], "say: x", (86_400, "requests per day (RPD): Limit 1, Used 1")),
        ([limit("tokens", 30)], "tokens: 20", (60, "tokens per minute (TPM): Limit 30, Used 26, Requested 26")),
        ([limit("requests", 1), limit("tokens", 7, "day")], "say: x", (86_400, "tokens per day (TPD)")),
    ],
)
async def test_a_429_names_the_limit_and_when_to_come_back(sim, ask_as, limits, text, expected):
    seconds, words = expected
    await sim.set_limits("groq", limits)
    await ask_as("one", text)
    reply = await ask_as("one", text)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (429, "rate_limit_exceeded")
    assert words in error["message"]
    assert seconds - 5 <= int(reply.headers["retry-after"]) <= seconds


async def test_what_can_never_fit_is_too_large_rather_than_too_early(sim, ask_as, ask):
    await sim.set_limits("groq", [limit("tokens", 30)])
    reply = await ask_as("one", "tokens: 100")
    assert (reply.status_code, reply.json()["error"]["type"]) == (413, "tokens")
    assert "retry-after" not in reply.headers
    await sim.set_limits("openai", [limit("tokens", 30)])
    assert (await ask("openai", "tokens: 100")).status_code == 429


async def test_published_quotas_are_in_force_without_a_word(ask_as):
    replies = await asyncio.gather(*(ask_as("one") for _ in range(40)))
    assert Counter(reply.status_code for reply in replies) == {200: 30, 429: 10}


async def test_headers_show_what_is_left(sim, ask):
    await sim.set_limits("openai", [limit("requests", 3), limit("tokens", 50)])
    left = []
    for _ in range(3):
        headers = (await ask("openai", "tokens: 10")).headers
        left.append((headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-remaining-tokens"]))
    assert left == [("2", "34"), ("1", "18"), ("0", "2")]
    await sim.set_limits("openai", None)
    assert "x-ratelimit-limit-requests" not in (await ask("openai")).headers


async def test_embeddings_count_too(sim, http):
    await sim.set_limits("openai", [limit("requests", 1)])
    sent = {"model": "text-embedding-3-small", "input": "x"}
    headers = {"authorization": "Bearer sk-one"}
    replies = [await http.post("/openai/v1/embeddings", json=sent, headers=headers) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 429]
