"""I1 to I7, I12: whatever befalls clients, services, store and wires, the ledger is what the whole history allows.

`make nemesis` runs it for as long as one likes; here a little of it, and proof that a wrong history is found.
"""

import os
import sys
from itertools import count
from pathlib import Path

import pytest
from fixtures.ledger_nemesis.accounts import Books, overdrawn
from fixtures.ledger_nemesis.dossiers import Evidence, sorted_out
from fixtures.ledger_nemesis.history import Call, History, Tally, calls
from fixtures.ledger_nemesis.house import SQLITE, VALKEY
from fixtures.ledger_nemesis.judge import faults
from fixtures.ledger_nemesis.life import live
from fixtures.ledger_nemesis.plan import MOST_OPERATIONS, Plan
from fixtures.ledger_nemesis.world import GROQ, OPENAI, Rule
from fixtures.valkey import binary
from llmmesh.quota.v1 import quota_pb2 as pb

SEED = int(os.environ.get("SEED", "5"))
WORLD = (
    Rule("groq/default", "requests", "once", 2),
    Rule("groq/default", "concurrency", "now", 2),
    Rule("tenant/t0", "tokens", "once", 1_000),
)
HELD, DENIED = pb.Answer(held=pb.Held(offer=GROQ, version=1)), pb.Answer(denied=pb.Denied())
DONE, ALREADY = pb.Answer(done=pb.Done()), pb.Answer(done=pb.Done(already=True))
REFUSED = pb.Answer(refused=pb.Refused(reason="HOLD_CONFLICT"))


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")


def reserve(attempt: str, *, output: int = 10) -> pb.Operation:
    made = pb.Reserve(attempt_id=attempt, tenant="t0", use_case="creative")
    for offer in (GROQ, OPENAI):
        made.offers.add(offer=offer, input_tokens=90, output_tokens=output, cost_nanos=7)
    made.ttl.FromSeconds(60)
    return pb.Operation(reserve=made)


def settle(attempt: str, *, output: int = 5) -> pb.Operation:
    amounts = pb.Amounts(requests=1, input_tokens=90, output_tokens=output, cost_nanos=7)
    return pb.Operation(settle=pb.Settle(attempt_id=attempt, outcome=pb.OUTCOME_SERVED, amounts=amounts))


def release(attempt: str) -> pb.Operation:
    return pb.Operation(release=pb.Release(attempt_id=attempt))


def extend(attempt: str) -> pb.Operation:
    return pb.Operation(extend=pb.Extend(attempt_id=attempt))


def history(*told: tuple[pb.Operation, pb.Answer | None]) -> Evidence:
    """Return what is known when one client asked this, one after the other, each for a second."""
    made = []
    for moment, (operation, answer) in zip(count(), told, strict=False):
        request = pb.ApplyRequest(operations=[operation]).SerializeToString()
        response = b"" if answer is None else pb.ApplyResponse(answers=[answer]).SerializeToString()
        made.append(Call("c", moment, request, None if answer is None else moment + 0.5, response))
    return sorted_out(made)


def broken(*told: tuple[pb.Operation, pb.Answer | None]) -> list[str]:
    return list(faults(history(*told).dossiers.values(), [], asks_twice=False))


RIGHT = [
    ((reserve("a"), HELD), (reserve("a"), HELD), (settle("a"), DONE), (settle("a"), ALREADY), (release("a"), REFUSED)),
    ((reserve("a"), DENIED), (reserve("a"), HELD), (reserve("a", output=11), REFUSED), (settle("a"), DONE)),
    ((reserve("a"), None), (settle("a"), None), (settle("a"), ALREADY), (extend("a"), REFUSED)),
    ((settle("a"), REFUSED), (reserve("a"), HELD), (extend("a"), DONE), (release("a"), DONE)),
    ((reserve("a"), HELD), (settle("a"), None), (release("a"), REFUSED)),
]
WRONG = {
    "I7: a hold that was acknowledged is gone": ((reserve("a"), HELD), (settle("a"), REFUSED)),
    "I7: an ending that was acknowledged is gone": ((reserve("a"), HELD), (settle("a"), DONE), (settle("a"), REFUSED)),
    "I7: an open hold cannot be extended": ((reserve("a"), HELD), (extend("a"), REFUSED)),
    "I6: what was held is denied": ((reserve("a"), HELD), (reserve("a"), DENIED)),
    "I6: other contents are held": ((reserve("a"), HELD), (reserve("a", output=11), HELD)),
    "I6: other contents are no conflict": ((reserve("a"), HELD), (reserve("a", output=11), DENIED)),
    "I6: other words": ((reserve("a"), HELD), (reserve("a"), pb.Answer(held=pb.Held(offer=GROQ, version=2)))),
    "I4: ended twice": ((reserve("a"), HELD), (settle("a"), DONE), (settle("a"), DONE)),
    "I4: ended in two ways": ((reserve("a"), HELD), (settle("a"), DONE), (release("a"), DONE)),
    "I4: ended by nobody": ((reserve("a"), HELD), (settle("a"), ALREADY)),
    "I4: ended and never held": ((reserve("a"), DENIED), (settle("a"), DONE)),
    "I4: ended and never asked for": ((settle("a"), DONE),),
}


@pytest.mark.parametrize("told", RIGHT)
def test_a_history_that_keeps_every_promise_is_right(told):
    assert broken(*told) == []


@pytest.mark.parametrize("promise", WRONG)
def test_a_history_that_breaks_a_promise_is_found(promise):
    assert broken(*WRONG[promise]) != []


def test_a_clock_that_was_set_excuses_a_lapse_and_no_more():
    told = history((reserve("a"), HELD), (extend("a"), REFUSED)).dossiers.values()
    assert list(faults(told, [0.2], asks_twice=False)) == []
    assert len(list(faults(told, [30.0], asks_twice=False))) == 1


@pytest.mark.parametrize("ends", [settle, None])
def test_more_than_a_limit_is_found_in_what_clients_were_told_alone(ends):
    """I1: of requests what is settled still counts; a call at a time is free again once its end was asked for."""
    told = []
    for attempt in "abc":
        told.append((reserve(attempt), HELD))
        told += [] if ends is None else [(ends(attempt), DONE)]
    found = list(overdrawn(history(*told).dossiers.values(), WORLD, []))
    assert [fault.partition(":")[0] for fault in found] == [
        "groq/default/requests/once",
        *(["groq/default/concurrency/now"] if ends is None else []),
    ]
    assert list(overdrawn(history(*told[: 2 * len(told) // 3]).dossiers.values(), WORLD, [])) == []


def test_what_is_known_is_added_up_exactly_and_what_is_not_within_bounds():
    told = history(
        *((reserve("a"), HELD), (settle("a"), DONE)),
        *((reserve("b"), HELD), (release("b"), DONE)),
        (reserve("c"), HELD),  # lapses
        *((reserve("d"), HELD), (settle("d"), None)),  # settled or lapsed
        (reserve("e"), None),  # held of one offer, of the other one, or not at all
        (reserve("f"), DENIED),
    )
    books = Books.of(told.dossiers.values(), WORLD)
    assert (books.certain, set(books.vague)) == (3, {"d", "e"})
    assert books.budgets["tenant/t0/tokens/once"] == (95 + 100 + 95, 95 + 100 + 100 + 100)
    assert books.budgets["groq/default/requests/once"] == (3, 4)
    served, lapsed = (("t0", "creative", GROQ.partition("#")[0], outcome) for outcome in ("served", "lapsed"))
    used = {"groq/default/requests/once": 3, "tenant/t0/tokens/once": 295}
    spend = {served: (1, 1, 90, 5, 7, 0), lapsed: (2, 2, 180, 20, 14, 2)}
    assert list(books.faults(used, spend)) == []
    for wrong in ({**used, "tenant/t0/tokens/once": 289}, {**used, "groq/default/requests/once": 5}):
        assert len(list(books.faults(wrong, spend))) == 1
    assert len(list(books.faults(used, {served: (1, 1, 90, 4, 7, 0), lapsed: spend[lapsed]}))) == 1
    assert len(list(books.faults(used, {served: spend[served]}))) == 6


def test_what_is_released_at_last_leaves_nothing_open():
    told = history(*((reserve("d"), HELD), (settle("d"), None)), (reserve("e"), None))
    books = Books.of(told.dossiers.values(), WORLD)
    lapsed = books.once_released({"d": "", "e": None})
    assert (lapsed.vague, lapsed.budgets) == ({}, {})
    settled = books.once_released({"d": "served", "e": ""})
    assert settled.budgets["tenant/t0/tokens/once"] == (95, 95)
    assert list(books.contradicted({"d": "served", "e": None})) == []
    assert len(list(books.contradicted({"d": None, "e": "served"}))) == 2


def test_a_client_that_is_killed_while_it_writes_leaves_what_it_wrote_before(tmp_path: Path):
    path, tally = tmp_path / "c.history", Tally()
    written = History(path)
    request = pb.ApplyRequest(operations=[reserve("a")]).SerializeToString()
    first, second = written.asked(1, request), written.asked(1, request)
    written.told(first, 1, b"")
    assert tally.of(path) == 1
    written.told(second, 1, b"whole")
    path.write_bytes(path.read_bytes()[:-2])
    assert [call.told_at is not None for call in calls(path)] == [True, False]
    assert tally.of(path) == 1


@pytest.mark.timeout(400)
async def test_a_little_storm_over_a_file_is_survived(tmp_path: Path):
    blows = ("kill service", "lose answers", "kill client", "cut wire")
    verdict = await live(Plan(SEED, SQLITE, 2_000, clients=2, blows=blows), tmp_path / "life", tell)
    assert verdict.faults == []
    assert set(verdict.befell) >= {"kill service", "lose answers", "cut wire"}
    assert verdict.answered >= 2_000
    assert verdict.certain > 20


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("store", [SQLITE, VALKEY])
async def test_a_storm_of_a_hundred_thousand_operations_is_survived(tmp_path: Path, store: str):
    if store == VALKEY and binary() is None:
        pytest.skip("no valkey-server")
    verdict = await live(Plan(SEED, store, MOST_OPERATIONS), tmp_path / "life", tell)
    assert verdict.faults == [], verdict.plan.again
    assert verdict.answered >= MOST_OPERATIONS
