"""Every fault a vendor can show, end to end through gRPC and HTTP, streams that are `fast` and such that are `whole`.

All of them strike at once, each at a model of its own: what is told here takes a few seconds (`make test`, scaled) or a
minute (`make faults`, at the scale of real life).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from fixtures.faulty_mesh import (
    FIRST_TOKEN,
    HEALTHY,
    IDLE,
    LARGER,
    SCALE,
    WAYS,
    WORDS,
    Outcome,
    ask,
    config,
    model_of,
)
from fixtures.mesh_callers import Callers, at_ease, calling
from fixtures.sandbox_mesh import SandboxMesh, sandbox_mesh
from llmmesh.router.v1 import router_pb2

pytestmark = [pytest.mark.timeout(600), pytest.mark.parametrize(("door", "guarantee"), WAYS)]

DEAD = {"kind": "status", "status": 502}
NO_PREFILL = {
    "error": {
        "type": "invalid_request_error",
        "message": "This model does not support assistant message prefill.",
        "code": None,
        "param": None,
    }
}
# What strikes at each model: the faults of the simulator.
FAULTS: dict[str, list[dict[str, Any]]] = {
    "pause": [{"kind": "status", "status": 429, "headers": {"retry-after": "2"}, "times": 1}],
    "throttled": [{"kind": "status", "status": 429, "headers": {"retry-after": "1"}}],
    "once": [{"kind": "status", "status": 500, "times": 1}],
    "reset": [{"kind": "refuse", "times": 1}],
    "forever": [{"kind": "status", "status": 503}],
    "never": [{"kind": "hang"}],
    "headers": [{"kind": "stall", "after_tokens": 0}],
    "cut": [{"kind": "cut", "after_tokens": 40}],
    "stall": [{"kind": "stall", "after_tokens": 30}],
    "malformed": [{"kind": "malformed", "after_tokens": 20, "times": 1}],
    "endless": [{"kind": "end", "after_tokens": 40}],
    "context": [{"kind": "status", "says": "context"}],
    "filter": [{"kind": "status", "says": "filtered"}],
    "error": [{"kind": "error_in_stream", "status": 500, "after_tokens": 0}],
    "prefill": [DEAD],
    "no_prefill": [{"kind": "status", "status": 400, "body": NO_PREFILL}],
}
OTHERS = {
    **{case: [HEALTHY] for case in FAULTS if case != "no_prefill"},
    "context": ["openai/as_small_{}", LARGER],
    "prefill": ["openai/no_prefill_{}", HEALTHY],
}
# Faults after which pieces are out: `fast` ends with an error, `whole` with another's answer.
IN_THE_MIDDLE = {
    "cut": "VENDOR_INCOMPLETE",
    "stall": "VENDOR_SILENT",
    "malformed": "VENDOR_SERVER",
    "endless": "VENDOR_INCOMPLETE",
}
STRUCK = "say: " + WORDS


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    told = config(OTHERS, vendors=["kimi:paid", "xai:paid", "deepinfra:paid"])
    for door, guarantee in WAYS:
        told["use_cases"][model_of("drip", door, guarantee)] = {
            "default_tier": "premium",
            "candidates": {"premium": ["deepinfra/Qwen/Qwen3-Next-80B-A3B-Instruct", HEALTHY]},
            "stream_guarantee": guarantee,
        }
    with sandbox_mesh(tmp_path_factory.mktemp("faulty"), told) as mesh:
        yield mesh


Story = dict[tuple[str, str, str], list[Outcome]]


@pytest.fixture(scope="module")
def story(faulty: SandboxMesh) -> Story:
    """Let every fault strike, and tell what the callers got, by case, door and guarantee."""
    return asyncio.run(told(faulty))


async def told(mesh: SandboxMesh) -> Story:
    async with calling(mesh) as callers:
        await at_ease(callers)
        await callers.simulator.set_faults(
            "openai",
            [
                fault | {"model": model_of(case, *way)}
                for case, faults in FAULTS.items()
                for fault in faults
                for way in WAYS
            ],
        )
        await callers.simulator.set_latency("deepinfra", 0, 1_000 * SCALE)
        # So many faults would open the breaker of an endpoint; what they do is told in test_outages.py.
        for subject in ("openai", "deepinfra", "groq", HEALTHY, "xai", LARGER):
            forced = router_pb2.SetBreakerRequest(subject=subject, mode=router_pb2.BREAKER_MODE_CLOSED)
            await callers.router.SetBreaker(forced, timeout=10)
        cases = [(case, *way) for case in [*OTHERS, "drip"] for way in WAYS]
        outcomes = await asyncio.gather(*(case_told(callers, place, *case) for place, case in enumerate(cases)))
        await callers.settled(20.0)
    return dict(zip(cases, outcomes, strict=True))


async def case_told(callers: Callers, place: int, case: str, door: str, guarantee: str) -> list[Outcome]:
    await asyncio.sleep(place * 0.05)  # all at once would be a fault of another kind
    use_case, outcomes = model_of(case, door, guarantee), []
    begun = "Once upon a time" if case == "prefill" else ""
    if case == "pause":
        outcomes += [await ask(callers, use_case, door)]
        while (outcome := await ask(callers, use_case, door)).vendor != "openai":
            outcomes.append(outcome)
            await asyncio.sleep(0.2)
        return [*outcomes, outcome]
    for number in range(15 if case == "throttled" else 3 if case == "forever" else 1):
        if number:
            await asyncio.sleep(2 * SCALE if case == "throttled" else 0)
        outcomes.append(await ask(callers, use_case, door, begun=begun))
    return outcomes


@pytest.fixture
async def callers(faulty: SandboxMesh) -> AsyncIterator[Callers]:
    async with calling(faulty) as ways:
        yield ways


async def calls(callers: Callers, case: str, door: str, guarantee: str) -> list[float]:
    """Return when requests arrived for the model of a case."""
    name = model_of(case, door, guarantee)
    return [
        arrival["received_at"] for arrival in await callers.simulator.arrivals("openai") if arrival["model"] == name
    ]


def one(story: Story, *case: str) -> Outcome:
    (outcome,) = story[case]  # type: ignore[index]
    return outcome


def complete(outcome: Outcome, vendor: str = "groq") -> bool:
    return (outcome.text, outcome.reason, outcome.vendor) == (WORDS, "", vendor)


async def test_a_pause_asked_for_is_kept_and_another_serves_meanwhile(story, callers, door, guarantee):
    outcomes = story["pause", door, guarantee]
    assert outcomes[0].tried == ["VENDOR_THROTTLED", ""]
    assert all(complete(outcome) for outcome in outcomes[:-1])
    assert complete(outcomes[-1], "openai")
    first, again = await calls(callers, "pause", door, guarantee)
    assert again - first > 1.9


async def test_who_throttles_on_and_on_is_called_once_for_each_pause(story, callers, door, guarantee):
    assert all(complete(outcome) for outcome in story["throttled", door, guarantee])
    arrived = await calls(callers, "throttled", door, guarantee)
    assert all(later - sooner > 0.9 for sooner, later in pairwise(arrived))
    assert len(arrived) >= 2 or SCALE < 0.1


@pytest.mark.parametrize("case", ["once", "reset"])
async def test_a_hiccup_is_tried_once_more_at_the_same_offer(story, callers, door, guarantee, case):
    outcome = one(story, case, door, guarantee)
    assert complete(outcome, "openai")
    assert outcome.tried == ["VENDOR_SERVER" if case == "once" else "VENDOR_INCOMPLETE", ""]
    assert len(await calls(callers, case, door, guarantee)) == 2


async def test_who_is_overloaded_for_ever_is_called_once_by_each_request(story, callers, door, guarantee):
    outcomes = story["forever", door, guarantee]
    assert all(complete(outcome) for outcome in outcomes)
    assert [outcome.tried for outcome in outcomes] == [["VENDOR_OVERLOAD", ""]] * 3
    assert len(await calls(callers, "forever", door, guarantee)) == 3


@pytest.mark.parametrize("case", ["never", "headers"])
async def test_who_never_says_a_word_is_waited_for_once(story, callers, door, guarantee, case):
    outcome = one(story, case, door, guarantee)
    assert complete(outcome)
    assert outcome.tried == ["VENDOR_SILENT", ""]
    assert len(await calls(callers, case, door, guarantee)) == 1
    assert FIRST_TOKEN * 0.95 < outcome.seconds < FIRST_TOKEN * 5


@pytest.mark.parametrize("case", IN_THE_MIDDLE)
async def test_what_breaks_in_the_middle_is_an_error_if_fast_and_repaired_unseen_if_whole(
    story, callers, door, guarantee, case
):
    outcome = one(story, case, door, guarantee)
    assert outcome.tried[0] == IN_THE_MIDDLE[case]
    assert len(await calls(callers, case, door, guarantee)) == 1
    if guarantee == "whole":
        assert complete(outcome)
        return
    assert outcome.reason == "STREAM_INCOMPLETE"
    assert len(outcome.tried) == 1
    assert WORDS.startswith(outcome.text.strip())
    assert outcome.text != WORDS


async def test_a_stall_is_waited_for_once(story, door, guarantee):
    assert IDLE * 0.95 < one(story, "stall", door, guarantee).seconds < IDLE * 5


async def test_a_stream_that_drips_is_broken_off(story, door, guarantee):
    outcome = one(story, "drip", door, guarantee)
    assert outcome.tried[0] == "VENDOR_SILENT"
    assert complete(outcome) if guarantee == "whole" else outcome.reason == "STREAM_INCOMPLETE"


async def test_an_error_in_the_place_of_the_first_piece_goes_unseen(story, callers, door, guarantee):
    outcome = one(story, "error", door, guarantee)
    assert complete(outcome)
    assert outcome.tried == ["VENDOR_SERVER", ""]


async def test_a_prompt_too_long_goes_only_where_there_is_more_room(story, callers, door, guarantee):
    outcome = one(story, "context", door, guarantee)
    assert complete(outcome, "xai")
    assert outcome.tried == ["VENDOR_CONTEXT", ""]
    assert len(await calls(callers, "context", door, guarantee)) == 1
    assert await calls(callers, "as_small", door, guarantee) == []


async def test_what_a_vendor_filters_is_not_taken_to_another_and_the_caller_gets_its_reason(
    story, callers, door, guarantee
):
    outcome = one(story, "filter", door, guarantee)
    assert (outcome.reason, outcome.tried) == ("VENDOR_CONTENT_FILTER", ["VENDOR_CONTENT_FILTER"])
    assert outcome.message
    assert len(await calls(callers, "filter", door, guarantee)) == 1


async def test_who_will_not_carry_on_an_answer_is_passed_over(story, callers, door, guarantee):
    outcome = one(story, "prefill", door, guarantee)
    assert complete(outcome)
    assert outcome.tried == ["VENDOR_SERVER", "VENDOR_UNSUPPORTED", ""]
    assert len(await calls(callers, "no_prefill", door, guarantee)) == 1


async def test_the_answer_of_another_is_counted_once_and_under_its_own_name(story, callers, door, guarantee):
    use_case = model_of("never", door, guarantee)
    outcome = one(story, "never", door, guarantee)
    served = (await callers.spend("use_case", "vendor", "outcome"))[use_case, "groq", "served"]
    assert (served.attempts, served.requests, served.output_tokens) == (1, 1, outcome.output_tokens)
    assert outcome.attempts[-1] == (HEALTHY, "")
