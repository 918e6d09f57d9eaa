"""What an intent is taken to mean, and which of its words are refused."""

import datetime as dt
from typing import Any

import pytest
from fixtures.small_mesh import TIERS, catalog, model, use_case, vendor
from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog
from meshkit.errors import MeshError, Reason
from router_service import demand
from router_service.demand import Demand
from router_service.prompt_facts import PromptFacts

TODAY = dt.date(2026, 11, 20)
NO_FACTS = PromptFacts()
KNOWN = catalog(
    vendor("alpha", model("llama-a", family="llama"), model("own"), aliases=("first", "eins")),
    vendor(
        "beta",
        model("llama-b", family="llama", aliases=("lb",), short_names=("big",)),
        model("old", status="retired", retired_on=dt.date(2026, 1, 2), successor="new"),
        model("new"),
        model("gone", status="retired", retired_on=dt.date(2026, 1, 3)),
        model("leaving", retired_on=TODAY, successor="alpha/own"),
        model("leaves-later", retired_on=TODAY + dt.timedelta(days=1), successor="new"),
        model("doubtful", family="llama", status="unknown"),
    ),
    vendor("gamma", model("org/llama-c", family="llama")),
    use_cases=(
        use_case("default", default_tier="standard", candidates={"standard": ("alpha/own", "beta/old", "llama")}),
        use_case(
            "code", aliases=("coding",), default_tier="premium", requirements=("tools",), data_policy="no_training"
        ),
        use_case("secret", data_policy="local_only", stream_guarantee="whole"),
    ),
)


def read(known: Catalog = KNOWN, facts: PromptFacts = NO_FACTS, **intent: Any) -> Demand:
    return demand.read(router_pb2.Intent(**intent), facts, known, TIERS, TODAY)


def names(asked: Demand) -> list[str]:
    return [str(ref) for ref in asked.candidates]


def refusal(**intent: Any) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read(**intent)
    return caught.value


def test_an_empty_intent_is_the_default_use_case_at_its_own_tier():
    asked = read()
    assert (asked.use_case.name, asked.tier, asked.price_cap) == ("default", "standard", TIERS["standard"])
    assert (asked.pinned, asked.leading, asked.guarantee, asked.data_policy) == (False, 0, "fast", "")
    assert (asked.max_cost, asked.notices) == (None, ())


def test_candidates_are_the_use_cases_own_with_families_spread_and_successors_in_place():
    assert names(read()) == [
        "alpha/own",
        "beta/new",
        "alpha/llama-a",
        "beta/llama-b",
        "gamma/org/llama-c",
        "beta/doubtful",
    ]


def test_the_caller_hears_nothing_of_successors_of_models_it_did_not_name():
    assert read().notices == ()


def test_a_tier_without_a_list_may_use_everything_that_is_alive():
    listed = names(read(use_case="code"))
    assert listed == [
        "alpha/llama-a", "alpha/own", "beta/llama-b", "beta/new", "beta/leaves-later", "gamma/org/llama-c",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["code", "CODE", "coding", "Coding"])
def test_a_use_case_is_found_by_name_or_alias_in_any_case(name):
    assert read(use_case=name).use_case.name == "code"


def test_an_unknown_use_case_is_refused_naming_those_there_are():
    error = refusal(use_case="nonsense")
    assert (error.reason, error.code) == (Reason.UNKNOWN_USE_CASE, "NOT_FOUND")
    assert error.metadata == {"use_case": "nonsense", "allowed": "code, default, secret"}
    assert [violation.field for violation in error.fields] == ["intent.use_case"]


@pytest.mark.parametrize(("number", "name"), demand.TIERS.items())
def test_a_tier_brings_its_cap(number, name):
    asked = read(tier=number)
    assert (asked.tier, asked.price_cap) == (name, TIERS[name])


@pytest.mark.parametrize("field", ["tier", "data_policy", "stream_guarantee"])
def test_a_word_of_a_newer_contract_is_refused_and_never_taken_for_silence(field):
    error = refusal(**{field: 99})
    assert error.reason is Reason.INVALID_REQUEST
    assert [violation.field for violation in error.fields] == [f"intent.{field}"]


LOCAL, NO_TRAINING = router_pb2.DATA_POLICY_LOCAL_ONLY, router_pb2.DATA_POLICY_NO_TRAINING


@pytest.mark.parametrize(
    ("case", "asked", "policy"),
    [
        ("default", 0, ""),
        ("default", NO_TRAINING, "no_training"),
        ("default", LOCAL, "local_only"),
        ("code", 0, "no_training"),
        ("code", LOCAL, "local_only"),
        ("secret", 0, "local_only"),
        ("secret", NO_TRAINING, "local_only"),
    ],
)
def test_the_stricter_of_two_data_policies_holds(case, asked, policy):
    assert read(use_case=case, data_policy=asked).data_policy == policy


def test_the_callers_stream_guarantee_wins_over_the_use_cases():
    assert read(use_case="secret").guarantee == "whole"
    assert read(use_case="secret", stream_guarantee=router_pb2.STREAM_GUARANTEE_RESTART).guarantee == "restart"


def test_needs_of_prompt_use_case_and_caller_add_up():
    asked = read(facts=PromptFacts(needs=frozenset({"vision"})), use_case="code", requirements=["reasoning"])
    assert asked.needs == {"vision", "tools", "reasoning"}


def test_an_unknown_requirement_is_refused_naming_those_there_are():
    error = refusal(requirements=["telepathy"])
    assert [violation.field for violation in error.fields] == ["intent.requirements"]
    assert "json_object" in error.message


@pytest.mark.parametrize("field", ["allow_vendors", "deny_vendors"])
def test_vendors_are_found_by_alias_and_unknown_ones_refused(field):
    assert getattr(read(**{field: ["EINS", "beta"]}), field) == {"alpha", "beta"}
    error = refusal(**{field: ["nobody"]})
    assert (error.reason, error.code) == (Reason.UNKNOWN_VENDOR, "INVALID_ARGUMENT")
    assert error.metadata == {"vendor": "nobody", "allowed": "alpha, beta, gamma"}
    assert [violation.field for violation in error.fields] == [f"intent.{field}"]


def test_a_cost_cap_of_zero_is_a_cap_and_a_negative_one_is_refused():
    assert read(max_cost_nanos=0).max_cost == 0
    assert [violation.field for violation in refusal(max_cost_nanos=-1).fields] == ["intent.max_cost_nanos"]


@pytest.mark.parametrize("name", ["", "auto", "AUTO"])
def test_no_model_or_auto_is_free_choice(name):
    assert not read(model=name).pinned


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alpha/own", ["alpha/own"]),
        ("eins/OWN", ["alpha/own"]),
        ("own", ["alpha/own"]),
        ("lb", ["beta/llama-b", "alpha/llama-a", "gamma/org/llama-c"]),
        ("beta/big", ["beta/llama-b", "alpha/llama-a", "gamma/org/llama-c"]),
        ("gamma/org/llama-c", ["gamma/org/llama-c", "alpha/llama-a", "beta/llama-b"]),
        ("org/llama-c", ["gamma/org/llama-c", "alpha/llama-a", "beta/llama-b"]),
        ("llama", ["alpha/llama-a", "beta/llama-b", "gamma/org/llama-c", "beta/doubtful"]),
        ("gamma", ["gamma/org/llama-c", "alpha/llama-a", "beta/llama-b"]),
    ],
)
def test_a_pinned_model_may_be_served_by_other_hosts_of_its_family_alone(name, found):
    asked = read(model=name)
    assert asked.pinned
    assert names(asked) == found
    assert asked.leading == len(found)


def test_a_pinned_model_nobody_knows_to_live_is_followed_by_its_successor_before_other_hosts():
    unsure = model("unsure", family="llama", status="unknown", successor="new")
    known = catalog(vendor("alpha", model("llama-a", family="llama")), vendor("beta", unsure, model("new")))
    assert names(read(known, model="beta/unsure")) == ["beta/unsure", "beta/new", "alpha/llama-a"]
    assert names(read(known, model="beta/unsure", strict=True)) == ["beta/unsure"]


def test_strict_means_this_host_or_none():
    assert names(read(model="beta/llama-b", strict=True)) == ["beta/llama-b"]


@pytest.mark.parametrize(
    ("name", "served", "notice"),
    [
        ("beta/old", "beta/new", ("model beta/old was retired on 2026-01-02, served by beta/new",)),
        ("beta/leaving", "alpha/own", ("model beta/leaving was retired on 2026-11-20, served by alpha/own",)),
        ("beta/leaves-later", "beta/leaves-later", ()),
        ("beta/gone", "beta/gone", ()),
    ],
)
def test_a_retired_model_is_served_by_its_successor_and_the_caller_is_told(name, served, notice):
    for field in ("model", "preferred_model"):
        asked = read(**{field: name})
        assert names(asked)[0] == served
        assert asked.notices == notice


@pytest.mark.parametrize("field", ["model", "preferred_model"])
def test_an_unknown_model_is_refused_with_the_closest_names(field):
    error = refusal(**{field: "alpha/llama-x"})
    assert (error.reason, error.code) == (Reason.UNKNOWN_MODEL, "NOT_FOUND")
    assert error.metadata["model"] == "alpha/llama-x"
    assert "alpha/llama-a" in error.metadata["closest"]
    assert [violation.field for violation in error.fields] == [f"intent.{field}"]


def test_a_vendor_that_ended_is_refused_with_the_day_and_not_taken_for_a_misspelt_model():
    past = model("old", status="retired", retired_on=dt.date(2026, 1, 2), successor="beta/new")
    known = vendor("past", past, aliases=("bygone",), retired_on=dt.date(2026, 1, 2))
    for name in ("past", "bygone"):
        with pytest.raises(MeshError) as caught:
            read(catalog(known, *KNOWN.vendors.values()), model=name)
        assert (caught.value.reason, caught.value.code) == (Reason.UNKNOWN_MODEL, "NOT_FOUND")
        assert caught.value.message == f"{name} ended on 2026-01-02, and its models with it"
    assert names(read(catalog(known, *KNOWN.vendors.values()), model="past/old")) == ["beta/new"]


def test_a_preferred_model_leads_and_the_usual_candidates_follow_once_each():
    asked = read(preferred_model="beta/llama-b")
    assert not asked.pinned
    assert asked.leading == 1
    assert names(asked)[:3] == ["beta/llama-b", "alpha/own", "beta/new"]
    assert len(set(names(asked))) == len(names(asked))


def test_labels_are_taken_over_in_order():
    assert read(labels={"team": "search", "project": "x y"}).labels == (("project", "x y"), ("team", "search"))
    assert read().labels == ()


@pytest.mark.parametrize(
    ("labels", "field", "said"),
    [
        ({f"l{n}": "x" for n in range(5)}, "intent.labels", "5 labels; allowed: at most 4"),
        ({"Team": "x"}, "intent.labels.Team", "is no name of a label; allowed: 1 to 32 lower-case letters"),
        ({"team": ""}, "intent.labels.team", "allowed: 1 to 64 printable characters"),
        ({"team": "x" * 65}, "intent.labels.team", "allowed: 1 to 64 printable characters"),
        ({"team": "two\nlines"}, "intent.labels.team", "allowed: 1 to 64 printable characters"),
    ],
)
def test_labels_out_of_bounds_are_refused(labels, field, said):
    (violation,) = refusal(labels=labels).fields
    assert violation.field == field
    assert violation.description.startswith(said)
