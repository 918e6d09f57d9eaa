"""What is said of every slot, and what a vendor is because of its slots."""

import datetime as dt

import pytest
from fixtures.small_mesh import catalog, mesh, model, vendor

from router_service.offers import UNDESCRIBED, DescribedSlot, VendorState
from router_service.slot_states import Closed, Findings, slot_states, status

TODAY = dt.date(2026, 11, 20)
LATER = dt.datetime(2026, 11, 20, 14, 5, 10, tzinfo=dt.UTC).timestamp()
REJECTED = "alpha rejected the key; it is tried again at 2026-11-20 14:05:10 UTC"
SPENT = "out of credit or quota, says alpha; it is asked again at 2026-11-20 14:05:10 UTC"
ALPHA = vendor("alpha", model("one"))
ENDED = vendor("alpha", model("one"), retired_on=dt.date(2026, 7, 30))


def described(*states: str, **more) -> VendorState:
    slots = tuple(DescribedSlot(n, state, "" if state == "active" else f"why {n}") for n, state in enumerate(states, 1))
    usable = tuple(slot.number for slot in slots if slot.state == "active")
    return VendorState(slots=usable, described=slots, **more)


def told(state, closures=None, rejected=(), *, of=ALPHA, today=TODAY, plans=None):
    configured = mesh(catalog(of), plans={"alpha": plans or {}})
    closed = {subject: Closed(why, LATER) for subject, why in (closures or {}).items()}
    findings = Findings(today, closed, {"alpha": rejected})
    slots = slot_states(of, state, configured, findings)
    return slots, status(of, state, slots, today)


CASES = [  # closures, slots rejected before; the states, the status, its code and reason
    ({}, (), ["active", "active"], ("active", "", "")),
    ({"alpha#1": "auth"}, (), ["rejected", "active"], ("active", "", "")),
    (
        {"alpha#1": "auth", "alpha#2": "auth"},
        (),
        ["rejected", "rejected"],
        ("rejected", "key_rejected", REJECTED),
    ),
    (
        {},
        (1, 2),
        ["rejected", "rejected"],
        ("rejected", "key_rejected", "alpha rejected the key; it is tried again with the next request"),
    ),
    (
        {"alpha/default": "quota"},
        (),
        ["exhausted", "exhausted"],
        ("inactive", "quota", SPENT),
    ),
    ({"alpha/default": "throttled"}, (), ["cooling", "cooling"], ("active", "", "")),
    ({"alpha/default/one": "quota", "beta/default": "quota"}, (), ["active", "active"], ("active", "", "")),
    (
        {"alpha/default": "quota", "alpha#2": "auth"},
        (2,),
        ["exhausted", "rejected"],
        (
            "rejected",
            "key_rejected",
            f"slot 1: {SPENT}; slot 2: {REJECTED}",
        ),
    ),
]


@pytest.mark.parametrize(("closures", "rejected", "states", "expected"), CASES)
def test_what_a_vendor_closed_decides_what_its_slots_and_it_are(closures, rejected, states, expected):
    slots, found = told(described("active", "active"), closures, rejected)
    assert [slot.state for slot in slots] == states
    assert (found.word, found.code, found.reason) == expected


def test_a_slot_says_until_when_it_is_closed():
    slots, _ = told(described("active", "active", "active"), {"alpha#1": "auth"}, (1, 2))
    assert [(slot.state, slot.until) for slot in slots] == [("rejected", LATER), ("rejected", None), ("active", None)]


@pytest.mark.parametrize("state", ["missing", "malformed", "disabled", "unreachable", "no_endpoint"])
def test_a_slot_that_was_never_usable_is_as_described_whatever_was_closed(state):
    slots, found = told(
        described(state, reason="code", detail="the detail"), {"alpha#1": "auth", "alpha/default": "quota"}, (1,)
    )
    assert [(slot.state, slot.reason) for slot in slots] == [(state, "why 1")]
    assert (found.word, found.code, found.reason) == ("inactive", "code", "the detail")


def test_a_slot_that_works_makes_its_vendor_active_beside_any_that_does_not():
    slots, found = told(described("malformed", "active", "missing"))
    assert [slot.usable for slot in slots] == [False, True, False]
    assert found.word == "active"


def test_a_slot_has_the_account_and_plan_of_the_configuration():
    slots, _ = told(described("active", "active"), plans={2: "free"})
    assert [(slot.number, slot.account, slot.plan) for slot in slots] == [
        (1, "default", "paid"),
        (2, "default", "free"),
    ]


@pytest.mark.parametrize("state", [described("active"), described("missing"), UNDESCRIBED])
def test_a_vendor_that_ended_is_retired_with_or_without_a_key_from_that_day_on(state):
    slots, found = told(state, of=ENDED)
    assert (found.word, found.code, found.reason) == ("retired", "retired", "ended on 2026-07-30")
    assert {(slot.state, slot.reason) for slot in slots} == {("retired", "ended on 2026-07-30")}
    _, before = told(state, of=ENDED, today=dt.date(2026, 7, 29))
    assert before.word != "retired"


def test_while_a_provider_service_says_nothing_the_configured_slots_are_unreachable():
    slots, found = told(UNDESCRIBED, plans={3: "free"})
    assert [(slot.number, slot.state) for slot in slots] == [(1, "unreachable"), (3, "unreachable")]
    assert (found.word, found.code, found.reason) == ("inactive", "unreachable", UNDESCRIBED.detail)


def test_of_a_vendor_that_is_switched_off_every_slot_is():
    off = VendorState(reason="disabled", detail="alpha is disabled by mesh.yaml")
    slots, found = told(off)
    assert [(slot.state, slot.reason) for slot in slots] == [("disabled", off.detail)]
    assert (found.word, found.code) == ("inactive", "disabled")
