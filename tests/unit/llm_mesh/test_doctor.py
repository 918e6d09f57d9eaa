"""The doctor's checks read evidence and nothing else."""

from dataclasses import replace

import pytest
from fixtures.small_mesh import catalog, mesh, model, use_case, vendor
from llmmesh.router.v1 import router_pb2

from catalog.model import Auth
from catalog.settings import BudgetRow
from catalog.window import parse_window
from llm_mesh.doctor.checklists import EVERYDAY, Item, checklists
from llm_mesh.doctor.checks import CHECKS, examine
from llm_mesh.doctor.evidence import Evidence, Where

KNOWN = catalog(
    vendor("alpha", model("one"), key_env=("ALPHA_KEY",), key_page="https://alpha.test/keys", auth=Auth("bearer")),
    vendor("home", model("small"), local=True),
    use_cases=(use_case(), use_case("other")),
)
TOLD = router_pb2.CheckVendorsResponse


def evidence(**found):
    return Evidence(Where("router:7400", {}), mesh=mesh(KNOWN), **found)


def look(found, check, **item):
    return list(examine(found, iter([Item(check=check, **item)])))


def offers(*names):
    return router_pb2.ExplainRouteResponse(offers=[router_pb2.PlannedOffer(offer=name) for name in names])


def test_every_word_of_every_checklist_is_a_check_and_every_check_is_used():
    known = checklists()
    profiles = (EVERYDAY, "minimal", "complete", "production", "free")
    assert tuple(known.root) == profiles
    assert {item.check for profile in profiles for item in known.items(profile)} == set(CHECKS)


def test_a_profile_has_what_it_includes_in_its_place():
    words = [item.check for item in checklists().items("production")]
    assert words[: len(list(checklists().items("minimal")))] == [item.check for item in checklists().items("minimal")]


def test_a_rejected_key_is_told_with_the_page_for_another():
    found = evidence(variables={"ALPHA_KEY": "a-real-key"}, told=[TOLD(vendor="alpha", slot=1, reason="VENDOR_AUTH")])
    is_set, rejected = look(found, "key", vendor="alpha")
    assert (is_set.well, rejected.well, rejected.detail) == (True, False, "VENDOR_AUTH")
    assert rejected.advice == "put a working key into ALPHA_KEY; https://alpha.test/keys has them"
    assert "a-real-key" not in f"{found}"


def test_without_a_mesh_nobody_knows_whether_a_key_is_accepted():
    found = evidence(variables={"ALPHA_KEY": "a-real-key"}, silence="cannot reach the mesh")
    assert [finding.fails for finding in look(found, "key", vendor="alpha")] == [False, True]


def test_a_mesh_that_refuses_us_has_the_ports_and_wants_a_key():
    found = evidence(silence="no key", refused=True)
    assert look(found, "ports")[0].well
    assert look(found, "mesh")[0].advice == "put the callers' key into MESH_API_KEY"


@pytest.mark.parametrize(("age", "well"), [(None, False), (20.0, True), (301.0, False)])
def test_metrics_are_scraped_when_somebody_read_them_lately(age, well):
    assert look(evidence(scraped=age), "scraped")[0].well is well


@pytest.mark.parametrize(("number", "well"), [(0, False), (1, False), (3, True)])
def test_replicas_are_addresses_behind_one_name(number, well):
    assert look(evidence(replicas=number), "replicas")[0].well is well


def test_a_use_case_with_one_vendor_has_no_fallback():
    plans = {"default": offers("alpha/one#1", "home/small#1"), "other": offers("alpha/one#1", "alpha/one#2")}
    (finding,) = look(evidence(plans=plans), "fallbacks")
    assert finding.detail == "one at most serves other"
    assert look(evidence(plans={"default": plans["default"]}), "fallbacks")[0].well
    # One that recovers is a fallback still; one without a key is none.
    for reason, well in (("breaker_open", True), ("not_configured", False)):
        del plans["other"].excluded[:]
        plans["other"].excluded.add(offer="home/small#1", reason=reason)
        assert look(evidence(plans=plans), "fallbacks")[0].well is well


def test_budgets_of_money_and_of_requests_are_two_things():
    money = BudgetRow("tenant/t", "nanodollars", parse_window("month"), 5)
    found = evidence()
    found.mesh = replace(found.mesh, budgets=(money,))
    assert (look(found, "money_budget")[0].well, look(found, "quota_budget")[0].well) == (True, False)


def test_what_is_optional_fails_nothing():
    (finding,) = look(evidence(reachable={"home": False}), "local_server", optional=True)
    assert (finding.well, finding.fails) == (False, False)
    assert look(evidence(reachable={"home": False}), "local_server")[0].fails


def test_no_vendor_is_active():
    found = evidence(vendors={"alpha": router_pb2.Vendor(id="alpha", status="rejected")})
    assert look(found, "active")[0].detail == "no vendor is active"
