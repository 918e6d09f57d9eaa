"""Vectors, from the caller's call to the last settle: the one way every request goes, and what is their own."""

import asyncio
import datetime as dt

import pytest
from fixtures.fake_provider import Behaviour, answers, breaks, fails, hangs
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, price, use_case, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.model import Plan
from catalog.plan import Limit
from catalog.window import parse_window
from meshkit.errors import MeshError, Reason

EMBEDS = {"model_class": "embedding", "price": price(1, 0)}
KNOWN = catalog(
    vendor("alpha", model("chat"), model("small", family="f", max_texts=3, dimensions=8, **EMBEDS)),
    vendor("beta", model("wide", dimensions=64, **EMBEDS), model("same", family="f", **EMBEDS)),
    use_cases=(
        use_case(candidates={"standard": ("alpha/chat",)}),
        use_case("embedding", candidates={"standard": ("alpha/small", "beta/wide")}),
    ),
)
FIRST, SECOND = "alpha/small#1", "beta/wide#1"


@pytest.fixture
async def two():
    async with house(KNOWN) as running:
        yield running


def script(running: House, vendor: str, *behaviours: Behaviour) -> None:
    running.provider(vendor).script.extend(behaviours)


def outcomes(route: router_pb2.Route) -> list[tuple[str, str, str]]:
    return [(attempt.offer, attempt.outcome, attempt.reason) for attempt in route.attempts]


def fields(error) -> list[str]:
    return [violation.field for violation in error.fields]


async def test_texts_become_vectors_and_what_they_really_used_is_settled(two):
    script(two, "alpha", answers(usage=chat_pb2.Usage(input_tokens=7)))
    response = await two.embed("one", "two", dimensions=4)
    assert [len(embedding.values) for embedding in response.embeddings] == [4, 4]
    assert (response.vendor_model, response.usage.input_tokens, response.usage.cost_nanos) == ("small-0042", 7, 7_000)
    assert (response.route.use_case, response.route.offer, response.route.fallback_used) == ("embedding", FIRST, False)
    sent = two.provider("alpha").calls[0].request
    assert (list(sent.texts), sent.dimensions, sent.target.model) == (["one", "two"], 4, "small")
    assert set((await two.settled()).values()) == {"served"}
    (settle,) = two.quota.settles.values()
    assert settle.amounts == quota_pb2.Amounts(requests=1, input_tokens=7, cost_nanos=7_000)


async def test_the_log_line_of_a_request_says_that_it_was_for_vectors(two, capsys):
    await two.embed("a secret")
    line = next(line for line in capsys.readouterr().err.splitlines() if '"event":"request"' in line)
    assert '"operation":"embeddings"' in line
    assert "secret" not in line


async def test_only_input_is_held(two):
    await two.embed("a" * 320)
    (amounts,) = two.quota.reserves[0].offers[:1]
    assert (amounts.offer, amounts.input_tokens, amounts.output_tokens) == (FIRST, 107, 0)
    assert amounts.cost_nanos == 107_000


async def test_when_the_first_fails_all_vectors_are_of_the_next(two):
    script(two, "alpha", fails(Reason.VENDOR_OVERLOAD))
    response = await two.embed("one", "two")
    assert outcomes(response.route) == [(FIRST, "failed", "VENDOR_OVERLOAD"), (SECOND, "served", "")]
    assert (response.route.fallback_used, response.vendor_model) == (True, "wide-0042")
    assert response.route.primary_error == "VENDOR_OVERLOAD: scripted VENDOR_OVERLOAD"
    assert len(two.provider("beta").calls[0].request.texts) == len(response.embeddings) == 2


async def test_a_silent_vendor_leaves_time_for_the_next_and_is_charged_the_estimate(two):
    script(two, "alpha", hangs())
    response = await two.embed("a" * 320, timeout=3.0)
    assert outcomes(response.route) == [(FIRST, "unknown", "VENDOR_SILENT"), (SECOND, "served", "")]
    charged = two.quota.settles[two.quota.reserves[0].attempt_id].amounts
    assert charged == quota_pb2.Amounts(requests=1, input_tokens=107, cost_nanos=107_000)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ([[1.0]], "1 vectors came for 2 texts"),
        ([[1.0], [1.0, 2.0]], "the vectors are not all of one length"),
        ([[], []], "the vectors are not all of one length"),
    ],
)
async def test_vectors_that_do_not_fit_the_texts_are_a_fault_of_the_vendor_and_paid_for(two, vectors, words):
    used = chat_pb2.Usage(input_tokens=5)
    script(two, "alpha", Behaviour(vectors=vectors, usage=used))
    route = (await two.embed("one", "two")).route
    assert outcomes(route) == [(FIRST, "failed", "VENDOR_SERVER"), (SECOND, "served", "")]
    assert route.primary_error == f"VENDOR_SERVER: {words}"
    assert two.quota.settles[two.quota.reserves[0].attempt_id].amounts.input_tokens == 5


async def test_a_vendor_that_takes_no_notice_of_the_dimensions_does_not_serve(two):
    script(two, "alpha", Behaviour(vectors=[[1.0, 2.0, 3.0]]))
    error = await two.no_vectors("one", dimensions=2, model="alpha/small")
    assert (error.reason, error.code, fields(error)) == (Reason.VENDOR_UNSUPPORTED, "INVALID_ARGUMENT", ["dimensions"])
    assert error.message == "the vectors came with 3 dimensions, not 2"


@pytest.mark.parametrize("reason", [Reason.VENDOR_OVERLOAD, Reason.VENDOR_THROTTLED])
async def test_a_pinned_model_is_never_substituted_not_even_by_another_host_of_it(two, reason):
    script(two, "alpha", fails(reason))
    with pytest.raises(Exception, match=f"scripted {reason}"):
        await two.embed("one", model="alpha/small")
    assert two.provider("beta").calls == []
    two.quota.room[FIRST] = 0
    two.quota.closed.clear()
    error = await two.no_vectors("one", model="alpha/small")
    assert error.reason is Reason.BUDGET_EXHAUSTED
    assert two.provider("beta").calls == []


async def test_who_only_prefers_a_model_is_served_by_the_use_case_when_it_cannot(two):
    script(two, "beta", fails(Reason.VENDOR_OVERLOAD))
    route = (await two.embed("one", preferred_model="beta/wide")).route
    assert outcomes(route) == [(SECOND, "failed", "VENDOR_OVERLOAD"), (FIRST, "served", "")]


async def test_a_retired_model_has_no_successor_whose_vectors_could_stand_for_its_own():
    old = model("old", status="retired", retired_on=dt.date(2026, 1, 2), successor="new", **EMBEDS)
    async with house(catalog(vendor("alpha", old, model("new", **EMBEDS)))) as running:
        error = await running.no_vectors("one", model="alpha/old")
        assert (await running.embed("one", preferred_model="alpha/old")).route.model == "new"
    assert (error.reason, error.code) == (Reason.NO_OFFER, "FAILED_PRECONDITION")
    text = "alpha/old was retired on 2026-01-02; its successor alpha/new makes other vectors"
    assert error.message == text


async def test_a_vendor_alone_leaves_the_choice_among_its_models_to_the_mesh(two):
    assert (await two.embed("one", model="alpha")).route.offer == FIRST
    assert (await two.generate(model="alpha")).route.offer == "alpha/chat#1"


async def test_more_texts_than_the_first_takes_at_once_go_to_one_that_takes_them(two):
    route = (await two.embed("a", "b", "c", "d")).route
    assert (route.offer, route.skipped, route.fallback_used) == (SECOND, {"texts": 1}, True)
    assert route.primary_error == "4 texts; alpha/small takes at most 3 at once"


async def test_more_texts_than_the_pinned_model_takes_at_once_are_the_callers_error(two):
    error = await two.no_vectors("a", "b", "c", "d", model="alpha/small")
    assert (error.reason, error.code, fields(error)) == (Reason.VENDOR_UNSUPPORTED, "INVALID_ARGUMENT", ["texts"])
    assert error.message == "too many for every candidate: 4 texts; alpha/small takes at most 3 at once"
    assert two.quota.holds == {}


async def test_longer_vectors_than_a_model_makes_are_made_by_another_or_refused(two):
    assert (await two.embed("a", dimensions=64)).route.offer == SECOND
    error = await two.no_vectors("a", dimensions=65)
    assert (error.reason, fields(error)) == (Reason.VENDOR_UNSUPPORTED, ["dimensions"])
    assert error.message == "too many for every candidate: 65 dimensions; alpha/small makes at most 8"


async def test_a_text_that_cannot_fit_any_window_is_the_callers_error(two):
    error = await two.no_vectors("short", "a" * 60_000)
    assert (error.reason, fields(error)) == (Reason.VENDOR_CONTEXT, ["texts"])
    assert error.message == "too long for every candidate: a text of at least 9375 tokens; alpha/small takes 8000"
    # Many texts are no long text; and what may just fit is for the vendor to judge.
    assert (await two.embed("a" * 40_000, "a" * 40_000)).route.offer == FIRST


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"texts": []}, "texts"),
        ({"texts": ["a", ""]}, "texts[1]"),
        ({"texts": ["a"] * 2049}, "texts"),
        ({"texts": ["a"], "dimensions": 0}, "dimensions"),
        ({"texts": ["a"], "dimensions": -1}, "dimensions"),
        ({"texts": ["a"], "dimensions": 70_000}, "dimensions"),
        ({"texts": ["a"], "input_kind": 99}, "input_kind"),
        ({"texts": ["a"], "request_id": "a b"}, "request_id"),
        ({"texts": ["a"], "use_case": "default"}, "intent.use_case"),
        ({"texts": ["a"], "model": "alpha/chat"}, "intent.model"),
        ({"texts": ["a"], "model": "nobody/knows"}, "intent.model"),
    ],
)
async def test_a_request_that_cannot_be_right_is_refused_by_its_field(two, request_, field):
    texts = request_.pop("texts")
    error = await two.no_vectors(*texts, **request_)
    assert fields(error) == [field]
    assert error.code == ("NOT_FOUND" if error.reason is Reason.UNKNOWN_MODEL else "INVALID_ARGUMENT")
    assert two.quota.holds == {}


async def test_models_that_embed_are_never_asked_for_an_answer(two):
    error = await two.failure(use_case="embedding")
    assert (error.reason, fields(error)) == (Reason.INVALID_REQUEST, ["intent.use_case"])
    assert error.message == "intent.use_case: the models of use case `embedding` make embeddings, not answers"
    error = await two.failure(model="alpha/small")
    assert (error.reason, fields(error)) == (Reason.INVALID_REQUEST, ["intent.model"])


async def test_what_was_dropped_and_what_a_vendor_says_of_its_quotas_is_passed_on(two):
    said = provider_pb2.Observation(unit=provider_pb2.Observation.UNIT_REQUESTS, window="day", limit=9, remaining=0)
    script(two, "alpha", answers(observations=[said]))
    response = await two.embed("one", input_kind=chat_pb2.INPUT_KIND_QUERY)
    assert [warning.field for warning in response.warnings] == ["input_kind"]
    await eventually(lambda: two.quota.operations("observe"))
    (observe,) = two.quota.operations("observe")
    assert (observe.offer, observe.unit, observe.limit) == (FIRST, "requests", 9)


async def test_a_request_id_is_served_once(two):
    served = await two.embed("one", request_id="r-1")
    error = await two.no_vectors("one", request_id="r-1")
    assert error.reason is Reason.REQUEST_REPEATED
    assert error.detail(router_pb2.RouteFailure).route == served.route


async def test_a_caller_that_goes_away_pays_the_estimated_texts(two):
    script(two, "alpha", hangs(deaf=True))
    call = two.stub.Embed(router_pb2.EmbedRequest(texts=["a" * 320]))
    await eventually(lambda: two.provider("alpha").calls)
    call.cancel()
    await eventually(lambda: two.provider("alpha").calls[0].cancelled)
    assert set((await two.settled()).values()) == {"cancelled"}
    (settle,) = two.quota.settles.values()
    assert settle.amounts == quota_pb2.Amounts(requests=1, input_tokens=107, cost_nanos=107_000)


async def test_a_vendor_that_counts_nothing_is_charged_by_estimate(two):
    script(two, "alpha", answers(usage=chat_pb2.Usage()))
    usage = (await two.embed("a" * 320)).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (107, 0, True)


async def test_nobody_could_serve_is_told_with_the_route(two):
    script(two, "alpha", fails(Reason.VENDOR_SERVER))
    script(two, "beta", breaks())
    error = await two.no_vectors("one")
    assert error.reason is Reason.ROUTE_EXHAUSTED
    route = error.detail(router_pb2.RouteFailure).route
    assert [attempt.outcome for attempt in route.attempts] == ["failed", "unknown"]


async def explained(running: House, **request) -> router_pb2.ExplainRouteResponse:
    intent = router_pb2.Intent(**request.pop("intent", {}))
    return await running.stub.ExplainRoute(router_pb2.ExplainRouteRequest(intent=intent, **request), timeout=5)


async def test_explaining_texts_tells_the_way_of_vectors_and_holds_nothing(two):
    told = await explained(two, texts=["a"] * 4, dimensions=16)
    assert (told.use_case, [offer.offer for offer in told.offers]) == ("embedding", [SECOND])
    assert (told.offers[0].output_tokens, told.offers[0].has_room) == (0, True)
    assert {offer.offer: offer.reason for offer in told.excluded} == {FIRST: "texts"}
    assert two.quota.holds == {}


@pytest.mark.parametrize("intent", [{"use_case": "embedding"}, {"model": "alpha/small"}, {"preferred_model": "f"}])
async def test_explaining_an_intent_alone_goes_by_the_work_of_its_first_model(two, intent):
    assert (await explained(two, intent=intent)).offers[0].offer == FIRST
    assert (await explained(two)).offers[0].offer == "alpha/chat#1"


async def test_explaining_both_a_prompt_and_texts_is_refused(two):
    prompt = chat_pb2.Prompt(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER)])
    with pytest.raises(Exception, match="texts: must be empty when there is a prompt"):
        await explained(two, texts=["a"], prompt=prompt)


async def test_answers_and_vectors_of_one_key_draw_on_the_budget_of_its_account(tmp_path):
    ten = Limit("requests", parse_window("day"), 10)
    plans = {"paid": Plan("paid", limits=(ten,))}
    known = catalog(
        vendor("alpha", model("chat"), model("small", **EMBEDS), plans=plans), use_cases=KNOWN.use_cases.values()
    )
    async with house(known, ledger=tmp_path / "ledger.db") as running:
        assert len(await asyncio.gather(*(running.embed("one", model="alpha/small") for _ in range(6)))) == 6
        asked = (running.generate(model="alpha/chat") for _ in range(10))
        found = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in found if isinstance(answer, MeshError)]
        assert (len(refused), len(running.provider("alpha").calls)) == (6, 10)
        refused.append(await running.no_vectors("one", model="alpha/small"))
        assert {(error.reason, error.quota[0].subject) for error in refused} == {
            (Reason.BUDGET_EXHAUSTED, "alpha/default/requests/day")
        }


async def test_where_each_text_counts_as_a_request_so_many_are_held_and_charged(tmp_path):
    ten = Limit("requests", parse_window("day"), 10)
    each = model("small", counts_texts=True, **EMBEDS)
    known = catalog(
        vendor("alpha", each, plans={"paid": Plan("paid", limits=(ten,))}), use_cases=KNOWN.use_cases.values()
    )
    async with house(known, ledger=tmp_path / "ledger.db") as running:
        await running.embed(*"abcdefg", model="alpha/small")
        error = await running.no_vectors(*"abcd", model="alpha/small")
        assert error.message == "no budget has room: alpha/default/requests/day has 3 of 10 requests left"
        await running.embed(*"abc", model="alpha/small")
        assert (await running.no_vectors("a", model="alpha/small")).reason is Reason.BUDGET_EXHAUSTED
    async with house(known) as running:
        await running.embed(*"abcdefg", model="alpha/small")
        await running.settled()
        (settle,) = running.quota.settles.values()
        assert settle.amounts.requests == running.quota.reserves[0].offers[0].requests == 7
