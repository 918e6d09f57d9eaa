"""The ledger's operations, rule by rule, at moments chosen by hand."""

from dataclasses import replace

import pytest
from fixtures.quota import NOON, definitions, limit, one, reserve, settle, terms
from msgspec.structs import replace as but

from quota_service.ledger import Ledger
from quota_service.memory import Retention
from quota_service.operations import (
    NO_UNITS,
    Amounts,
    Cause,
    Denied,
    Done,
    Extend,
    Held,
    Observe,
    OfferAmounts,
    Outcome,
    Refused,
    Release,
    Settle,
    Waiting,
)
from quota_service.rules import NEVER_CLOSED
from quota_service.verify import discrepancies
from quota_service.windows import DAY, GUARD, HOUR

MINUTE = 60_000
GROQ, GEMINI, LOCAL = "groq/m#1", "gemini/n#1", "local/x#1"
GROQ_DAY = limit("groq/default", "requests", 2)
GEMINI_DAY = limit("gemini/default", "requests", 2)


def ledger(*payers, groq=(GROQ_DAY,), gemini=(GEMINI_DAY,)) -> Ledger:
    return Ledger(definitions(terms(GROQ, *groq), terms(GEMINI, *gemini), terms(LOCAL, plan="local"), payers=payers))


def figures(book: Ledger, budget_id: str) -> tuple[int, int]:
    cells = book.lines[budget_id].cells.values()
    return sum(cell.used for cell in cells), sum(cell.held for cell in cells)


def test_the_first_offer_that_fits_is_held_and_names_what_it_will_be_charged_by():
    book = ledger()
    assert one(book, reserve("a", GROQ, GEMINI)) == Held(GROQ, NOON + 120_000, 1, "free")
    assert figures(book, GROQ_DAY.id) == (0, 1)
    assert figures(book, GEMINI_DAY.id) == (0, 0)


def test_a_full_budget_passes_to_the_next_offer_and_says_why():
    book = ledger()
    book.apply([reserve("a", GROQ), reserve("b", GROQ)], NOON)
    held = one(book, reserve("c", GROQ, GEMINI))
    assert isinstance(held, Held)
    assert held.offer == GEMINI
    (passed,) = held.passed_over
    assert (passed.budget, passed.cause, passed.limit, passed.left) == (GROQ_DAY.id, Cause.BUDGET, 2, 0)


def test_a_denial_names_the_budget_and_when_asking_again_makes_sense():
    book = ledger()
    book.apply([reserve("a", GROQ), settle("a"), reserve("b", GROQ)], NOON)
    book.apply([settle("a"), settle("b")], NOON)
    denied = one(book, reserve("c", GROQ), NOON + 1_000)
    assert isinstance(denied, Denied)
    (denial,) = denied.denials
    assert denial.fits_in == denial.retry_after == 12 * HOUR + GUARD - 1_000
    assert not denial.by_holds


def test_a_budget_full_of_open_holds_is_worth_asking_again_soon():
    book = ledger()
    book.apply([reserve("a", GROQ), reserve("b", GROQ)], NOON)
    (denial,) = one(book, reserve("c", GROQ)).denials
    assert denial.by_holds
    assert (denial.retry_after, denial.fits_in) == (1_000, 12 * HOUR + GUARD)


def test_amounts_larger_than_the_budget_itself_never_fit():
    book = ledger(groq=(limit("groq/default", "tokens", 499),))
    (denial,) = one(book, reserve("a", GROQ)).denials
    assert (denial.cause, denial.retry_after, denial.fits_in) == (Cause.TOO_LARGE, None, None)


def test_an_offer_nobody_knows_is_passed_over():
    held = one(ledger(), reserve("a", "nobody/m#1", GROQ))
    assert [denial.cause for denial in held.passed_over] == [Cause.UNKNOWN_OFFER]


def test_all_legs_or_none_over_vendor_and_payer_budgets():
    """I3."""
    team = limit("tenant/team", "requests", 1)
    book = ledger(team)
    book.apply([reserve("a", GROQ)], NOON)
    (denial,) = one(book, reserve("b", GROQ)).denials
    assert (denial.budget, denial.cause) == (team.id, Cause.TENANT)
    assert figures(book, GROQ_DAY.id) == (0, 1)


def test_a_use_case_and_a_use_case_of_a_tenant_have_budgets_of_their_own():
    ours = limit("tenant/team/use_case/quick", "requests", 1)
    book = ledger(limit("use_case/quick", "requests", 2), ours, groq=())
    assert isinstance(one(book, reserve("a", GROQ)), Held)
    assert one(book, reserve("b", GROQ)).denials[0].budget == ours.id
    assert isinstance(one(book, reserve("c", GROQ, tenant="others")), Held)
    assert one(book, reserve("d", GROQ, tenant="others")).denials[0].budget == "use_case/quick/requests/day"
    assert isinstance(one(book, reserve("e", GROQ, use_case="testing")), Held)


def test_a_soft_budget_denies_only_once_it_is_used_up():
    book = ledger(groq=(limit("groq/default", "tokens", 600, hard=False),))
    book.apply([reserve("a", GROQ), reserve("b", GROQ), reserve("c", GROQ)], NOON)
    assert figures(book, "groq/default/tokens/day") == (0, 1_500)
    book.apply([settle("a"), settle("b")], NOON)
    assert isinstance(one(book, reserve("d", GROQ)), Denied)


def test_a_leg_that_takes_nothing_is_never_denied_but_is_there_to_be_charged():
    money = limit("tenant/team", "nanodollars", 100)
    book = ledger(money, groq=())
    free = OfferAmounts(GROQ, 200, 300, 0)
    book.apply([reserve("a", free)], NOON)
    book.apply([settle("a", cost=150)], NOON)
    assert figures(book, money.id) == (150, 0)
    assert isinstance(one(book, reserve("b", free)), Held)
    assert isinstance(one(book, reserve("c", OfferAmounts(GROQ, 1, 1, 1))), Denied)


def test_an_offer_may_take_several_requests_and_is_charged_for_what_it_says_it_made():
    ten = limit("groq/default", "requests", 10)
    calls = limit("groq/default", "concurrency", 2, "now")
    book = ledger(groq=(ten, calls))
    seven, four = (OfferAmounts(GROQ, 1, 0, 0, requests) for requests in (7, 4))
    assert isinstance(one(book, reserve("a", seven)), Held)
    assert (figures(book, ten.id), figures(book, calls.id)) == ((0, 7), (0, 1))
    denial = one(book, reserve("b", four)).denials[0]
    assert (denial.budget, denial.left) == (ten.id, 3)
    book.apply([settle("a", requests=6)], NOON)
    assert figures(book, ten.id) == (6, 0)
    assert isinstance(one(book, reserve("c", four)), Held)
    assert one(book, reserve("d", OfferAmounts(GROQ, 1, 0, 0, 11))).denials[0].cause == Cause.TOO_LARGE


def test_settling_charges_what_was_spent_and_frees_the_rest():
    tokens = limit("groq/default", "tokens", 1_000)
    book = ledger(groq=(GROQ_DAY, tokens))
    book.apply([reserve("a", GROQ)], NOON)
    assert one(book, settle("a", output=100)) == Done()
    assert figures(book, tokens.id) == (300, 0)
    assert figures(book, GROQ_DAY.id) == (1, 0)


def test_more_than_held_is_charged_and_counted_as_overage():
    tokens = limit("groq/default", "tokens", 1_000)
    book = ledger(groq=(tokens,))
    book.apply([reserve("a", GROQ)], NOON)
    _, changes = book.apply([settle("a", output=1_000)], NOON)
    assert figures(book, tokens.id) == (1_200, 0)
    assert changes.overage == {"tokens": 700}


def test_a_release_gives_everything_back_and_no_more():
    """I12."""
    book = ledger()
    book.apply([reserve("a", GROQ)], NOON)
    assert one(book, Release("a")) == Done()
    assert one(book, Release("a")) == Done(already=True)
    assert one(book, settle("a", Outcome.RELEASED)) == Done(already=True)
    assert figures(book, GROQ_DAY.id) == (0, 0)


def test_a_settle_charges_the_window_of_its_hold():
    """I8."""
    book = ledger()
    book.apply([reserve("a", GROQ)], NOON)
    book.apply([reserve("b", GROQ)], NOON + DAY)
    book.apply([Extend("a", HOUR)], NOON)
    today, tomorrow = book.lines[GROQ_DAY.id].cells.values()
    book.apply([settle("a"), settle("b")], NOON + DAY + 1_000)
    assert (today.used, tomorrow.used) == (1, 1)


def test_a_budget_resets_without_any_job():
    book = ledger()
    book.apply([reserve("a", GROQ), reserve("b", GROQ)], NOON)
    assert isinstance(one(book, reserve("c", GROQ), NOON + 12 * HOUR + GUARD - 1), Denied)
    assert isinstance(one(book, reserve("d", GROQ), NOON + 12 * HOUR + GUARD), Held)


def test_near_the_end_of_a_vendors_day_both_days_are_charged():
    """I9."""
    book = ledger()
    midnight = NOON + 12 * HOUR
    book.apply([reserve("a", GROQ)], midnight - 1_000)
    book.apply([settle("a")], midnight - 500)
    assert [cell.used for cell in book.lines[GROQ_DAY.id].cells.values()] == [1, 1]
    book.apply([reserve("b", GROQ)], midnight + 1)
    assert isinstance(one(book, reserve("c", GROQ), midnight + 2), Denied)


def test_near_the_end_of_a_tenants_day_only_that_day_is_charged():
    team = limit("tenant/team", "requests", 1)
    book = ledger(team, groq=())
    midnight = NOON + 12 * HOUR
    assert isinstance(one(book, reserve("a", GROQ), midnight - 1), Held)
    assert isinstance(one(book, reserve("b", GROQ), midnight), Held)


def test_a_rolling_minute_frees_room_cell_by_cell():
    book = ledger(groq=(limit("groq/default", "requests", 2, "minute"),))
    book.apply([reserve("a", GROQ)], NOON)
    book.apply([reserve("b", GROQ)], NOON + 30_000)
    book.apply([settle("a"), settle("b")], NOON + 30_000)
    (denial,) = one(book, reserve("c", GROQ), NOON + 40_000).denials
    assert denial.fits_in == 23_000  # a minute, the cell's second and the guard after the first
    assert isinstance(one(book, reserve("d", GROQ), NOON + 62_999), Denied)
    assert isinstance(one(book, reserve("e", GROQ), NOON + 63_000), Held)
    assert isinstance(one(book, reserve("f", GROQ), NOON + 63_001), Denied)


def test_a_large_amount_in_a_rolling_window_fits_when_enough_cells_have_left():
    book = ledger(groq=(limit("groq/default", "tokens", 1_000, "minute"),))
    for second in range(4):
        book.apply([reserve(f"a{second}", OfferAmounts(GROQ, 250, 0))], NOON + second * 1_000)
    (denial,) = one(book, reserve("b", OfferAmounts(GROQ, 700, 0)), NOON + 10_000).denials
    assert denial.fits_in == 2_000 + 63_000 - 10_000


def test_one_off_credit_never_returns():
    book = ledger(groq=(limit("groq/default", "nanodollars", 1_500, "once"),))
    book.apply([reserve("a", GROQ)], NOON)
    book.apply([settle("a")], NOON)
    (denial,) = one(book, reserve("b", GROQ), NOON + 400 * DAY).denials
    assert (denial.fits_in, denial.retry_after, denial.left) == (None, None, 500)


def test_concurrency_is_freed_by_every_end():
    """I18."""
    book = ledger(groq=(limit("groq/default", "concurrency", 1),))
    for attempt, end in (("a", settle("a")), ("b", Release("b")), ("c", None)):
        assert isinstance(one(book, reserve(attempt, GROQ)), Held)
        (denial,) = one(book, reserve(f"{attempt}-other", GROQ)).denials
        assert denial.by_holds
        book.apply([end] if end else [], NOON if end else NOON + 120_000)
        assert figures(book, "groq/default/concurrency/now") == (0, 0)


def test_a_place_is_lent_for_ten_seconds_at_a_time_however_long_the_hold_was_to_live():
    """I18: who dies with a place keeps others waiting no longer than that."""
    tokens, slots = limit("groq/default", "tokens", 10_000), limit("groq/default", "concurrency", 1)
    book = ledger(groq=(tokens, slots))
    held = one(book, reserve("a", GROQ, ttl=300_000))
    assert (held.lease, held.expires_at) == (10_000, NOON + 10_000)
    assert one(book, reserve("a", GROQ, ttl=300_000)) == held
    (denial,) = one(book, reserve("b", GROQ), NOON + 3_000).denials
    assert denial.fits_in == 7_000
    book.apply([Extend("a", held.lease)], NOON + 3_000)
    (denial,) = one(book, reserve("c", GROQ), NOON + 12_999).denials
    assert denial.by_holds
    assert isinstance(one(book, reserve("d", GROQ), NOON + 13_000), Held)
    assert figures(book, tokens.id) == (500, 500)
    assert one(book, settle("a", output=100), NOON + 14_000) == Done(corrected=True)
    assert figures(book, tokens.id) == (300, 500)


def test_a_hold_without_a_lent_place_lives_as_long_as_it_was_to():
    held = one(ledger(), reserve("a", GROQ, ttl=300_000))
    assert (held.lease, held.expires_at) == (0, NOON + 300_000)


def test_a_hold_nobody_ends_lapses_charged_in_full_and_assumed():
    """I4, I5."""
    tokens, slots = limit("groq/default", "tokens", 1_000), limit("groq/default", "concurrency", 9)
    book = ledger(groq=(tokens, slots))
    book.apply([reserve("a", GROQ, ttl=10_000)], NOON)
    _, changes = book.apply([], NOON + 9_999)
    assert changes.empty
    _, changes = book.apply([], NOON + 10_000)
    assert changes.lapsed == 1
    assert [delta.assumed for delta in changes.spend] == [1]
    assert figures(book, tokens.id) == (500, 0)
    assert figures(book, slots.id) == (0, 0)
    assert book.open_holds == 0


@pytest.mark.parametrize("end", [settle("a", output=100), settle("a", output=900), Release("a")])
def test_a_late_settle_corrects_a_lapse_once_downwards_or_upwards(end):
    """I5."""
    tokens = limit("groq/default", "tokens", 5_000)
    book = ledger(groq=(tokens,))
    book.apply([reserve("a", GROQ)], NOON)
    book.apply([], NOON + HOUR)
    answers, changes = book.apply([end, settle("a", output=7)], NOON + HOUR)
    assert answers[0] == Done(corrected=True)
    assert isinstance(answers[1], Refused)
    charged = {100: 300, 900: 1_100}.get(end.amounts.output_tokens, 0) if isinstance(end, Settle) else 0
    assert figures(book, tokens.id) == (charged, 0)
    assert changes.late == 1
    assert sum(delta.assumed for delta in changes.spend) == -1
    assert (
        sum(delta.amounts.output_tokens for delta in changes.spend)
        == (end.amounts.output_tokens if charged else 0) - 300
    )


def test_an_extended_hold_lives_longer_and_an_ended_one_cannot_be_extended():
    book = ledger()
    book.apply([reserve("a", GROQ, ttl=10_000)], NOON)
    assert one(book, Extend("a", 20_000), NOON + 9_000) == Done()
    book.apply([], NOON + 28_999)
    assert book.open_holds == 1
    book.apply([], NOON + 29_000)
    assert book.open_holds == 0
    for name in ("a", "never"):
        assert isinstance(one(book, Extend(name), NOON + 29_001), Refused)


def test_a_shortened_hold_lapses_sooner():
    book = ledger()
    book.apply([reserve("a", GROQ, ttl=60_000)], NOON)
    book.apply([Extend("a", 5_000)], NOON)
    book.apply([], NOON + 5_000)
    assert book.open_holds == 0


def test_the_same_reserve_again_gets_the_same_answer_and_one_effect():
    """I6."""
    book = ledger()
    book.apply([reserve("x", GROQ), reserve("y", GROQ)], NOON)
    first = one(book, reserve("a", GROQ, GEMINI))
    assert one(book, reserve("a", GROQ, GEMINI), NOON + 5_000) == first
    assert one(book, reserve("a", GROQ, GEMINI, patience=3_000), NOON + 5_000) == first
    assert figures(book, GEMINI_DAY.id) == (0, 1)


def test_the_same_attempt_with_other_contents_is_refused():
    """I6."""
    book = ledger()
    book.apply([reserve("a", GROQ)], NOON)
    for other in (reserve("a", GEMINI), reserve("a", GROQ, tenant="others"), reserve("a", OfferAmounts(GROQ, 1, 1, 1))):
        refused = one(book, other)
        assert isinstance(refused, Refused)
        assert refused.reason == "ATTEMPT_CONFLICT"


def test_a_denial_is_remembered_for_a_second_at_most_and_only_for_the_same_contents():
    """I6."""
    book = ledger(groq=(limit("groq/default", "requests", 1, "minute"),))
    book.apply([reserve("a", GROQ)], NOON)
    denied = one(book, reserve("b", GROQ))
    assert one(book, reserve("b", GROQ), NOON + 999) == denied
    assert one(book, reserve("b", GROQ), NOON + 1_000) != denied
    assert isinstance(one(book, reserve("b", GEMINI), NOON + 1_001), Held)


def test_settles_and_releases_come_before_reserves_of_the_same_batch():
    book = ledger(groq=(limit("groq/default", "concurrency", 1),))
    book.apply([reserve("a", GROQ)], NOON)
    answers, _ = book.apply([reserve("b", GROQ), reserve("c", GROQ), settle("a")], NOON)
    assert [type(answer) for answer in answers] == [Held, Denied, Done]


def test_a_dry_run_decides_and_changes_nothing():
    book = ledger()
    book.apply([reserve("old", GROQ), reserve("x", GROQ)], NOON)
    question = reserve("a", GROQ, GEMINI, dry_run=True)
    assert one(book, question).offer == GEMINI
    assert one(book, but(question, instead_of=settle("old", Outcome.RELEASED))).offer == GROQ
    _, changes = book.apply([question], NOON)
    assert changes.empty
    assert figures(book, GROQ_DAY.id) == (0, 2)
    assert isinstance(one(book, reserve("a", GEMINI)), Held)


def test_a_replacement_settles_the_old_attempt_and_takes_its_place_in_one_step():
    team = limit("tenant/team", "nanodollars", 1_500)
    book = ledger(team)
    book.apply([reserve("a", GROQ)], NOON)
    failed = settle("a", Outcome.FAILED, prompt=0, output=0, cost=0)
    assert isinstance(one(book, reserve("b", GEMINI)), Denied)
    assert isinstance(one(book, reserve("b", GEMINI, instead_of=failed)), Held)
    assert figures(book, team.id) == (0, 1_000)
    assert figures(book, GROQ_DAY.id) == (1, 0)
    assert discrepancies(book) == []


def test_a_replacement_keeps_its_own_money_although_a_neighbour_has_overdrawn_the_budget():
    team = limit("tenant/team", "nanodollars", 2_000)
    book = ledger(team)
    book.apply([reserve("a", GROQ), reserve("neighbour", GROQ)], NOON)
    book.apply([settle("neighbour", cost=5_000)], NOON)
    failed = settle("a", Outcome.FAILED, prompt=0, output=0, cost=0)
    larger = OfferAmounts(GEMINI, 200, 300, 1_001)
    assert isinstance(one(book, reserve("c", larger, instead_of=failed, dry_run=True)), Denied)
    assert isinstance(one(book, reserve("b", GEMINI, instead_of=failed)), Held)


def test_a_denied_replacement_has_settled_the_old_attempt_all_the_same():
    book = ledger(gemini=(limit("gemini/default", "requests", 0),))
    book.apply([reserve("a", GROQ)], NOON)
    unknown = settle("a", Outcome.UNKNOWN)
    assert isinstance(one(book, reserve("b", GEMINI, instead_of=unknown)), Denied)
    assert figures(book, GROQ_DAY.id) == (1, 0)
    assert isinstance(one(book, reserve("b", LOCAL, instead_of=unknown)), Held)


def test_a_waiting_replacement_leaves_the_old_attempt_its_budgets_until_it_is_decided():
    team, slots = limit("tenant/team", "requests", 1), limit("gemini/default", "concurrency", 1)
    book = ledger(team, gemini=(slots,))
    book.apply([reserve("other", GEMINI, tenant="others"), reserve("a", GROQ)], NOON)
    failed = settle("a", Outcome.FAILED, requests=0)
    waiting = one(book, reserve("b", GEMINI, instead_of=failed, patience=5_000))
    assert isinstance(waiting, Waiting)
    assert isinstance(one(book, reserve("thief", LOCAL)), Denied)
    book.apply([settle("other")], NOON + 100)
    assert isinstance(one(book, reserve("b", GEMINI, instead_of=failed, patience=4_900), NOON + 100), Held)
    assert discrepancies(book) == []


@pytest.mark.parametrize("broken", [settle("never"), settle("ended", output=1)])
def test_a_replacement_of_an_unknown_or_otherwise_ended_attempt_is_refused(broken):
    book = ledger()
    book.apply([reserve("ended", GROQ)], NOON)
    book.apply([settle("ended")], NOON)
    refused = one(book, reserve("b", GEMINI, instead_of=broken))
    assert isinstance(refused, Refused)
    assert refused.reason == "HOLD_CONFLICT"
    assert figures(book, GEMINI_DAY.id) == (0, 0)


def test_a_patient_reserve_waits_only_for_room_that_may_come():
    book = ledger(groq=(limit("groq/default", "requests", 1, "minute"),), gemini=(limit("g", "requests", 0),))
    book.apply([reserve("a", GROQ)], NOON)
    book.apply([settle("a")], NOON)
    waiting = one(book, reserve("b", GROQ, patience=63_000))
    assert isinstance(waiting, Waiting)
    assert waiting.wake_at == NOON + 63_000
    assert isinstance(one(book, reserve("c", GROQ, patience=62_999)), Denied)
    assert isinstance(one(book, reserve("d", GEMINI, patience=62_999)), Denied)


def test_a_vendor_that_counts_more_than_we_do_leaves_less_room():
    day = limit("groq/default", "requests", 10)
    book = ledger(groq=(day,))
    book.apply([reserve("a", GROQ), reserve("b", GROQ)], NOON)
    book.apply([settle("a")], NOON)
    said = Observe(GROQ, "account", "requests", "day", limit=10, remaining=3)
    assert one(book, said) == Done()
    level = book.lines[day.id].weighed[0]
    assert (level.used, level.held, level.external) == (1, 1, 5)
    one(book, replace_remaining(said, 9))
    assert level.external == 5  # it never falls within the window
    assert [type(one(book, reserve(f"n{n}", GROQ))) for n in range(4)] == [Held, Held, Held, Denied]


def replace_remaining(said: Observe, remaining: int) -> Observe:
    return but(said, remaining=remaining)


def test_a_vendors_lower_limit_holds_for_the_window_and_a_higher_one_never():
    day = limit("groq/default", "requests", 10)
    book = ledger(groq=(day,))
    one(book, Observe(GROQ, "account", "requests", "day", limit=3))
    assert [type(one(book, reserve(f"a{n}", GROQ))) for n in range(4)] == [Held, Held, Held, Denied]
    one(book, Observe(GROQ, "account", "requests", "day", limit=1_000))
    assert sum(isinstance(one(book, reserve(f"b{n}", GROQ)), Held) for n in range(20)) == 7


def test_what_a_vendor_says_of_a_rolling_minute_is_forgotten_with_it():
    minute = limit("groq/default", "requests", 10, "minute")
    book = ledger(groq=(minute,))
    one(book, Observe(GROQ, "account", "requests", "minute", limit=5, remaining=0))
    assert isinstance(one(book, reserve("a", GROQ)), Denied)
    later = NOON + 63_000
    assert sum(isinstance(one(book, reserve(f"b{n}", GROQ), later), Held) for n in range(20)) == 10


@pytest.mark.parametrize(
    "said",
    [
        Observe(GROQ, "model", "requests", "day", limit=1, remaining=0),
        Observe(GROQ, "account", "tokens", "day", limit=1, remaining=0),
        Observe(GROQ, "account", "requests", "month", limit=1, remaining=0),
        Observe(GROQ, "account", "requests", "day"),
    ],
)
def test_figures_about_no_budget_of_ours_change_nothing(said):
    book = ledger()
    _, changes = book.apply([said], NOON)
    assert changes.empty


@pytest.mark.parametrize("scope", ["account", "model", "slot"])
def test_a_vendor_that_asks_for_a_pause_gets_it(scope):
    book = ledger()
    one(book, Observe(GROQ, scope, closed_for=30_000, reason="throttled"))
    one(book, Observe(GROQ, scope, closed_for=10_000, reason="throttled"))  # never shortens it
    (denial,) = one(book, reserve("a", GROQ), NOON + 29_000).denials
    assert (denial.cause, denial.retry_after) == (Cause.COOLING, 1_000)
    assert isinstance(one(book, reserve("b", GROQ), NOON + 30_000), Held)
    assert book.closures == {}


OPENED = [  # what is closed and why, what is opened and why, whether that lets the next one in
    ("slot", "auth", "slot", "auth", True),
    ("slot", "auth", "slot", "quota", False),
    ("slot", "auth", "account", "auth", False),
    ("account", "quota", "account", "quota", True),
    ("model", "quota", "account", "quota", True),
    ("model", "quota", "model", "quota", True),
    ("account", "quota", "model", "quota", False),
    ("account", "throttled", "account", "quota", False),
]


@pytest.mark.parametrize(("scope", "reason", "opened", "why", "lets_in"), OPENED)
def test_what_was_closed_for_a_reason_is_opened_for_it_and_an_account_opens_its_models(
    scope, reason, opened, why, lets_in
):
    book = ledger()
    one(book, Observe(GROQ, scope, closed_for=30_000, reason=reason))
    (closed,) = book.closures
    answers, changes = book.apply([Observe(GROQ, opened, reason=why, opened=True), reserve("a", GROQ)], NOON)
    assert isinstance(answers[1], Held) == lets_in
    assert (book.closures == {}) == lets_in
    assert (changes.closures == {closed: NEVER_CLOSED}) == lets_in


def test_an_observation_of_an_unknown_offer_is_refused():
    assert isinstance(one(ledger(), Observe("nobody/m#1", "account", closed_for=1, reason="quota")), Refused)


def test_time_never_goes_back():
    """I10."""
    book = ledger()
    book.apply([reserve("a", GROQ, ttl=10_000)], NOON)
    book.apply([], NOON + 10_000)
    held = one(book, reserve("b", GROQ), NOON - 5 * DAY)
    assert held.expires_at == NOON + 130_000
    assert book.holds["a"].state == "lapsed"


def test_lowering_a_limit_undoes_no_hold_and_only_blocks_new_ones():
    """I1, I14."""
    book = ledger()
    book.apply([reserve("a", GROQ), reserve("b", GROQ)], NOON)
    lower = Ledger(definitions(terms(GROQ, replace(GROQ_DAY, limit=1))).numbered(2))
    holds = list(book.holds.values())
    for hold in holds:
        hold.draw.forget(1, NO_UNITS)
    lower.restore(NOON, list(book.lines[GROQ_DAY.id].cells.values()), holds, {})
    assert isinstance(one(lower, reserve("c", GROQ)), Denied)
    assert one(lower, settle("a")) == Done()
    assert one(lower, reserve("b", GROQ)).version == 1
    assert discrepancies(lower) == []


def test_a_change_of_zone_does_not_open_a_window_twice():
    """I9: the window made keeps its bounds; the next one begins where it ends."""
    book = ledger()
    book.apply([reserve("a", GROQ), reserve("b", GROQ)], NOON)
    moved = limit("groq/default", "requests", 2, "day America/Los_Angeles")
    other = Ledger(definitions(terms(GROQ, moved)))
    (cell,) = book.lines[GROQ_DAY.id].cells.values()
    other.restore(NOON, [cell], [], {})
    assert isinstance(one(other, reserve("c", GROQ), NOON + 11 * HOUR), Denied)
    assert isinstance(one(other, reserve("d", GROQ), NOON + 12 * HOUR + GUARD), Held)
    assert other.lines[GROQ_DAY.id].current[0].start == cell.end


def test_ended_holds_are_forgotten_in_time_and_what_they_used_stays_used():
    book = Ledger(definitions(terms(GROQ, limit("groq/default", "requests", 10_000))), Retention(5_000, 20_000, 100))
    book.apply([reserve(f"a{n}", GROQ) for n in range(50)], NOON)
    book.apply([settle(f"a{n}") for n in range(49)], NOON)
    _, changes = book.apply([], NOON + 5_000)
    assert len(changes.forgotten) == 49
    assert list(book.holds) == ["a49"]
    assert figures(book, "groq/default/requests/day") == (49, 1)
    assert discrepancies(book) == []
    book.apply([], NOON + 120_000)
    assert book.holds["a49"].state == "lapsed"
    book.apply([], NOON + 140_000)
    assert book.holds == {}
    assert discrepancies(book) == []


def test_no_more_ended_holds_are_remembered_than_allowed():
    book = Ledger(definitions(terms(LOCAL)), Retention(most=100))
    for n in range(300):
        book.apply([reserve(f"a{n}", LOCAL)], NOON)
        book.apply([settle(f"a{n}")], NOON)
    assert len(book.holds) == 100


def test_windows_nobody_needs_are_dropped():
    book = Ledger(
        definitions(terms(GROQ, limit("groq/default", "requests", 10_000, "minute"))), Retention(1_000, 1_000)
    )
    for second in range(300):
        book.apply([reserve(f"a{second}", GROQ)], NOON + second * 1_000)
        book.apply([settle(f"a{second}")], NOON + second * 1_000)
    assert len(book.lines["groq/default/requests/minute"].cells) <= 64
    assert discrepancies(book) == []


def test_spend_is_booked_on_the_day_of_the_hold_and_releases_spend_nothing():
    book = ledger()
    book.apply([reserve("a", GROQ, ttl=DAY), reserve("b", GROQ)], NOON)
    _, changes = book.apply([settle("a"), Release("b")], NOON + 13 * HOUR)
    days = [
        (delta.key.day, delta.key.outcome, delta.amounts) for delta in changes.spend if delta.key.outcome != "lapsed"
    ]
    assert days == [("2026-09-21", "served", Amounts(1, 200, 300, 1000))]


def test_a_replacement_has_no_claim_on_a_vendors_budget_that_is_overdrawn():
    tokens = limit("groq/default", "tokens", 1_000)
    book = ledger(groq=(tokens,))
    book.apply([reserve("a", GROQ), reserve("neighbour", GROQ)], NOON)
    book.apply([settle("neighbour", output=5_000)], NOON)
    failed = settle("a", Outcome.FAILED, prompt=0, output=0)
    assert isinstance(one(book, reserve("b", GROQ, instead_of=failed)), Denied)
