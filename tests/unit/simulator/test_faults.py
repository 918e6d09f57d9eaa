"""Every fault breaks an answer the way it says, counts as an arrival, and stops when told to."""

import asyncio
import json
from collections import Counter

import httpx
import pytest

VENDORS = ["openai", "groq", "gemini", "ollama"]
WORDS = "tokens: 20"


@pytest.fixture
def stream(http):
    """Stream an answer of any vendor; give what came and how it broke."""

    async def read(vendor: str, text: str = WORDS, timeout: float = 5):
        bodies = {
            "gemini": {"contents": [{"role": "user", "parts": [{"text": text}]}]},
            "ollama": {"model": "llama3.1:8b", "messages": [{"role": "user", "content": text}]},
            "openai": {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": text}]},
            "groq": {"model": "qwen/qwen3.8-27b", "stream": True, "messages": [{"role": "user", "content": text}]},
        }
        paths = {
            "gemini": "/gemini/v1beta/models/gemini-2.5-flash-lite:streamGenerateContent?alt=sse",
            "ollama": "/ollama/api/chat",
            "openai": "/openai/v1/chat/completions",
            "groq": "/groq/openai/v1/chat/completions",
        }
        keys = {
            "gemini": {"x-goog-api-key": "AIzaTest"},
            "openai": {"authorization": "Bearer sk-test-0002"},
            "groq": {"authorization": "Bearer gsk_test"},
            "ollama": {},
        }
        got = []
        try:
            options = {"json": bodies[vendor], "headers": keys[vendor], "timeout": timeout}
            async with http.stream("POST", paths[vendor], **options) as response:
                async for chunk in response.aiter_text():
                    got.append(chunk)  # noqa: PERF401 - what came before a break must not be lost
        except httpx.HTTPError as error:
            return "".join(got), error
        return "".join(got), None

    return read


def payloads(text: str) -> list[str]:
    """Return the JSON texts of events or lines, without the end mark."""
    texts = [line.removeprefix("data: ").strip() for line in text.splitlines() if line.strip()]
    return [text for text in texts if text not in ("[DONE]", "event: error")]


def words(text: str) -> int:
    """Count the pieces of text in the intact part of a stream."""
    found = 0
    for payload in payloads(text):
        chunk = json.loads(payload)
        if "choices" in chunk:
            found += sum(bool(choice["delta"].get("content")) for choice in chunk["choices"])
        elif "candidates" in chunk:
            found += bool(chunk["candidates"][0]["content"]["parts"][0]["text"])
        else:
            found += bool(chunk.get("message", {}).get("content"))
    return found


def is_finished(text: str) -> bool:
    return any(mark in text for mark in ('"finish_reason":"stop"', '"finishReason":"STOP"', '"done":true'))


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", [500, 503, 429, 401])
async def test_a_status_fault_answers_in_the_vendors_own_words(sim, ask, vendor, status):
    await sim.set_faults(vendor, [{"kind": "status", "status": status}])
    reply = await ask(vendor, WORDS)
    assert reply.status_code == status
    assert reply.json()["error"]
    state = await sim.state(vendor)
    assert (state["arrivals"], state["faulted"], state["tokens_in"], state["tokens_out"]) == (1, 1, 0, 0)


async def test_a_status_fault_may_bring_its_own_body_and_headers(sim, ask):
    fault = {"kind": "status", "status": 429, "body": {"error": {"code": "x"}}, "headers": {"retry-after": "7"}}
    await sim.set_faults("openai", [fault])
    reply = await ask("openai")
    assert (reply.json(), reply.headers["retry-after"]) == ({"error": {"code": "x"}}, "7")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("after", [0, 7, 20, 99])
async def test_a_cut_closes_the_connection_after_so_many_tokens(sim, stream, vendor, after):
    await sim.set_faults(vendor, [{"kind": "cut", "after_tokens": after}])
    text, error = await stream(vendor)
    assert isinstance(error, httpx.RemoteProtocolError)
    assert words(text) == min(after, 20)
    assert not is_finished(text)
    assert (await sim.state(vendor))["tokens_out"] == min(after, 20)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_end_is_a_clean_close_without_a_finish(sim, stream, vendor):
    await sim.set_faults(vendor, [{"kind": "end", "after_tokens": 5}])
    text, error = await stream(vendor)
    assert error is None
    assert (words(text), is_finished(text), "[DONE]" in text) == (5, False, False)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_stall_is_silence_on_an_open_connection(sim, stream, vendor):
    await sim.set_faults(vendor, [{"kind": "stall", "after_tokens": 5}])
    text, error = await stream(vendor, timeout=0.6)
    assert isinstance(error, httpx.ReadTimeout)
    assert words(text) == 5


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_hang_accepts_and_says_nothing(sim, stream, vendor):
    await sim.set_faults(vendor, [{"kind": "hang"}])
    text, error = await stream(vendor, timeout=0.6)
    assert isinstance(error, httpx.ReadTimeout)
    assert text == ""
    assert (await sim.state(vendor))["arrivals"] == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_malformed_piece_is_framed_well_and_written_badly(sim, stream, vendor):
    await sim.set_faults(vendor, [{"kind": "malformed", "after_tokens": 5}])
    text, error = await stream(vendor)
    assert error is None
    broken = [payload for payload in payloads(text) if not is_json(payload)]
    assert len(broken) == 1
    assert is_finished(text)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_error_in_the_stream_is_the_vendors_object_after_a_200(sim, stream, vendor):
    await sim.set_faults(vendor, [{"kind": "error_in_stream", "after_tokens": 5, "status": 503}])
    text, error = await stream(vendor)
    assert error is None
    assert "error" in json.loads(payloads(text)[-1])
    assert not is_finished(text)
    assert ("event: error\n" in text) is (vendor == "groq")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_refuse_resets_the_connection_at_once(sim, stream, ask, vendor):
    await sim.set_faults(vendor, [{"kind": "refuse"}])
    text, error = await stream(vendor)
    assert (text, isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)) == ("", True)
    state = await sim.state(vendor)
    assert (state["arrivals"], state["in_flight"], state["tokens_in"]) == (1, 0, 0)


async def test_a_slow_first_token_comes_late_and_then_all_is_well(sim, ask):
    await sim.set_faults("openai", [{"kind": "slow_first_token", "seconds": 0.3}])
    began = asyncio.get_running_loop().time()
    assert (await ask("openai", WORDS)).status_code == 200
    assert asyncio.get_running_loop().time() - began >= 0.3


@pytest.mark.parametrize("vendor", VENDORS)
async def test_whole_answers_break_too(sim, ask, vendor):
    await sim.set_faults(vendor, [{"kind": "cut", "after_tokens": 5}])
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(vendor, WORDS)
    for kind in ("end", "malformed"):
        await sim.set_faults(vendor, [{"kind": kind, "after_tokens": 5}])
        reply = await ask(vendor, WORDS)
        assert reply.status_code == 200
        assert not is_json(reply.text)
    await sim.set_faults(vendor, [{"kind": "error_in_stream"}])
    assert "error" in (await ask(vendor, WORDS)).json()


async def test_a_fault_with_times_clears_itself(sim, ask):
    await sim.set_faults("openai", [{"kind": "status", "status": 500, "times": 2}])
    assert [(await ask("openai")).status_code for _ in range(4)] == [500, 500, 200, 200]
    assert (await sim.state("openai"))["faults"] == []


async def test_faults_follow_one_another(sim, ask):
    await sim.set_faults(
        "openai", [{"kind": "status", "status": 500, "times": 1}, {"kind": "status", "status": 503, "times": 1}]
    )
    assert [(await ask("openai")).status_code for _ in range(3)] == [500, 503, 200]


async def test_a_fault_may_strike_one_model_only(sim, ask):
    await sim.set_faults("openai", [{"kind": "status", "status": 500, "model": "gpt-4o-mini"}])
    assert (await ask("openai")).status_code == 200
    assert (await ask("openai", model="gpt-4o-mini")).status_code == 500


async def test_a_probability_strikes_about_that_often(sim, ask):
    await sim.set_limits("openai", None)
    await sim.set_faults("openai", [{"kind": "status", "status": 500, "probability": 0.3}])
    found = Counter([(await ask("openai", "say: x")).status_code for _ in range(200)])
    assert 35 <= found[500] <= 85


async def test_model_lists_fail_only_when_the_fault_says_so(sim, ask, http):
    headers = {"authorization": "Bearer sk-test"}
    await sim.set_faults("openai", [{"kind": "status", "status": 500}])
    assert (await http.get("/openai/v1/models", headers=headers)).status_code == 200
    await sim.set_faults("openai", [{"kind": "status", "status": 500, "operation": "any"}])
    assert (await http.get("/openai/v1/models", headers=headers)).status_code == 500
    assert (await ask("openai")).status_code == 500


async def test_faulted_requests_use_the_quota(sim, ask):
    await sim.set_limits("openai", [{"unit": "requests", "amount": 2}, {"unit": "tokens", "amount": 100}])
    await sim.set_faults("openai", [{"kind": "status", "status": 503, "times": 2}])
    replies = [await ask("openai", WORDS) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503, 503, 429]
    assert replies[-1].headers["x-ratelimit-remaining-tokens"] == "100"


async def test_what_a_cut_answer_did_not_send_is_given_back_to_the_token_quota(sim, stream, ask):
    await sim.set_limits("openai", [{"unit": "tokens", "amount": 100}])
    await sim.set_faults("openai", [{"kind": "cut", "after_tokens": 4, "times": 1}])
    await stream("openai")
    assert (await ask("openai", "say: x")).headers["x-ratelimit-remaining-tokens"] == str(100 - (6 + 4) - (5 + 1))


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_fault_may_say_what_the_vendor_would(sim, ask, stream, vendor):
    await sim.set_faults(vendor, [{"kind": "status", "says": "overloaded"}])
    reply = await ask(vendor)
    status = 498 if vendor == "groq" else 503
    assert (reply.status_code, bool(reply.json()["error"])) == (status, True)
    assert (await sim.arrivals(vendor))[-1]["status"] == status
    await sim.set_faults(vendor, [{"kind": "error_in_stream", "says": "limited", "after_tokens": 3}])
    text, _ = await stream(vendor)
    assert (words(text), is_finished(text)) == (3, False)
    assert json.loads(payloads(text)[-1])["error"]


@pytest.mark.parametrize(
    "ending",
    [
        ("openai", "filter", "content_filter"),
        ("gemini", "filter", "SAFETY"),
        ("gemini", "abort", "OTHER"),
        ("ollama", "abort", "stop"),
    ],
)
async def test_an_answer_may_end_early_for_the_vendors_own_reason(sim, ask, stream, ending):
    vendor, finish, word = ending
    await sim.set_faults(vendor, [{"kind": "finish", "finish": finish, "after_tokens": 4}])
    assert word in (await ask(vendor, WORDS)).text
    text, error = await stream(vendor)
    assert (error, words(text)) == (None, 4)
    assert f'"{word}"' in text
