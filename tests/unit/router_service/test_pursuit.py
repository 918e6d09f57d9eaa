"""One request, from the caller's call to the last settle, over real sockets between scripted fakes."""

import asyncio
import time

import pytest
from fixtures import fake_quota
from fixtures.fake_provider import Behaviour, answers, breaks, ends_without_finish, fails, hangs
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, price, use_case, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason
from meshkit.server import GrpcServer
from router_service import pursuit
from router_service.breaker import Settings

FAST = router_pb2.STREAM_GUARANTEE_FAST
WHOLE = router_pb2.STREAM_GUARANTEE_WHOLE
RESTART = router_pb2.STREAM_GUARANTEE_RESTART
TWO = catalog(vendor("alpha", model("one")), vendor("beta", model("two")))
FIRST, SECOND = "alpha/one#1", "beta/two#1"


@pytest.fixture
async def two():
    async with house(TWO) as running:
        yield running


def script(running: House, vendor: str, *behaviours: Behaviour) -> None:
    running.provider(vendor).script.extend(behaviours)


def outcomes(route: router_pb2.Route) -> list[tuple[str, str, str]]:
    return [(attempt.offer, attempt.outcome, attempt.reason) for attempt in route.attempts]


async def test_the_first_choice_serves_and_its_real_usage_is_settled(two):
    response = await two.generate()
    assert response.completion.choices[0].parts[0].text.text == "Hello, world"
    assert (response.route.offer, response.route.fallback_used, response.route.primary_error) == (FIRST, False, "")
    assert await two.settled() == {"local/" + response.route.request_id + "/test/1": "served"}
    (settle,) = two.quota.settles.values()
    assert settle.amounts == quota_pb2.Amounts(requests=1, input_tokens=100, output_tokens=20, cost_nanos=120_000)
    assert response.completion.usage.cost_nanos == response.route.total_cost_nanos == 120_000


async def test_a_stream_is_one_start_its_deltas_and_one_finish(two):
    told = await two.stream()
    assert (told.starts, told.texts) == ([FIRST], ["Hello", ", ", "world"])
    assert told.finish.usage.output_tokens == 20
    assert told.finish.choices[0].reason == chat_pb2.FINISH_REASON_STOP
    assert told.finish.route.attempts[0].HasField("first_token")
    assert set((await two.settled()).values()) == {"served"}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "reason",
    [
        Reason.VENDOR_SERVER,
        Reason.VENDOR_OVERLOAD,
        Reason.VENDOR_THROTTLED,
        Reason.VENDOR_QUOTA,
        Reason.VENDOR_AUTH,
        Reason.VENDOR_NOT_FOUND,
        Reason.VENDOR_UNREACHABLE,
    ],
)
async def test_when_the_first_fails_before_content_the_next_serves_in_silence(two, reason, whole):
    script(two, "alpha", fails(reason))
    if whole:
        route = (await two.generate()).route
    else:
        told = await two.stream()
        assert (told.starts, told.text, told.error) == ([SECOND], "Hello, world", None)
        route = told.finish.route
    assert (route.offer, route.fallback_used) == (SECOND, True)
    assert route.primary_error == f"{reason}: scripted {reason}"
    assert outcomes(route) == [(FIRST, "failed", reason.value), (SECOND, "served", "")]


async def test_the_reserve_for_the_next_offer_carries_the_failed_attempt(two):
    script(two, "alpha", fails(Reason.VENDOR_SERVER))
    route = (await two.generate()).route
    first, second = two.quota.reserves
    assert not first.HasField("instead_of")
    assert second.instead_of.attempt_id == first.attempt_id
    assert second.instead_of.outcome == quota_pb2.OUTCOME_FAILED
    assert second.instead_of.amounts == quota_pb2.Amounts(requests=1)
    assert [offer.offer for offer in second.offers] == [SECOND]
    assert await two.settled() == {first.attempt_id: "failed", second.attempt_id: "served"}
    assert [operation.attempt_id for operation in two.quota.operations("settle")] == [second.attempt_id]
    assert route.total_cost_nanos == 120_000


async def test_empty_pieces_are_no_content_and_commit_nothing(two):
    script(two, "alpha", breaks("", ""))
    told = await two.stream()
    assert (told.starts, told.text) == ([SECOND], "Hello, world")


async def test_a_fast_stream_that_breaks_after_content_ends_with_its_route_and_partial_usage(two):
    script(two, "alpha", breaks("a" * 32))
    told = await two.stream(stream_guarantee=FAST)
    assert (told.starts, told.text, told.finish) == ([FIRST], "a" * 32, None)
    assert (told.error.reason, told.error.code) == (Reason.STREAM_INCOMPLETE, "UNAVAILABLE")
    assert outcomes(told.failure.route) == [(FIRST, "unknown", "VENDOR_INCOMPLETE")]
    assert told.failure.partial_usage.output_tokens == 10
    assert told.failure.partial_usage.estimated
    assert two.provider("beta").calls == []
    ((attempt, state),) = (await two.settled()).items()
    assert state == "unknown"
    amounts = two.quota.settles[attempt].amounts
    assert (amounts.requests, amounts.output_tokens) == (1, 10)
    assert amounts.input_tokens == two.quota.reserves[0].offers[0].input_tokens


async def test_a_whole_stream_that_breaks_after_content_is_served_whole_by_the_next(two):
    script(two, "alpha", breaks("lost"))
    told = await two.stream(stream_guarantee=WHOLE)
    assert (told.starts, told.texts, told.error) == ([SECOND], ["Hello", ", ", "world"], None)
    assert told.finish.route.fallback_used
    assert told.finish.route.total_cost_nanos > told.finish.usage.cost_nanos


async def test_a_restarted_stream_voids_what_came_before_by_a_second_start(two):
    script(two, "alpha", breaks("lost"))
    told = await two.stream(stream_guarantee=RESTART)
    assert (told.starts, told.texts) == ([FIRST, SECOND], ["lost", "Hello", ", ", "world"])
    assert told.finish.route.offer == SECOND


async def test_a_restarted_stream_that_nobody_finishes_is_incomplete_even_if_the_last_said_nothing(two):
    script(two, "alpha", breaks("lost" * 8))
    script(two, "beta", fails(Reason.VENDOR_SERVER))
    told = await two.stream(stream_guarantee=RESTART)
    assert told.error.reason is Reason.STREAM_INCOMPLETE
    assert told.failure.partial_usage.output_tokens == 10
    assert len(told.failure.route.attempts) == 2


async def test_a_restart_without_budget_left_is_incomplete(two):
    two.quota.room[SECOND] = 0
    script(two, "alpha", breaks("lost"))
    told = await two.stream(stream_guarantee=RESTART)
    assert told.error.reason is Reason.STREAM_INCOMPLETE


async def test_a_stream_without_its_finish_is_incomplete_never_a_success(two):
    script(two, "alpha", ends_without_finish("all there is"))
    told = await two.stream()
    assert told.error.reason is Reason.STREAM_INCOMPLETE
    assert outcomes(told.failure.route) == [(FIRST, "unknown", "VENDOR_INCOMPLETE")]


async def test_an_empty_stream_is_a_failure_and_the_next_serves(two):
    script(two, "alpha", ends_without_finish())
    assert (await two.stream()).starts == [SECOND]


async def test_nothing_counts_after_the_finish(two):
    script(two, "alpha", answers("done", after=("more",)))
    told = await two.stream()
    assert (told.text, told.error) == ("done", None)


async def test_a_break_after_the_finish_changes_nothing(two):
    script(two, "alpha", Behaviour(pieces=("done",), late=fails(Reason.VENDOR_SERVER).fault))
    told = await two.stream(stream_guarantee=RESTART)
    assert (told.starts, told.text, told.error) == ([FIRST], "done", None)
    assert set((await two.settled()).values()) == {"served"}


async def test_a_caller_that_goes_away_cancels_the_provider_and_pays_what_was_received(two):
    script(two, "alpha", hangs("a" * 32, deaf=True))
    call = two.stream_call()
    events = aiter(call)
    await anext(events)
    await anext(events)
    left = time.monotonic()
    call.cancel()
    provider = two.provider("alpha").calls[0]
    await eventually(lambda: provider.cancelled is not None)
    assert provider.cancelled - left < 0.2
    ((attempt, state),) = (await two.settled()).items()
    assert state == "cancelled"
    settle = two.quota.settles[attempt]
    assert settle.amounts.requests == 1
    assert settle.amounts.input_tokens == two.quota.reserves[0].offers[0].input_tokens
    assert settle.amounts.output_tokens == 10


async def test_a_caller_that_goes_away_from_a_whole_answer_pays_the_estimated_prompt(two):
    script(two, "alpha", hangs(deaf=True))
    call = two.stub.Generate(router_pb2.GenerateRequest(prompt=PROMPT))
    await eventually(lambda: two.provider("alpha").calls)
    call.cancel()
    await eventually(lambda: two.provider("alpha").calls[0].cancelled)
    assert set((await two.settled()).values()) == {"cancelled"}
    (settle,) = two.quota.settles.values()
    assert (settle.amounts.output_tokens, settle.amounts.input_tokens > 0) == (0, True)


async def test_a_caller_that_goes_away_after_the_finish_was_served(two):
    call = two.stream_call()
    async for event in call:
        if event.HasField("finish"):
            call.cancel()
            break
    assert set((await two.settled()).values()) == {"served"}


MANY = catalog(*(vendor(f"v{number:02}", model("m")) for number in range(10)))


async def test_offers_are_asked_for_eight_at_a_time_and_then_the_next():
    async with house(MANY) as running:
        running.quota.room = {f"v{number:02}/m#1": 0 for number in range(9)}
        route = (await running.generate()).route
    assert [len(reserve.offers) for reserve in running.quota.reserves] == [8, 2]
    assert (route.offer, route.fallback_used, route.skipped["budget"]) == ("v09/m#1", True, 9)
    assert route.primary_error == "v00/m#1/requests/day has 0 of 10 requests left"


async def test_after_a_fallback_the_offers_behind_it_are_still_there():
    async with house(MANY) as running:
        for number in range(9):
            script(running, f"v{number:02}", fails(Reason.VENDOR_SERVER))
        route = (await running.generate()).route
    assert route.offer == "v09/m#1"
    assert [attempt.outcome for attempt in route.attempts] == ["failed"] * 9 + ["served"]


async def test_when_no_budget_has_room_every_denial_is_named_and_nothing_is_sent(two):
    two.quota.room = {FIRST: 0, SECOND: 0}
    error = await two.failure()
    assert (error.reason, error.code, error.retry_after) == (Reason.BUDGET_EXHAUSTED, "RESOURCE_EXHAUSTED", 30)
    assert [violation.subject for violation in error.quota] == [f"{FIRST}/requests/day", f"{SECOND}/requests/day"]
    assert not two.provider("alpha").calls


@pytest.mark.parametrize("reason", [Reason.VENDOR_BAD_REQUEST, Reason.VENDOR_CONTENT_FILTER])
async def test_what_would_be_no_better_elsewhere_is_not_tried_elsewhere(two, reason):
    script(two, "alpha", fails(reason))
    error = await two.failure()
    assert (error.reason, error.code) == (reason, "INVALID_ARGUMENT")
    assert two.provider("beta").calls == []
    assert set((await two.settled()).values()) == {"failed"}


async def test_what_one_vendor_cannot_do_the_next_may(two):
    script(two, "alpha", fails(Reason.VENDOR_UNSUPPORTED))
    route = (await two.generate()).route
    assert (route.vendor, route.fallback_used) == ("beta", True)


async def test_what_no_vendor_can_do_is_the_callers_error(two):
    script(two, "alpha", fails(Reason.VENDOR_UNSUPPORTED))
    script(two, "beta", fails(Reason.VENDOR_UNSUPPORTED))
    error = await two.failure()
    assert (error.reason, error.code) == (Reason.VENDOR_UNSUPPORTED, "INVALID_ARGUMENT")


CONTEXTS = catalog(
    vendor("alpha", model("middle", context_window=8_000)),
    vendor("beta", model("small", context_window=4_000)),
    vendor("gamma", model("same", context_window=8_000)),
    vendor("delta", model("large", context_window=32_000)),
)


async def test_a_prompt_that_is_too_long_goes_only_to_larger_contexts():
    async with house(CONTEXTS) as running:
        script(running, "alpha", fails(Reason.VENDOR_CONTEXT))
        route = (await running.generate()).route
        assert [attempt.offer for attempt in route.attempts] == ["alpha/middle#1", "delta/large#1"]


async def test_a_prompt_too_long_for_the_largest_is_the_callers_error():
    async with house(CONTEXTS) as running:
        script(running, "alpha", fails(Reason.VENDOR_CONTEXT))
        script(running, "delta", fails(Reason.VENDOR_CONTEXT))
        error = await running.failure()
    assert (error.reason, error.code) == (Reason.VENDOR_CONTEXT, "INVALID_ARGUMENT")


async def test_throttling_closes_the_offer_so_that_the_next_request_passes_it_over(two):
    script(two, "alpha", fails(Reason.VENDOR_THROTTLED, retry_after=12.0))
    await two.generate()
    await eventually(lambda: two.quota.closed)
    (observe,) = two.quota.operations("observe")
    assert (observe.offer, observe.scope, observe.reason) == (FIRST, "model", "throttled")
    assert observe.closed_for.seconds == 12
    route = (await two.generate()).route
    assert outcomes(route) == [(SECOND, "served", "")]
    assert (route.skipped["cooling"], route.primary_error) == (1, f"{FIRST} is cooling")
    assert len(two.provider("alpha").calls) == 1


async def test_when_everyone_throttles_the_caller_learns_the_soonest_moment(two):
    script(two, "alpha", fails(Reason.VENDOR_THROTTLED, retry_after=12.0))
    script(two, "beta", fails(Reason.VENDOR_THROTTLED, retry_after=7.0))
    error = await two.failure()
    assert (error.reason, error.code, error.retry_after) == (Reason.BUDGET_EXHAUSTED, "RESOURCE_EXHAUSTED", 7.0)


async def test_throttling_is_no_breaker_failure(two):
    script(two, "alpha", *(fails(Reason.VENDOR_THROTTLED) for _ in range(6)))
    for _ in range(6):
        await two.generate()
        two.quota.closed.clear()
    assert two.tools.breakers.admits("alpha")


async def test_a_rejected_key_closes_its_slot(two):
    script(two, "alpha", fails(Reason.VENDOR_AUTH))
    assert (await two.generate()).route.offer == SECOND
    await eventually(lambda: two.quota.closed)
    (observe,) = two.quota.operations("observe")
    assert (observe.offer, observe.scope, observe.reason) == (FIRST, "slot", "auth")
    assert two.tools.breakers.admits("alpha")
    route = (await two.generate()).route
    assert route.primary_error == f"the vendor rejected the key of {FIRST}"


async def test_what_a_vendor_says_of_a_quota_reaches_the_ledger_with_the_answer(two):
    said = provider_pb2.Observation(
        scope=provider_pb2.Observation.SCOPE_MODEL,
        unit=provider_pb2.Observation.UNIT_REQUESTS,
        window="day",
        limit=1000,
        remaining=0,
    )
    script(two, "alpha", answers(observations=[said]))
    await two.generate()
    await eventually(lambda: two.quota.operations("observe"))
    (observe,) = two.quota.operations("observe")
    assert (observe.scope, observe.unit, observe.window) == ("model", "requests", "day")
    assert (observe.limit, observe.HasField("remaining"), observe.remaining, observe.reason) == (1000, True, 0, "")


async def test_a_request_id_in_use_is_refused_and_one_served_is_told_its_route(two):
    script(two, "alpha", hangs("begun", deaf=True))
    call = two.stream_call(request_id="r-1")
    await anext(aiter(call))
    error = await two.failure(request_id="r-1")
    assert (error.reason, error.code, error.retry_after) == (Reason.REQUEST_RUNNING, "ABORTED", 1.0)
    call.cancel()
    await two.settled()
    served = await two.generate(request_id="r-1")
    error = await two.failure(request_id="r-1")
    assert (error.reason, error.code) == (Reason.REQUEST_REPEATED, "ALREADY_EXISTS")
    assert error.detail(router_pb2.RouteFailure).route == served.route
    await two.settled()
    assert sorted(two.quota.holds.values()) == ["cancelled", "served"]


async def test_a_failed_request_may_come_back_under_its_id_and_is_a_new_attempt(two):
    two.quota.room[SECOND] = 0
    script(two, "alpha", breaks("partly"))
    assert (await two.stream(request_id="again")).error.reason is Reason.STREAM_INCOMPLETE
    assert (await two.generate(request_id="again")).route.offer == FIRST
    names = [reserve.attempt_id for reserve in two.quota.reserves]
    assert len(names) == len(set(names)) == 2
    assert sorted((await two.settled()).values()) == ["served", "unknown"]


async def test_a_provider_service_that_is_dead_is_passed_by_and_costs_nothing(two):
    await two.stop("alpha")
    route = (await two.generate()).route
    assert outcomes(route) == [(FIRST, "released", "VENDOR_UNREACHABLE"), (SECOND, "served", "")]
    assert two.quota.settles[two.quota.reserves[0].attempt_id].amounts == quota_pb2.Amounts()
    assert sorted((await two.settled()).values()) == ["released", "served"]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_a_provider_service_that_dies_during_a_call_may_have_spent(two, whole):
    script(two, "alpha", hangs(deaf=True))
    asking = asyncio.create_task(two.generate() if whole else two.stream())
    await eventually(lambda: two.provider("alpha").calls)
    await two.stop("alpha")
    told = await asking
    route = told.route if whole else told.finish.route
    assert outcomes(route) == [(FIRST, "unknown", "VENDOR_INCOMPLETE"), (SECOND, "served", "")]
    charged = two.quota.settles[two.quota.reserves[0].attempt_id].amounts
    assert (charged.requests, charged.input_tokens) == (1, two.quota.reserves[0].offers[0].input_tokens)


@pytest.mark.parametrize("deaf", [False, True], ids=["vendor", "provider service"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_a_first_offer_that_hangs_leaves_time_for_the_second(two, whole, deaf):
    script(two, "alpha", hangs(deaf=deaf))
    began = time.monotonic()
    told = await (two.generate(timeout=4.0) if whole else two.stream(timeout=4.0))
    assert time.monotonic() - began < 3.9
    route = told.route if whole else told.finish.route
    assert outcomes(route) == [(FIRST, "unknown", "VENDOR_SILENT"), (SECOND, "served", "")]


async def test_a_whole_answer_that_can_only_be_short_is_not_waited_for_until_the_deadline_is_near(two):
    script(two, "alpha", hangs())
    request = router_pb2.GenerateRequest(prompt=chat_pb2.Prompt(sampling={"max_output_tokens": 10}))
    request.prompt.messages.add(role=chat_pb2.ROLE_USER).parts.add().text.text = "Hi"
    told = await two.stub.Generate(request, timeout=3_000.0)
    assert outcomes(told.route) == [(FIRST, "unknown", "VENDOR_SILENT"), (SECOND, "served", "")]
    allowed = [two.provider(name).calls[0].request.target.first_token_timeout.seconds for name in ("alpha", "beta")]
    # A first-token limit of one second, and one for ten tokens at ten a second; then all that one attempt may take.
    assert allowed == [2, 10]


async def test_silence_that_the_callers_own_deadline_cut_short_is_no_fault_of_the_endpoint():
    async with house(TWO, settings=Settings(failures_in_a_row=1)) as running:
        script(running, "alpha", hangs())
        await running.generate(timeout=1.4)
        assert running.tools.breakers.admits("alpha")
        script(running, "alpha", hangs())
        await running.generate(timeout=3.0)
        assert not running.tools.breakers.admits("alpha")


async def test_an_attempt_is_told_how_long_it_may_be_silent(two):
    await two.stream(timeout=5.0)
    target = two.provider("alpha").calls[0].request.target
    assert round(target.first_token_timeout.ToMicroseconds(), -3) == 1_000_000
    assert round(target.idle_timeout.ToMicroseconds(), -3) == 1_000_000
    assert target.model == "one"


async def test_a_hold_outlives_its_request_a_little_and_never_more_than_an_attempt_may_take(two):
    await two.generate(timeout=5.0)
    await two.generate(timeout=3600.0)
    short, long = (reserve.ttl.seconds for reserve in two.quota.reserves)
    assert 30 < short <= 35
    assert long == 40


async def test_a_quota_service_that_is_silent_until_the_deadline_means_nothing_is_sent_and_the_hold_goes_back(
    two, monkeypatch
):
    monkeypatch.setattr(pursuit, "MARGIN", 1.0)  # a slow machine needs more for the way back
    two.quota.gate.clear()
    assert (await two.failure(timeout=1.5)).reason is Reason.QUOTA_UNAVAILABLE
    two.quota.gate.set()
    assert await two.settled()
    assert set(two.quota.holds.values()) == {"released"}
    assert two.provider("alpha").calls == []


async def test_a_quota_service_that_is_back_within_grace_is_waited_for(two):
    port = two.servers["quota"].port
    await two.stop("quota")
    asking = asyncio.create_task(two.generate())
    await asyncio.sleep(0)
    async with GrpcServer(f"127.0.0.1:{port}", [two.quota.register], [fake_quota.NAME]):
        assert (await asking).route.offer == FIRST
        assert set((await two.settled()).values()) == {"served"}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_a_quota_service_that_stays_away_means_nothing_is_sent(two, whole):
    await two.stop("quota")
    error = await two.failure() if whole else (await two.stream()).error
    assert (error.reason, error.code) == (Reason.QUOTA_UNAVAILABLE, "UNAVAILABLE")
    assert error.retry_after == 1.0
    assert error.detail(router_pb2.RouteFailure).route.request_id
    assert two.provider("alpha").calls == []


async def test_an_open_breaker_is_passed_by_until_its_probe():
    settings = Settings(failures_in_a_row=2, first_open=60.0)
    async with house(TWO, settings=settings) as running:
        script(running, "alpha", fails(Reason.VENDOR_SERVER), fails(Reason.VENDOR_SERVER))
        for _ in range(2):
            await running.generate()
        route = (await running.generate()).route
        assert outcomes(route) == [(SECOND, "served", "")]
        assert (route.skipped["breaker_open"], route.fallback_used) == (1, True)
        assert route.primary_error == "alpha keeps failing; its breaker is open"


async def test_with_every_breaker_open_the_one_due_first_is_tried_and_no_other():
    settings = Settings(failures_in_a_row=1, first_open=60.0)
    async with house(TWO, settings=settings) as running:
        for name in ("alpha", "beta"):
            script(running, name, fails(Reason.VENDOR_SERVER), fails(Reason.VENDOR_SERVER))
        assert (await running.failure()).reason is Reason.ROUTE_EXHAUSTED
        error = await running.failure()
        route = error.detail(router_pb2.RouteFailure).route
        assert len(route.attempts) == 1
        assert route.skipped == {"breaker_open": 1}


async def test_a_local_model_at_the_end_waits_its_turn():
    known = catalog(vendor("alpha", model("one")), vendor("home", model("llama"), plan="local", local=True))
    async with house(known) as running:
        running.quota.room |= {"alpha/one#1": 0, "home/llama#1": 0}
        assert (await running.failure(timeout=5.0)).reason is Reason.BUDGET_EXHAUSTED
        at_once, patient = running.quota.reserves
        assert not at_once.HasField("patience")
        assert 2.0 < patient.patience.seconds + patient.patience.nanos / 1e9 < 5.0


async def test_an_answer_without_usage_is_charged_by_estimate_and_flagged(two):
    script(two, "alpha", answers("a" * 320, usage=chat_pb2.Usage()), answers("a" * 320, usage=chat_pb2.Usage()))
    whole = (await two.generate()).completion.usage
    streamed = (await two.stream()).finish.usage
    for usage in (whole, streamed):
        assert usage.estimated
        assert 100 <= usage.output_tokens <= 105
        assert usage.input_tokens > 0
        assert usage.cost_nanos > 0


async def test_what_the_use_case_says_holds_where_the_caller_says_nothing():
    case = use_case(temperature=0.25, max_output_tokens=77, system="Be kind.", stream_guarantee="whole")
    known = catalog(vendor("alpha", model("one")), vendor("beta", model("two")), use_cases=(case,))
    async with house(known) as running:
        script(running, "alpha", breaks("lost"))
        assert (await running.stream()).text == "Hello, world"
        sent = running.provider("alpha").calls[0].request.prompt
        assert [message.role for message in sent.messages] == [chat_pb2.ROLE_SYSTEM, chat_pb2.ROLE_USER]
        assert sent.messages[0].parts[0].text.text == "Be kind."
        assert (sent.sampling.temperature, sent.sampling.max_output_tokens) == (0.25, 77)
        assert running.quota.reserves[0].offers[0].output_tokens == 77


async def test_the_default_is_no_bound_on_the_output_and_none_is_sent(two):
    await two.generate()
    assert not two.provider("alpha").calls[0].request.prompt.sampling.HasField("max_output_tokens")


async def test_explaining_sends_and_holds_nothing(two):
    two.quota.room[FIRST] = 0
    request = router_pb2.ExplainRouteRequest(prompt=PROMPT)
    told = await two.stub.ExplainRoute(request, timeout=5)
    assert [(offer.offer, offer.has_room) for offer in told.offers] == [(FIRST, False), (SECOND, True)]
    assert told.offers[0].limiting_budget == f"{FIRST}/requests/day"
    assert two.quota.holds == {}
    assert all(reserve.dry_run for reserve in two.quota.reserves)


async def test_two_keys_of_one_vendor_are_two_offers_and_no_fallback():
    known = catalog(vendor("alpha", model("one", price=price(1))))
    async with house(known, slots={"alpha": (1, 2)}) as running:
        script(running, "alpha", fails(Reason.VENDOR_AUTH))
        route = (await running.generate()).route
    assert outcomes(route) == [("alpha/one#1", "failed", "VENDOR_AUTH"), ("alpha/one#2", "served", "")]
    assert not route.fallback_used
    assert [call.request.target.slot for call in running.provider("alpha").calls] == [1, 2]


PROMPT = chat_pb2.Prompt(
    messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=chat_pb2.Text(text="Hi"))])]
)
