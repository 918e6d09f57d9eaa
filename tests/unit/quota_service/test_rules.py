"""The charge rules and the ways a hold may end."""

import pytest
from fixtures.quota import limit, settle, terms

from quota_service import rules
from quota_service.holds import Draw, Hold, State, Who
from quota_service.levels import MOST, Level
from quota_service.operations import ALREADY, NOTHING, Amounts, Cause, Denial, OfferAmounts, Outcome, Refused, Settle

LIMIT = limit("groq/default", "requests", 10)


def hold(requests: int = 1) -> Hold:
    return Hold(
        number=1,
        attempt_id="a",
        fingerprint=1,
        estimate=OfferAmounts("groq/m#1", 200, 300, 1000, requests),
        draw=Draw(Who("team", "quick", "groq", "m", "paid"), ()),
        version=1,
        created=0,
        expires=120_000,
    )


CHARGES = [
    # outcome, told, unpriced, charged
    (Outcome.SERVED, (1, 180, 90, 700), False, (1, 180, 90, 700)),
    (Outcome.SERVED, (1, 0, 0, 0), False, (1, 0, 0, 0)),  # zero usage said is zero usage
    (Outcome.SERVED, (0, 180, 90, 700), False, (1, 180, 90, 700)),  # an answer cost a request
    (Outcome.SERVED, (1, 180, 900, 9000), False, (1, 180, 900, 9000)),  # more than held is charged
    (Outcome.SERVED, (1, 180, 90, 0), True, (1, 180, 90, 1000)),  # an unknown price is not zero (I15)
    (Outcome.SERVED, (1, 180, 90, 1200), True, (1, 180, 90, 1200)),
    (Outcome.FAILED, (1, 0, 0, 0), False, (1, 0, 0, 0)),
    (Outcome.FAILED, (0, 0, 0, 0), False, (0, 0, 0, 0)),  # turned away at the door
    (Outcome.FAILED, (1, 200, 0, 400), False, (1, 200, 0, 400)),  # tokens the vendor names in its error
    (Outcome.UNKNOWN, (0, 0, 0, 0), False, (1, 200, 0, 1000)),  # nothing known: request, prompt, estimated cost
    (Outcome.UNKNOWN, (1, 0, 40, 450), False, (1, 200, 40, 450)),  # cut after 40 tokens
    (Outcome.UNKNOWN, (1, 190, 40, 450), False, (1, 190, 40, 450)),  # the stream had named its prompt
    (Outcome.CANCELLED, (0, 0, 12, 300), False, (1, 200, 12, 300)),
    (Outcome.CANCELLED, (1, 150, 12, 300), False, (1, 150, 12, 300)),  # drained: real usage
    (Outcome.RELEASED, (1, 200, 300, 1000), False, (0, 0, 0, 0)),
]


@pytest.mark.parametrize(("outcome", "told", "unpriced", "charged"), CHARGES)
def test_what_may_have_been_spent_is_charged(outcome, told, unpriced, charged):
    assert rules.charge(hold(), Settle("a", outcome, Amounts(*told), unpriced)) == Amounts(*charged)


def test_a_lapse_charges_everything_that_was_held():
    assert rules.lapse(hold()).charged == Amounts(1, 200, 300, 1000)
    assert rules.lapse(hold(requests=7)).charged == Amounts(7, 200, 300, 1000)


@pytest.mark.parametrize(
    ("outcome", "told", "charged"),
    [
        (Outcome.SERVED, 0, 7),
        (Outcome.UNKNOWN, 0, 7),
        (Outcome.CANCELLED, 0, 7),
        (Outcome.FAILED, 0, 0),
        (Outcome.SERVED, 5, 5),
    ],
)
def test_without_a_word_about_requests_those_that_were_held_are_charged(outcome, told, charged):
    assert rules.charge(hold(requests=7), Settle("a", outcome, Amounts(told))).requests == charged


def test_tokens_are_input_and_output_and_concurrency_is_only_lent():
    assert OfferAmounts("groq/m#1", 200, 300, 1000, 2).in_units() == (2, 500, 1000, 1)
    assert Amounts(2, 200, 300, 1000).in_units() == (2, 500, 1000, 0)


SERVED, OTHER, RELEASED = settle("a"), settle("a", output=301), Settle("a", Outcome.RELEASED)
ENDINGS = [
    # state, ended by, asked, becomes
    (State.HELD, None, SERVED, State.SETTLED),
    (State.HELD, None, RELEASED, State.RELEASED),
    (State.LAPSED, None, SERVED, State.CORRECTED),
    (State.LAPSED, None, RELEASED, State.CORRECTED),
    (State.SETTLED, SERVED, SERVED, ALREADY),
    (State.SETTLED, SERVED, OTHER, Refused),
    (State.SETTLED, SERVED, RELEASED, Refused),
    (State.RELEASED, RELEASED, RELEASED, ALREADY),
    (State.RELEASED, RELEASED, SERVED, Refused),
    (State.CORRECTED, SERVED, SERVED, ALREADY),
    (State.CORRECTED, SERVED, OTHER, Refused),
]


@pytest.mark.parametrize(("state", "by", "asked", "becomes"), ENDINGS)
def test_a_hold_ends_once_and_a_lapsed_one_is_corrected_once(state, by, asked, becomes):
    ended = hold()
    ended.state = state
    if by is not None:
        ended.settlement = rules.settlement(by)
    found = rules.end(ended, asked)
    if isinstance(becomes, State):
        assert isinstance(found, rules.Ending)
        assert found.state == becomes
    elif becomes is Refused:
        assert isinstance(found, Refused)
        assert found.reason == "HOLD_CONFLICT"
    else:
        assert found == becomes


def test_an_unknown_hold_cannot_end():
    assert isinstance(rules.end(None, SERVED), Refused)


@pytest.mark.parametrize(
    ("level", "hard", "room"),
    [
        (Level(3, 2, 1, None), True, 4),
        (Level(3, 2, 1, 8), True, 2),  # the vendor's lower limit holds
        (Level(3, 2, 1, 80), True, 4),  # its higher one does not
        (Level(9, 9, 0, None), True, -8),
        (Level(9, 0, 0, None), False, MOST - 9),  # soft: anything that can be counted, until used up
        (Level(9, 500, 0, None), False, MOST - 509),
        (Level(9, 0, 1, None), False, 0),
    ],
)
def test_room_counts_used_held_and_external_against_the_lower_limit(level, hard, room):
    assert level.room(10, hard=hard) == room


@pytest.mark.parametrize(
    ("reason", "cause"), [("throttled", Cause.COOLING), ("quota", Cause.EXHAUSTED), ("auth", Cause.REJECTED)]
)
def test_a_closed_subject_denies_with_its_reason_and_its_end(reason, cause):
    offer = terms("groq/m#1", LIMIT)
    denial = rules.closed(offer, {"groq#1": rules.Closure(5_000, reason)}, 2_000)
    assert denial == Denial("groq/m#1", "groq#1", cause, retry_after=3_000, fits_in=3_000)


def test_the_longest_closing_of_account_model_and_slot_is_named():
    closures = {"groq/default": rules.Closure(4_000, "throttled"), "groq/default/m": rules.Closure(9_000, "quota")}
    denial = rules.closed(terms("groq/m#1"), closures, 2_000)
    assert denial is not None
    assert (denial.budget, denial.fits_in) == ("groq/default/m", 7_000)
    assert rules.closed(terms("groq/m#1"), closures, 9_000) is None


def test_the_denial_that_waiting_cannot_cure_is_the_limiting_one():
    waits = {"a": 5, "b": 9, "c": None}
    soon, late, never = (Denial("o", name, Cause.BUDGET, fits_in=wait) for name, wait in waits.items())
    assert rules.most_limiting([soon, late]) is late
    assert rules.most_limiting([never, late]) is never


@pytest.mark.parametrize(
    ("denial", "worth"),
    [
        (Denial("o", "b", Cause.BUDGET, fits_in=1_000), True),
        (Denial("o", "b", Cause.BUDGET, fits_in=1_001), False),
        (Denial("o", "b", Cause.BUDGET, fits_in=99_999, by_holds=True), True),  # a hold may end any moment
        (Denial("o", "b", Cause.TOO_LARGE), False),
    ],
)
def test_waiting_is_worth_it_when_room_may_come_within_the_patience(denial, worth):
    assert rules.worth_waiting((denial,), 1_000) is worth


def test_settling_with_release_is_the_same_whatever_amounts_are_named():
    assert rules.settlement(RELEASED) == rules.settlement(Settle("a", Outcome.RELEASED, Amounts(1, 2, 3, 4)))
    assert rules.settlement(SERVED) != rules.settlement(OTHER)
    assert rules.charge(hold(), RELEASED) == NOTHING
